/** The cookie's text: what is written, what is read of it, and what is taken for none. */
import { sign } from 'cookie-signature';
import { describe, expect, it } from 'vitest';
import type { LockedSessionOptions } from './options.js';
import { readLockedSessionOptions } from './settings.js';
import { SessionCookie } from './session-cookie.js';

const [secret, older, foreign] = [
  'the newest of all secrets',
  'the secret before that',
  'a secret of others',
];

type CookieOptions = Partial<NonNullable<LockedSessionOptions['cookie']>>;

function settingsOf(options: CookieOptions) {
  const cookie = { secrets: [secret, older], ...options };
  return readLockedSessionOptions({ broker: { url: 'amqp://127.0.0.1' }, cookie }).cookie!;
}

const cookie = (options: CookieOptions = {}) => new SessionCookie(settingsOf(options));
const header = (id: string, by = secret) => `locked-session=${encodeURIComponent(sign(id, by))}`;

describe('what is written', () => {
  it('has every attribute that is set', () => {
    const set = cookie({
      name: '__Secure-sid',
      path: '/shop',
      domain: 'example.org',
      secure: true,
      sameSite: 'none',
      maxAgeMs: 90_500,
      partitioned: true,
      priority: 'high',
    }).write('id', true);
    const [value, ...attributes] = set.split('; ');
    expect(value).toBe(header('id').replace('locked-session', '__Secure-sid'));
    expect(attributes.toSorted()).toEqual([
      'Domain=example.org',
      'HttpOnly',
      'Max-Age=90',
      'Partitioned',
      'Path=/shop',
      'Priority=High',
      'SameSite=None',
      'Secure',
    ]);
  });

  it.each([
    [false, [false, false]],
    [true, [true, true]],
    ['auto', [false, true]],
  ] as const)("with 'secure' %s is for TLS alone: %j over HTTP and over TLS", (secure, expected) => {
    const made = cookie({ secure });
    const isSecure = (set: string) => /; Secure/.test(set);
    expect([false, true].map((byTls) => isSecure(made.write('id', byTls)))).toEqual(expected);
    expect([false, true].map((byTls) => isSecure(made.clear(byTls)))).toEqual(expected);
  });

  it('is read again, and need not be renewed', () => {
    const [pair] = cookie().write('id', false).split(';');
    expect(cookie().read(`theme=dark; ${pair}; lang=en`)).toEqual([{ id: 'id', renew: false }]);
  });
});

describe('what is read', () => {
  it('is to be renewed when it rolls, or when an older secret signed it', () => {
    expect(cookie({ rolling: true }).read(header('id'))).toEqual([{ id: 'id', renew: true }]);
    expect(cookie().read(header('id', older))).toEqual([{ id: 'id', renew: true }]);
  });

  it('has each session once, of those that a known secret signed, and four at most', () => {
    const pairs = [
      header('a', foreign),
      header('b'),
      header('b', older),
      'locked-session=',
      header('c', older),
    ];
    const found = cookie().read(`theme=dark; ${pairs.join('; ')}; lang=en`);
    expect(found).toEqual([
      { id: 'b', renew: false },
      { id: 'c', renew: true },
    ]);
    const many = ['a', 'b', 'c', 'd', 'e'].map((id) => header(id)).join('; ');
    expect(
      cookie()
        .read(many)
        .map(({ id }) => id),
    ).toEqual(['a', 'b', 'c', 'd']);
  });

  it('is found behind cookies of others, as long as Node lets the header be', () => {
    const others = Array.from({ length: 40 }, (_, i) => `_ga${i}=${'x'.repeat(1_500)}`);
    expect(cookie().read([...others, header('id')].join('; '))).toMatchObject([{ id: 'id' }]);
  });

  it('is the same the second time, and so few are remembered that they take little room', () => {
    const its = cookie();
    for (let i = 0; i < 5_000; i++) {
      expect(its.read(header(`id-${i}`))).toEqual([{ id: `id-${i}`, renew: false }]);
      expect(its.read(header(`id-${i}`, foreign))).toEqual([]);
    }
    expect(its.remembered).toBe(4_096);
    for (const i of [0, 4_999])
      expect(its.read(header(`id-${i}`))).toEqual([{ id: `id-${i}`, renew: false }]);
    expect(its.remembered).toBe(4_096);
  });

  it('is not remembered when its signature is wrong', () => {
    const its = cookie();
    its.read(header('id', foreign));
    expect(its.remembered).toBe(0);
    its.read(header('id'));
    expect(its.remembered).toBe(1);
  });

  it.each([
    ['no header', undefined],
    ['an empty header', ''],
    ['no such cookie', 'theme=dark'],
    ['a cookie of a longer name', 'my-locked-session=1'],
    ['an empty cookie', 'locked-session='],
    ['no signature', 'locked-session=id'],
    ['nothing but a signature', header('')],
    ['an unknown secret', header('id', foreign)],
    ['half an escape', 'locked-session=%E0%A4%A'],
    ['an id with a space', header('i d')],
    ['an id beyond ASCII', header('ïd')],
    ['an id of two lines', header('i\nd')],
    ['an id that is too long', header('x'.repeat(129))],
  ])('is none with %s', (_what, given) => {
    expect(cookie().read(given)).toEqual([]);
  });
});

describe('settings that browsers would not abide by stop the start:', () => {
  it.each<[string, CookieOptions, RegExp]>([
    ['sameSite none without TLS', { sameSite: 'none' }, /'cookie\.sameSite' \("none"\): .*'cookie\.secure'/],
    ['sameSite none by chance', { sameSite: 'none', secure: 'auto' }, /'cookie\.sameSite' \("none"\)/],
    ['partitioned without TLS', { partitioned: true }, /'cookie\.partitioned' \(true\)/],
    ['a name that promises TLS', { name: '__Secure-sid' }, /'cookie\.name' \("__Secure-sid"\)/],
    [
      'a name that promises one host',
      { name: '__Host-sid', secure: true, path: '/shop' },
      /'cookie\.name' .*path/,
    ],
    ['a path that is none', { path: 'shop; Domain=evil.example' }, /'cookie\.path'/],
    ['a domain that is none', { domain: 'example.org; Secure' }, /'cookie\.domain'/],
    ['an age below a second', { maxAgeMs: 999 }, /'cookie\.maxAgeMs' \(999\): .*>=1000/],
    ['what is neither yes nor no nor auto', { secure: 'yes' as never }, /'cookie\.secure' \("yes"\)/],
  ])('%s', (_what, options, complaint) => {
    expect(() => settingsOf(options)).toThrow(complaint);
  });

  it('but not what they take', () => {
    expect(() => settingsOf({ name: '__Host-sid', secure: true, sameSite: 'none' })).not.toThrow();
  });
});
