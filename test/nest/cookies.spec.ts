/** Sessions by cookie, from browsers and from clients that only claim to be browsers. */
import { sign } from 'cookie-signature';
import { expect, it } from 'vitest';
import { onEachPlatform, secrets, temporaryDirectory } from './application.js';

const signed = (id: string, secret: string) => `locked-session=${encodeURIComponent(sign(id, secret))}`;

onEachPlatform((start) => {
  it.each<[string, (good: string, id: string) => string]>([
    ['a forged signature', (good) => good.slice(0, -1) + (good.at(-1) === 'A' ? 'B' : 'A')],
    ['another id under the same signature', (good, id) => good.replace(id.slice(0, 4), 'AAAA')],
    ['no signature', (_good, id) => `locked-session=${id}`],
    ['the signature of an unknown secret', (_good, id) => signed(id, 'a secret of somebody else')],
    ['half an escape', () => 'locked-session=%E0%A4%A'],
    ['an id of the wrong form, correctly signed', () => signed('not an id', secrets[0]!)],
    ['an id that is too long, correctly signed', () => signed('x'.repeat(1_000), secrets[0]!)],
    ['12,000 characters', () => `locked-session=${'x'.repeat(12_000)}`],
  ])('takes a cookie with %s for none', async (_what, forge) => {
    const { client, errors } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const { body: me } = await visitor.get('me');
    const good = visitor.cookie!;
    const { id } = me as { id: string };
    visitor.cookie = forge(good, id);
    const guest = await visitor.get('me');
    expect(guest).toMatchObject({ status: 200, body: { isNew: true }, set: undefined });
    expect((guest.body as { id: string }).id).not.toBe(id);
    expect(await visitor.post('items', { item: 'milk' })).toMatchObject({ status: 201, body: 1 });
    expect(visitor.cookie).not.toBe(good);
    visitor.cookie = good;
    expect((await visitor.get('items')).body).toEqual(['tea']);
    expect(errors).toEqual([]);
  });

  it('a header that Node refuses reaches no handler, and others are served', async () => {
    const { client, errors } = await start();
    const [rude, visitor] = [client(), client()];
    rude.cookie = `locked-session=${'x'.repeat(100_000)}`;
    expect((await rude.get('me')).status).toBe(431);
    expect((await visitor.get('me')).status).toBe(200);
    expect(errors).toEqual([]);
  });

  it('rule 14: an id that the store does not know is never adopted, however well it is signed', async () => {
    const { client } = await start();
    const guest = client();
    guest.cookie = signed('A'.repeat(43), secrets[0]!);
    const planted = guest.cookie;
    expect((await guest.get('me')).body).toMatchObject({ isNew: true });
    expect((await guest.post('items', { item: 'milk' })).set).toBeDefined();
    expect(guest.cookie).not.toBe(planted);
    expect((await guest.get('items')).body).toEqual(['milk']);
  });

  it('accepts what an older secret signed, and answers it signed by the newest', async () => {
    const directory = await temporaryDirectory();
    const before = await start({ directory, cookie: { secrets: [secrets[1]!] } });
    const visitor = before.client();
    await visitor.post('items', { item: 'tea' });
    const { id } = (await visitor.get('me')).body as { id: string };
    const old = visitor.cookie!;
    await before.app.close();

    const after = await start({ directory });
    const same = after.client();
    same.cookie = old;
    expect((await same.get('items')).body).toEqual(['tea']);
    expect(same.cookie).toBe(signed(id, secrets[0]!));
    expect(await same.get('items')).toMatchObject({ body: ['tea'], set: undefined });
    await after.app.close();

    const later = await start({ directory, cookie: { secrets: [secrets[0]!] } });
    const [renewed, forgotten] = [later.client(), later.client()];
    renewed.cookie = same.cookie;
    forgotten.cookie = old;
    expect((await renewed.get('items')).body).toEqual(['tea']);
    expect((await forgotten.get('items')).body).toEqual([]);
  });

  it('a rolling cookie comes again with every answer within a kept session, be it an error', async () => {
    const { client } = await start({ cookie: { secrets, rolling: true, maxAgeMs: 60_000 } });
    const visitor = client();
    expect((await visitor.get('items')).set).toBeUndefined();
    const { set } = await visitor.post('items', { item: 'tea' });
    expect(set).toContain('; Max-Age=60;');
    expect((await visitor.get('items')).sets).toEqual([set]);
    expect(await visitor.post('items')).toMatchObject({ status: 400, sets: [set] });

    const login = await visitor.post('login');
    expect(login.sets).toHaveLength(1);
    expect(login.set).not.toBe(set);
    expect((await visitor.get('items')).sets).toEqual(login.sets);

    const logout = await visitor.post('logout');
    expect(logout.sets).toEqual([expect.stringMatching(/^locked-session=; Max-Age=0/)]);
    expect((await visitor.get('items')).sets).toEqual([]);
  });

  it('a cookie that does not roll is told once, with its age', async () => {
    const { client } = await start({ cookie: { secrets, maxAgeMs: 60_000 } });
    const visitor = client();
    expect((await visitor.post('items', { item: 'tea' })).set).toContain('; Max-Age=60;');
    expect((await visitor.post('items', { item: 'milk' })).set).toBeUndefined();
  });

  it("with 'secure: auto' is secure when the request came by TLS, by a proxy's word only if the proxy is trusted", async () => {
    const cookie = { secrets, secure: 'auto' as const };
    const byTls = { headers: { 'x-forwarded-proto': 'https' } };
    const [alone, behind] = [await start({ cookie }), await start({ cookie, trustProxy: true })];
    const isSecure = async ({ client }: typeof alone, extras?: typeof byTls) =>
      (await client().post('items', { item: 'tea' }, extras)).set!.includes('; Secure');
    expect([await isSecure(alone), await isSecure(alone, byTls)]).toEqual([false, false]);
    expect([await isSecure(behind), await isSecure(behind, byTls)]).toEqual([false, true]);
  });

  it.each([
    [true, {}, false, /'Secure' answers a request by plain http/],
    [true, { 'x-forwarded-proto': 'https' }, false, /does not trust it.*'trust proxy'.*'trustProxy'/],
    ['auto' as const, { 'x-forwarded-proto': 'https, http' }, false, /goes without 'Secure'/],
    ['auto' as const, { forwarded: 'for=192.0.2.1;proto="https"' }, false, /goes without 'Secure'/],
    ['auto' as const, {}, false, /^$/],
    ['auto' as const, { 'x-forwarded-proto': 'http' }, false, /^$/],
    ['auto' as const, { 'x-forwarded-proto': 'https' }, true, /^$/],
    [true, { 'x-forwarded-proto': 'https' }, true, /^$/],
    [false, { 'x-forwarded-proto': 'https' }, false, /^$/],
  ])(
    "with 'secure: %s' and %j of a proxy (trusted: %s) the log warns once, or has nothing to say",
    async (secure, headers, trustProxy, warning) => {
      const { client, warnings } = await start({ cookie: { secrets, secure }, trustProxy });
      for (let i = 0; i < 2; i++) await client().post('items', { item: 'tea' }, { headers: { ...headers } });
      expect(warnings.join()).toMatch(warning);
      expect(warnings.length).toBeLessThanOrEqual(1);
    },
  );

  it('of several cookies of one name the first counts that a known secret signed and the store knows', async () => {
    const { client, sessions } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const good = visitor.cookie!;
    const gone = client();
    await gone.post('items', { item: 'old' });
    const destroyed = gone.cookie!;
    const { id } = (await gone.get('me')).body as { id: string };
    await sessions.run(id, {}, (session) => session.destroy());
    const unknown = [1, 2, 3, 4].map((i) => signed(String(i).repeat(43), secrets[0]!));
    const forged = [
      signed('F'.repeat(43), 'a secret of somebody else'),
      'locked-session=',
      'locked-session=x',
    ];

    for (const before of [
      forged,
      [unknown[0]!],
      [destroyed],
      [...forged, unknown[0]!, destroyed, unknown[1]!],
    ]) {
      visitor.cookie = [...before, good].join('; ');
      expect(await visitor.get('items')).toMatchObject({ body: ['tea'], sets: [] });
    }
    visitor.cookie = [good, destroyed, unknown[0]!].join('; ');
    expect((await visitor.get('items')).body).toEqual(['tea']);
  });

  it('at most four cookies of one name are tried', async () => {
    const { client, sessions } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const unknown = [1, 2, 3, 4].map((i) => signed(String(i).repeat(43), secrets[0]!));
    visitor.cookie = [...unknown, visitor.cookie].join('; ');
    const { scopes } = sessions.counters();
    expect(await visitor.post('items', { item: 'milk' })).toMatchObject({ status: 201, body: 1 });
    expect(sessions.counters().scopes).toBe(scopes + 5); // one of them for the new session
  });
});
