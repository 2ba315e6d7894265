/**
 * The cookie and the options of the drop-in for express-session. docs/DROP-IN.md names the cases by number.
 */
import { sign } from 'cookie-signature';
import { expect, it } from 'vitest';
import { lockedSession } from '#express';
import { counter, latch, onEachExpress, secret, type Options } from './servers.js';

const signed = (id: string, by = secret) => `connect.sid=${encodeURIComponent(`s:${sign(id, by)}`)}`;

onEachExpress((start) => {
  it('case 22: a maxAge that is changed alone lasts, and expires is a date after loading', async () => {
    const world = await start((app) => {
      counter(app, () => {});
      app.post('/remember', (req, res) => ((req.session.cookie.maxAge = 86_400_000), void res.end()));
      app.get('/cookie', (req, res) => {
        const { originalMaxAge, expires, maxAge } = req.session.cookie;
        res.json([originalMaxAge, expires instanceof Date, maxAge! > 86_000_000]);
      });
    });
    const client = world.client();
    await client.post('set/1');
    await client.post('remember');
    for (const server of [0, 1])
      expect((await client.get('cookie', { server })).text).toBe('[86400000,true,true]');
    await world.ends(client, { n: 1 });
  });

  it('case 22: a session whose time is over is not served, and its visitor gets another one', async () => {
    const world = await start(counter, { cookie: { maxAge: 60 }, rolling: true });
    const client = world.client();
    expect((await client.post('set/1')).cookies).toEqual([expect.stringContaining('Expires=')]);
    const { cookie, id } = client;
    await new Promise((resolve) => setTimeout(resolve, 80));
    client.cookie = cookie;
    expect((await client.get('show')).text).toBe('null');
    await world.ends(id!, undefined);
  });

  it('case 23: secrets are rotated, a wrong signature counts for nothing, and a second cookie is tried', async () => {
    const world = await start(counter, { secret: ['a new secret of some length', secret] });
    const client = world.client();
    await client.post('set/1');
    const id = client.id!;
    const shown = async (cookie: string) => (await client.get('show', { headers: { cookie } })).text;
    expect(await shown(signed(id))).toBe('1');
    expect(await shown(signed(id, 'a new secret of some length'))).toBe('1');
    expect(await shown(signed(id, 'a wrong secret of some length'))).toBe('null');
    expect(await shown(`connect.sid=${id}`)).toBe('null');
    expect(await shown(`${signed('unknown')}; ${signed(id)}`)).toBe('1');
    await world.ends(client, { n: 1 });
  });

  it('case 24: auto, a function and a proxy', async () => {
    const cookie = () => ({ secure: 'auto', sameSite: 'auto' }) as never;
    const world = await start(counter, { cookie, proxy: true });
    const lineOf = async (headers: Record<string, string>) =>
      (await world.client().post('set/1', { headers })).cookies[0];
    expect(await lineOf({})).toMatch(/SameSite=Lax$/);
    expect(await lineOf({ 'x-forwarded-proto': 'https, http' })).toMatch(/Secure; SameSite=None$/);
    const strict = await start(counter, { cookie: { secure: true } });
    for (let i = 0; i < 2; i++)
      expect((await strict.client().post('set/1', { server: 0 })).cookies).toEqual([]);
    expect(strict.warnings.filter((line) => line.includes("cookie is 'secure'"))).toHaveLength(1);
    const byTls = await start(counter, { cookie: { secure: true }, proxy: true });
    const client = byTls.client();
    await client.post('set/1', { headers: { 'x-forwarded-proto': 'https' } });
    await byTls.ends(client, { n: 1 });
  });

  const combinations = [false, true].flatMap((resave) =>
    [false, true].flatMap((saveUninitialized) =>
      [false, true].map((rolling) => ({ resave, saveUninitialized, rolling })),
    ),
  );
  it.each(combinations)('case 25: who writes and who sends a cookie: %j', async (options) => {
    const world = await start(
      (app) => {
        counter(app, () => {});
        app.get('/plain', (_req, res) => void res.end());
      },
      options satisfies Options,
      1,
    );
    const written = async (request: Promise<{ readonly cookies: readonly string[] }>) => {
      const before = world.sessions[0]!.counters();
      const { cookies } = await request;
      const { commits, sessions } = world.sessions[0]!.counters();
      return [cookies.length, commits + sessions > before.commits + before.sessions];
    };
    const isKept = options.saveUninitialized;
    const visitor = world.client();
    expect(await written(visitor.get('plain'))).toEqual([Number(isKept), isKept]);
    const client = world.client();
    expect(await written(client.post('set/1'))).toEqual([1, true]);
    expect(await written(client.get('plain'))).toEqual([Number(options.rolling), false]);
    expect(await written(client.post('set/1'))).toEqual([Number(options.rolling), false]);
    expect(await written(client.post('set/2'))).toEqual([Number(options.rolling), true]);
    await world.ends(client, { n: 2 });
  });

  it('case 26: readers beside a writer overwrite nothing, with resave, too', async () => {
    const world = await start(counter, { resave: true });
    const client = world.client();
    await client.post('set/0');
    for (let n = 1; n <= 8; n++) {
      const reads = [0, 1, 0, 1].map((server) => client.get('show', { server }));
      await Promise.all([client.post(`set/${n}`), ...reads]);
      await world.ends(client, { n });
    }
  });

  it('case 27: five parallel first requests make one session each, and with a cookie none is lost', async () => {
    const world = await start((app) => {
      counter(app, () => {});
      app.post(
        '/key/:key',
        (req, res) => (Object.assign(req.session, { [req.params.key]: 1 }), void res.end()),
      );
    });
    const clients = Array.from({ length: 5 }, () => world.client());
    await Promise.all(clients.map((client, i) => client.post(`set/${i}`)));
    expect(new Set(clients.map(({ id }) => id)).size).toBe(5);
    for (const [i, client] of clients.entries()) await world.ends(client, { n: i });
    await Promise.all(['a', 'b', 'c', 'd', 'e'].map((key) => clients[0]!.post(`key/${key}`)));
    await world.ends(clients[0]!, { n: 0, a: 1, b: 1, c: 1, d: 1, e: 1 });
  });

  it('case 28: an id that genid returns again is made anew, and never the session of another visitor', async () => {
    const ids = ['one', 'one', 'two', 'two', 'two', 'two'];
    const world = await start(counter, { genid: () => ids.shift() ?? 'two' });
    const [first, second, third] = [world.client(), world.client(), world.client()];
    await first.post('set/1');
    await second.post('set/2');
    expect([first.id, second.id]).toEqual(['one', 'two']);
    expect((await third.post('set/3')).status).toBe(409);
    await world.ends(first, { n: 1 });
    await world.ends(second, { n: 2 });
  });

  it('case 29: what JSON keeps of a value is kept', async () => {
    class Point {
      constructor(readonly x: number) {}
    }
    const world = await start((app) => {
      app.post('/values', (req, res) => {
        const date = new Date(0);
        const none = undefined;
        Object.assign(req.session, {
          date,
          map: new Map([[1, 2]]),
          none,
          point: new Point(1),
          list: [none, NaN],
        });
        res.end();
      });
    });
    const client = world.client();
    await client.post('values');
    await world.ends(client, {
      date: '1970-01-01T00:00:00.000Z',
      map: {},
      point: { x: 1 },
      list: [null, null],
    });
  });

  it('case 30: all, length and clear of the store say that they are not there', async () => {
    const world = await start((app) => {
      counter(app, () => {});
      app.post('/all', (req, res) => {
        const errors: unknown[] = [];
        const note = (error: unknown) => errors.push((error as { readonly code: string }).code);
        for (const name of ['all', 'length', 'clear'] as const) req.sessionStore[name]!(note);
        res.json(errors);
      });
    });
    const client = world.client();
    await client.post('set/1');
    expect((await client.post('all')).text).toBe('["settings","settings","settings"]');
    await world.ends(client, { n: 1 });
  });

  it('case 31: the store is away: the request fails, and goes on when it is back', async () => {
    const world = await start(counter, { waitMs: 100 });
    const client = world.client();
    await client.post('set/1', { server: 0 });
    const restore = await world.loseStore();
    expect((await client.get('show', { server: 1 })).status).toBe(503);
    await restore();
    expect((await client.get('show', { server: 1 })).text).toBe('1');
    await world.ends(client, { n: 1 });
  });

  it('case 38: a session that is kept in a variable is saved under its own id alone', async () => {
    const kept: { session?: { n?: number; save(done: (error?: unknown) => void): unknown } } = {};
    const world = await start((app) => {
      counter(app, () => {});
      app.post('/keep', (req, res) => ((kept.session = req.session), void res.end()));
      app.post('/misuse', (req, res) => {
        kept.session!.n = 66;
        kept.session!.save((error) => res.json(error ? 'failed' : 'saved'));
        req.session.user = 'Eve';
      });
    });
    const [ada, eve] = [world.client(), world.client()];
    await ada.post('set/1');
    await ada.post('keep');
    await eve.post('set/2');
    expect((await eve.post('misuse')).text).toBe('"saved"');
    await world.ends(eve, { n: 2, user: 'Eve' });
    await world.ends(ada, { n: 66 });
  });

  it('case 45: 30 reads of one page run side by side where they are read-only', async () => {
    let inside = 0;
    const gate = latch();
    const world = await start(
      (app) => {
        counter(app, () => {});
        // Each of them ends when all are there.
        app.get('/part', async (req, res) => {
          inside += 1;
          if (inside === 30) gate.goOn();
          await gate.pass();
          res.json(req.session.n);
        });
        app.get('/wrong', (req, res) => ((req.session.n = 9), void res.end()));
      },
      { readOnly: ({ method }) => method === 'GET' },
      1,
    );
    const client = world.client();
    await client.post('set/1');
    const answers = await Promise.all(Array.from({ length: 30 }, () => client.get('part')));
    expect(answers.map(({ text }) => text)).toEqual(Array(30).fill('1'));
    expect((await client.get('wrong')).status).toBe(500);
    await world.ends(client, { n: 1 });
  });
});

it('an option that is wrong stops the start, by its name', () => {
  const options = { secret: '', name: 1, unset: 'no', waitMs: -1, store: {}, sessions: {} } as never;
  expect(() => lockedSession(options)).toThrow(
    /'sessions' must be .*'secret' must be .*'store' must be .*'name' must be .*'unset' must be .*'waitMs' must be /s,
  );
});
