/** The methods of `req.session` and `req.sessionStore`. docs/DROP-IN.md names the cases by number. */
import { promisify } from 'node:util';
import type { Request } from 'express';
import { expect, it } from 'vitest';
import { lockedSession } from '#express';
import { counter, latch, onEachExpress, secret, type Routes } from './servers.js';

/** A method of the request's session, as a promise. */
function called(req: Request, name: 'save' | 'reload' | 'regenerate' | 'destroy'): Promise<void> {
  const { session } = req;
  return promisify((done: (error?: unknown) => void) => void session[name](done))();
}

/** The code of the error that a promise rejects with. */
function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'none',
    (error: { readonly code?: unknown }) => error.code ?? 'another error',
  );
}

onEachExpress((start) => {
  it('case 13: save() is durable when it calls back, once, and what follows is kept, too', async () => {
    let calls = 0;
    const world = await start((app) => {
      counter(app, () => {});
      app.post('/save/:more', (req, res) => {
        req.session.n = 2;
        req.session.save((error) => {
          calls += 1;
          if (req.params.more === 'more') req.session.n = 3;
          res.json(error ? 'failed' : 'saved');
        });
      });
    });
    const client = world.client();
    await client.post('set/1', { server: 0 });
    const before = world.sessions[0]!.counters().commits;
    expect((await client.post('save/none', { server: 0 })).text).toBe('"saved"');
    expect(world.sessions[0]!.counters().commits).toBe(before + 1);
    expect((await client.post('save/more', { server: 0 })).text).toBe('"saved"');
    expect(calls).toBe(2);
    await world.ends(client, { n: 3 });
  });

  it('case 14: two saves at once are made in their order', async () => {
    const order: number[] = [];
    const world = await start((app) => {
      app.post('/twice', (req, res) => {
        req.session.n = 1;
        req.session.save(() => order.push(1));
        req.session.n = 2;
        req.session.save(() => (order.push(2), void res.end()));
      });
    });
    const client = world.client();
    await client.post('twice');
    expect(order).toEqual([1, 2]);
    await world.ends(client, { n: 2 });
  });

  it('case 14: save() after the answer takes the lock anew, and fails when somebody has changed the same', async () => {
    const kept: Request[] = [];
    const world = await start((app) => {
      counter(app, () => {});
      app.get('/keep', (req, res) => (kept.push(req), void res.end()));
    });
    const client = world.client();
    await client.post('set/1');
    await client.get('keep');
    await client.get('keep');
    kept[0]!.session.user = 'Ada';
    await called(kept[0]!, 'save');
    await world.ends(client, { n: 1, user: 'Ada' });
    await client.post('set/2');
    kept[1]!.session.n = 7;
    expect(await codeOf(called(kept[1]!, 'save'))).toBe('lock-lost');
    await world.ends(client, { n: 2, user: 'Ada' });
  });

  it('case 15: reload() gives what is committed, drops own changes, and does not wait for itself', async () => {
    const world = await start((app) => {
      counter(app, () => {});
      app.post('/reload', async (req, res) => {
        req.session.n = 2;
        await called(req, 'save');
        req.session.n = 3;
        req.session.user = 'Eve';
        await called(req, 'reload');
        res.json([req.session.n, Object.keys(req.session)]);
      });
      app.post('/reload/new', async (req, res) => void res.json(await codeOf(called(req, 'reload'))));
    });
    const client = world.client();
    await client.post('set/1');
    expect((await client.post('reload')).text).toBe('[2,["cookie","n"]]');
    await world.ends(client, { n: 2 });
    expect((await world.client().post('reload/new')).text).toBe('"session-destroyed"');
  });

  it('case 16: regenerate() calls back when the old id is dead everywhere, and the cookie tells the new one', async () => {
    const gate = latch();
    const world = await start((app) => {
      counter(app, () => {});
      app.post('/login', async (req, res) => {
        const { session, sessionID } = req;
        await called(req, 'regenerate');
        const { n } = req.session;
        await gate.pass();
        req.session.user = 'Ada';
        res.json({ n, isOther: req.session !== session && req.sessionID !== sessionID });
      });
    });
    const client = world.client();
    await client.post('set/1');
    const old = client.id!;
    const login = client.post('login', { server: 0 });
    await gate.entered;
    await world.ends(old, undefined);
    gate.goOn();
    const { text, cookies } = await login;
    expect([text, cookies.length]).toEqual(['{"isOther":true}', 1]);
    expect(client.id).not.toBe(old);
    await world.ends(client, { user: 'Ada' });
    await world.ends(old, undefined);
  });

  it.each(['awaited', 'begun'])(
    'case 17: destroy() %s: durable, no slower request brings the session back, and the cookie is cleared',
    async (how) => {
      const gate = latch();
      const world = await start((app) => {
        counter(app, () => {});
        app.post('/logout', async (req, res) => {
          await gate.pass();
          const done = called(req, 'destroy');
          expect(req.session).toBeUndefined();
          if (how === 'awaited') await done;
          res.end();
        });
      });
      const client = world.client();
      await client.post('set/1');
      const { cookie, id } = client;
      const logout = client.post('logout', { server: 0 });
      await gate.entered;
      const slower = world.client();
      slower.cookie = cookie;
      const waiting = slower.post('set/2', { server: 1 });
      gate.goOn();
      expect((await logout).cookies).toEqual([
        expect.stringMatching(/^connect\.sid=;.*Expires=Thu, 01 Jan 1970/),
      ]);
      expect([(await waiting).status, (await waiting).cookies]).toEqual([409, []]);
      await world.ends(id!, undefined);
    },
  );

  it('case 17: the cookie stays after destroy() by a setting', async () => {
    const world = await start(
      (app) => {
        counter(app, () => {});
        app.post('/logout', async (req, res) => (await called(req, 'destroy'), void res.end()));
      },
      { clearCookie: false },
    );
    const client = world.client();
    await client.post('set/1');
    const { id } = client;
    expect((await client.post('logout')).cookies).toEqual([]);
    await world.ends(id!, undefined);
  });

  it('case 18: of three parallel regenerate() of one id one wins, and the others get no session', async () => {
    const world = await start((app) => {
      counter(app, () => {});
      app.post('/renew', async (req, res) => {
        const code = await codeOf(called(req, 'regenerate'));
        if (code === 'none') req.session.n = 9;
        res.json(code);
      });
    });
    const client = world.client();
    await client.post('set/1');
    const { cookie, id } = client;
    const answers = await Promise.all(
      [0, 1, 0].map(async (server) => {
        const other = world.client();
        other.cookie = cookie;
        const { text, cookies } = await other.post('renew', { server });
        if (cookies.length > 0) client.cookie = other.cookie;
        return `${text} ${cookies.length}`;
      }),
    );
    const lost = '"session-destroyed" 0';
    expect(answers.toSorted((a, b) => a.localeCompare(b))).toEqual(['"none" 1', lost, lost]);
    await world.ends(client, { n: 9 });
    await world.ends(id!, undefined);
  });

  it('case 19: touch() of the store writes no data, brings nothing back, and is no error', async () => {
    const world = await start((app) => {
      counter(app, () => {});
      app.get('/plain', (_req, res) => void res.end());
      app.post('/touch/:id', (req, res) =>
        req.sessionStore.touch!(
          req.params.id,
          { n: 77, cookie: req.session.cookie } as never,
          ((error?: unknown) => res.json(error ?? 'touched')) as never,
        ),
      );
      app.post('/logout', async (req, res) => (await called(req, 'destroy'), void res.end()));
    });
    const client = world.client();
    await client.post('set/1', { server: 0 });
    const id = client.id!;
    const before = world.sessions[0]!.counters().commits;
    await client.get('plain', { server: 0 });
    expect(world.sessions[0]!.counters().commits).toBe(before);
    const other = world.client();
    expect((await other.post(`touch/${id}`)).text).toBe('"touched"');
    await world.ends(client, { n: 1 });
    await client.post('logout');
    expect((await other.post(`touch/${id}`)).text).toBe('"touched"');
    await world.ends(id, undefined);
  });

  it.each([
    [null, 'keep', { n: 1 }],
    [{}, 'keep', { n: 1 }],
    [null, 'destroy', undefined],
    [{}, 'destroy', undefined],
  ] as const)('case 20: req.session = %j with unset: %s', async (value, unset, values) => {
    const world = await start(
      (app) => {
        counter(app, () => {});
        app.post('/unset', (req, res) => {
          req.session.n = 5;
          Object.assign(req, { session: value });
          res.end();
        });
      },
      { unset },
    );
    const client = world.client();
    await client.post('set/1');
    const id = client.id!;
    expect((await client.post('unset')).status).toBe(200);
    await world.ends(id, values);
  });

  it('case 21: the middleware twice in a request: the second one passes, and there is one lock', async () => {
    const world = await start((app, use) => {
      use();
      use();
      counter(app, use);
    });
    const client = world.client();
    await client.post('set/1', { server: 0 });
    const { scopes } = world.sessions[0]!.counters();
    await client.post('set/2', { server: 0 });
    expect(world.sessions[0]!.counters().scopes).toBe(scopes + 1);
    await world.ends(client, { n: 2 });
  });

  it('case 43: the store by hand, in the own request and for other sessions, by callback and by promise', async () => {
    const routes: Routes = (app) => {
      counter(app, () => {});
      app.post('/by-hand/:id', async (req, res) => {
        const store = req.sessionStore as unknown as {
          get(id: string): Promise<{ n?: number } | undefined>;
          set(id: string, values: object): Promise<void>;
          destroy(id: string): Promise<void>;
        };
        const own = await store.get(req.sessionID);
        const theirs = await store.get(req.params.id);
        await store.set(req.params.id, { ...theirs, n: 20 });
        req.session.n = 10;
        await store.set(req.sessionID, req.session);
        const loaded = await promisify(req.sessionStore.load.bind(req.sessionStore))(req.params.id);
        res.json([own?.n, theirs?.n, (loaded as unknown as { n: number }).n, await store.get('nobody')]);
      });
    };
    const world = await start(routes);
    const [client, other] = [world.client(), world.client()];
    await client.post('set/1');
    await other.post('set/2');
    expect((await client.post(`by-hand/${other.id}`)).text).toBe('[1,2,20,null]');
    await world.ends(client, { n: 10 });
    await world.ends(other, { n: 20 });
  });

  it('case 8: the request of a WebSocket, whose response is {}: read, and locked for each call', async () => {
    const world = await start((app) => {
      counter(app, () => {});
      app.post('/logout', async (req, res) => (await called(req, 'destroy'), void res.end()));
    });
    const client = world.client();
    await client.post('set/1');
    const id = client.id!;
    const upgrade = { headers: { cookie: client.cookie }, url: '/', method: 'GET' } as Request;
    const middleware = lockedSession({ secret, sessions: world.sessions[0]! });
    await promisify((done: (error?: unknown) => void) => middleware(upgrade, {} as never, done))();
    expect(upgrade.session.n).toBe(1);
    await world.ends(client, { n: 1 });
    await client.post('set/2');
    await called(upgrade, 'reload');
    expect(upgrade.session.n).toBe(2);
    upgrade.session.n = 3;
    await called(upgrade, 'save');
    await world.ends(client, { n: 3 });
    await client.post('logout');
    expect(await codeOf(called(upgrade, 'save'))).toBe('session-destroyed');
    upgrade.session.n = 4;
    expect(await codeOf(called(upgrade, 'save'))).toBe('session-destroyed');
    await world.ends(id, undefined);
  });
});
