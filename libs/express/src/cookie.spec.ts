/** When the store must learn of a session's cookie, and what comes back of it. */
import { describe, expect, it } from 'vitest';
import { isCookieDue, SessionCookie, type CookieData } from './cookie.js';

const at = (ms: number, originalMaxAge: number | null, more: Partial<CookieData> = {}): CookieData => ({
  path: '/',
  httpOnly: true,
  originalMaxAge,
  expires: new Date(ms),
  ...more,
});

describe('a cookie is written', () => {
  it.each([
    ['when its time has moved by touchMs', at(0, 3_600_000), at(60_000, 3_600_000), true],
    ['and not when it has moved less', at(0, 3_600_000), at(59_999, 3_600_000), false],
    ['when its time has moved by a tenth', at(0, 1_000), at(100, 1_000), true],
    ['when it gets another time', at(0, 1_000), at(0, 2_000), true],
    ['when it gets a time', at(0, null, { expires: null }), at(0, null), true],
    ['when it loses its time', at(0, null), at(0, null, { expires: false }), true],
    ['and not when it has none', at(0, null, { expires: null }), at(0, null, { expires: null }), false],
    ['when it changes otherwise', at(0, 1_000), at(0, 1_000, { path: '/a' }), true],
  ])('%s', (_when, before, now, isDue) => {
    expect(isCookieDue(JSON.parse(JSON.stringify(before)) as CookieData, now, 60_000)).toBe(isDue);
  });
});

it('a cookie comes back from its JSON text with its time, its date and the time that it was given', () => {
  const cookie = new SessionCookie({ maxAge: 5_000, sameSite: 'lax' });
  const back = new SessionCookie(JSON.parse(JSON.stringify(cookie)) as CookieData);
  expect(back.data).toEqual(cookie.data);
  expect([back.expires instanceof Date, back.originalMaxAge]).toEqual([true, 5_000]);
  expect(Object.keys(back)).not.toContain('end');
});
