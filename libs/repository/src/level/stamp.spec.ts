/** Whose the data directory is: each case of the rules. */
import { describe, expect, it } from 'vitest';
import { format, graceMs, isLockConclusive, isStale, lossOf, parseStamp, type Stamp } from './stamp.js';

const stamp: Stamp = {
  owner: 'a',
  pid: 1,
  host: 'host',
  kernel: 'kernel',
  lock: '1:2',
  checkEveryMs: 1_000,
};

describe("LevelDB's lock alone tells that the last owner is gone", () => {
  it.each([
    ['where that locked the same file under the same kernel', stamp, '1:2', 'kernel', true],
    ['not where LOCK was replaced', stamp, '1:3', 'kernel', false],
    ['not where LOCK was removed', stamp, undefined, 'kernel', false],
    ['not under another kernel, where locks may not reach', stamp, '1:2', 'other', false],
    ['not where the stamp is of a starter that waited', { ...stamp, lock: null }, '1:2', 'kernel', false],
    ['not without a stamp', undefined, '1:2', 'kernel', false],
    ['not without a stamp and a LOCK', undefined, undefined, 'kernel', false],
  ])('%s', (_what, found, lock, kernel, is) => {
    expect(isLockConclusive(found, lock, kernel)).toBe(is);
  });
});

it('a starter waits for twice the longer of both intervals', () => {
  expect([
    graceMs(undefined, 500),
    graceMs(stamp, 500),
    graceMs({ ...stamp, checkEveryMs: 100 }, 500),
  ]).toEqual([1_000, 2_000, 1_000]);
});

describe('the directory', () => {
  const own = { owner: 'a', lock: '1:2', current: '1:3' };
  const kept = { lock: '1:2', current: '1:3', stamp };

  it('is its owner’s while all is as that left it', () => {
    expect(lossOf(own, kept)).toBeUndefined();
  });

  it.each([
    ['it was deleted', {}, /deleted, moved away or unmounted/],
    ['LOCK was removed', { ...kept, lock: undefined }, /LOCK was removed/],
    ['LOCK was replaced', { ...kept, lock: '1:9' }, /LOCK was replaced/],
    ['CURRENT was removed', { ...kept, current: undefined }, /CURRENT was removed/],
    ['CURRENT was replaced', { ...kept, current: '1:9' }, /CURRENT was replaced/],
    ['another directory is mounted there', { ...kept, lock: '9:2', current: '9:3' }, /LOCK was replaced/],
    ['the stamp was removed', { ...kept, stamp: undefined }, /OWNER was removed/],
    [
      'another one has put its stamp',
      { ...kept, stamp: { ...stamp, owner: 'b', pid: 7 } },
      /another store has taken it \(process 7 on host\)/,
    ],
  ])('is not where %s', (_what, sight, why) => {
    expect(lossOf(own, sight)).toMatch(why);
  });
});

it('a look is too old when either clock ran an interval further', () => {
  const seen = { mono: 1_000, wall: 50_000 };
  expect(isStale(seen, { mono: 1_999, wall: 50_999 }, 1_000)).toBe(false);
  expect(isStale(seen, { mono: 2_000, wall: 50_500 }, 1_000)).toBe(true);
  expect(isStale(seen, { mono: 1_001, wall: 51_000 }, 1_000)).toBe(true); // the machine slept
  expect(isStale(seen, { mono: 1_500, wall: 40_000 }, 1_000)).toBe(false); // the wall clock was set back
});

describe('a stamp', () => {
  it('is read as it was written', () => {
    for (const one of [stamp, { ...stamp, lock: null }]) expect(parseStamp(format(one))).toEqual(one);
  });

  it.each(['', '{', 'null', '[]', '7', '{}'])('is not read from %j', (text) => {
    expect(parseStamp(text)).toBeUndefined();
  });

  it.each([
    { checkEveryMs: 1e9 },
    { checkEveryMs: Number.NaN },
    { pid: 'x' },
    { host: 'x'.repeat(300) },
    { lock: 7 },
  ])('is not read with %j', (wrong) => {
    expect(parseStamp(JSON.stringify({ ...stamp, ...wrong }))).toBeUndefined();
  });
});
