/**
 * Passport, connect-flash and csrf-sync over the drop-in for express-session, and requests beside a login.
 * docs/DROP-IN.md names the cases by number.
 */
import flash from 'connect-flash';
import { csrfSync } from 'csrf-sync';
import express from 'express';
import passport from 'passport';
import { Strategy } from 'passport-local';
import { expect, it } from 'vitest';
import { counter, latch, onEachExpress, type Routes } from './servers.js';

/** An application with logins as Passport's documents have them. */
function passportRoutes(gate?: ReturnType<typeof latch>): Routes {
  const its = new passport.Passport();
  its.use(
    new Strategy((username, password, done) => done(null, password === 'right' ? { username } : false)),
  );
  its.serializeUser((user, done) => done(null, (user as { username: string }).username));
  its.deserializeUser((username, done) => done(null, { username }));
  return (app) => {
    app.use(express.urlencoded({ extended: false }), its.session());
    counter(app, () => {});
    const credentials = its.authenticate('local', { keepSessionInfo: true }) as express.RequestHandler;
    app.post('/login', credentials, async (_req, res) => (await gate?.pass(), res.redirect('/me')));
    app.get(
      '/me',
      (req, res) => void res.json((req.user as { username: string } | undefined)?.username ?? null),
    );
    app.post('/logout', (req, res, next) =>
      req.logout({ keepSessionInfo: true }, (error) => (error ? next(error) : res.redirect('/'))),
    );
  };
}

const credentials = {
  headers: { 'content-type': 'application/x-www-form-urlencoded' },
  body: 'username=Ada&password=right',
};

onEachExpress((start) => {
  it('case 49: Passport logs in and out: new ids, the kept values under them alone', async () => {
    const world = await start(passportRoutes());
    const client = world.client();
    await client.post('set/4');
    const visitor = client.id!;
    const wrong = { ...credentials, body: 'username=Ada&password=wrong' };
    expect((await client.post('login', wrong)).status).toBe(401);
    expect((await client.post('login', credentials)).status).toBe(302);
    const user = client.id!;
    expect((await client.get('me')).text).toBe('"Ada"');
    await world.ends(client, { n: 4, passport: { user: 'Ada' } });
    await world.ends(visitor, undefined);
    expect((await client.post('logout')).status).toBe(302);
    expect((await client.get('me')).text).toBe('null');
    await world.ends(user, undefined);
    await world.ends(client, { n: 4, passport: {} });
  });

  it('case 32: a login beside page loads of the old id: they set no cookie, and the user stays logged in', async () => {
    const gate = latch();
    const world = await start(passportRoutes(gate), { saveUninitialized: true });
    const client = world.client();
    await client.post('set/1');
    const { cookie } = client;
    const login = client.post('login', { ...credentials, server: 0 });
    await gate.entered;
    const loads = [0, 1, 0, 1].map(async (server) => {
      const { status, cookies, text } = await client.get('show', { server, headers: { cookie: cookie! } });
      return [status, cookies.length, text];
    });
    gate.goOn();
    expect((await login).status).toBe(302);
    for (const load of loads) expect(await load).toEqual([200, 0, 'null']);
    expect((await client.get('me')).text).toBe('"Ada"');
    await world.ends(client, { n: 1, passport: { user: 'Ada' } });
  });

  it('case 32: by a setting they get 409', async () => {
    const world = await start(passportRoutes(), { ended: 'refuse' });
    const client = world.client();
    await client.post('set/1');
    const headers = { cookie: client.cookie! };
    await client.post('login', credentials);
    for (const server of [0, 1]) {
      const { status, cookies } = await client.get('show', { server, headers });
      expect([status, cookies]).toEqual([409, []]);
    }
    await world.ends(client, { n: 1, passport: { user: 'Ada' } });
  });

  it('case 44: with rolling a request of the old id never sends it after the login', async () => {
    const world = await start(passportRoutes(), { rolling: true });
    const client = world.client();
    await client.post('set/1');
    const { cookie } = client;
    const beside = [0, 1].map((server) => client.get('show', { server, headers: { cookie: cookie! } }));
    const login = client.post('login', { ...credentials, server: 0 });
    const late = [0, 1].map((server) => client.get('show', { server, headers: { cookie: cookie! } }));
    await Promise.all([...beside, login, ...late]);
    const line = (await login).cookies[0]!;
    client.cookie = line.split(';')[0];
    expect((await client.get('me')).text).toBe('"Ada"');
    const after = await client.get('show', { headers: { cookie: cookie! } });
    expect(after.cookies).toEqual([]);
    await world.ends(client, { n: 1, passport: { user: 'Ada' } });
  });

  it('case 33: a state that is saved before a redirect is there at the callback, beside page loads', async () => {
    const world = await start((app) => {
      counter(app, () => {});
      app.get('/authorize/:tab', (req, res, next) => {
        const states = req.session as unknown as { states?: Record<string, string> };
        (states.states ??= {})[req.params.tab] = `state of ${req.params.tab}`;
        req.session.save((error) => (error ? next(error) : res.redirect(`/callback/${req.params.tab}`)));
      });
      app.get('/callback/:tab', (req, res) => {
        const { states } = req.session as unknown as { states?: Record<string, string> };
        res.json(states?.[req.params.tab] ?? null);
        delete states?.[req.params.tab];
      });
    });
    const client = world.client();
    await client.post('set/1');
    const tabs = ['a', 'b'].map(async (tab) => {
      await client.get(`authorize/${tab}`);
      return (await client.get(`callback/${tab}`)).text;
    });
    const loads = Array.from({ length: 8 }, () => client.get('show'));
    expect(await Promise.all(tabs)).toEqual(['"state of a"', '"state of b"']);
    await Promise.all(loads);
    await world.ends(client, { n: 1, states: {} });
  });

  it('case 34: a flash is shown exactly once, after a redirect and in two tabs', async () => {
    const world = await start((app) => {
      app.use(flash());
      app.post('/note', (req, res) => (req.flash('info', 'done'), res.redirect('/notes')));
      app.get('/notes', (req, res) => void res.json(req.flash('info')));
    });
    const client = world.client();
    await client.post('note');
    for (let i = 0; i < 4; i++) {
      await client.post('note', { server: i % 2 });
      const shown = await Promise.all([0, 1].map((server) => client.get('notes', { server })));
      const texts = shown.flatMap(({ text }) => JSON.parse(text) as string[]);
      expect(texts).toEqual(Array(i === 0 ? 2 : 1).fill('done'));
    }
    await world.ends(client, { flash: {} });
  });

  it('case 35: two first pages at once have one secret, and their tokens are valid at once on another server', async () => {
    const { generateToken, csrfSynchronisedProtection } = csrfSync();
    const world = await start((app) => {
      counter(app, () => {});
      app.get('/token', (req, res) => void res.json(generateToken(req)));
      app.post(
        '/guarded',
        csrfSynchronisedProtection,
        (req, res) => ((req.session.user = 'Ada'), void res.end()),
      );
    });
    const client = world.client();
    await client.post('set/1');
    const pages = await Promise.all([0, 1].map((server) => client.get('token', { server })));
    const tokens = pages.map(({ text }) => JSON.parse(text) as string);
    expect(tokens[0]).toBe(tokens[1]);
    for (const [i, token] of tokens.entries())
      expect(
        (await client.post('guarded', { server: 1 - i, headers: { 'x-csrf-token': token } })).status,
      ).toBe(200);
    expect((await client.post('guarded', { headers: { 'x-csrf-token': 'wrong' } })).status).toBe(403);
    await world.ends(client, { n: 1, user: 'Ada', csrfToken: tokens[0] });
  });

  it('case 36: an upload that is read before the middleware holds up nobody', async () => {
    const gate = latch();
    const world = await start((app, use) => {
      app.post('/upload', (req, _res, next) => {
        req.once('data', () => void gate.pass());
        req.once('end', next);
      });
      use();
      counter(app, use);
      app.post('/upload', (req, res) => ((req.session.user = 'Ada'), void res.end()));
    });
    const client = world.client();
    await client.post('set/1');
    let end!: () => void;
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('a part'));
        end = () => controller.close();
      },
    });
    const upload = client.post('upload', { body, duplex: 'half', server: 0 });
    await gate.entered;
    expect((await client.get('show', { server: 1 })).text).toBe('1');
    end();
    expect((await upload).status).toBe(200);
    await world.ends(client, { n: 1, user: 'Ada' });
  });

  it('case 40: a server that closes while a request runs: saved, and the lock given back', async () => {
    const gate = latch();
    const world = await start((app) => {
      counter(app, () => {});
      app.post('/slow', async (req, res) => (await gate.pass(), (req.session.n = 2), void res.end()));
      app.post('/never', (_req, res) => void res.on('close', () => {}));
    });
    const [client, stuck] = [world.client(), world.client()];
    await client.post('set/1');
    await stuck.post('set/5');
    const slow = client.post('slow', { server: 0 });
    stuck.post('never', { server: 0 }).catch(() => {}); // the test's end closes its connection
    await gate.entered;
    const closing = world.sessions[0]!.close();
    gate.goOn();
    expect((await slow).status).toBe(200);
    await closing;
    await world.ends(client, { n: 2 });
    await world.ends(stuck, { n: 5 });
  });
});
