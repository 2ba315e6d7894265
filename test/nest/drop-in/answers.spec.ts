/**
 * The drop-in for express-session and what its clients are answered: forms of answers, failures and refusals.
 * docs/DROP-IN.md names the cases by number.
 */
import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import compression from 'compression';
import type { Response } from 'express';
import { expect, it, vi } from 'vitest';
import { counter, latch, onEachExpress, type Routes } from './servers.js';

onEachExpress((start) => {
  it('case 9: changes before a failure are kept, as by express-session, and by a setting dropped', async () => {
    const routes: Routes = (app) => {
      counter(app, () => {});
      app.post('/fail', (req) => {
        req.session.n = 8;
        throw new Error('it has failed');
      });
    };
    const keeping = await start(routes);
    const kept = keeping.client();
    await kept.post('set/1');
    expect((await kept.post('fail')).status).toBe(500);
    await keeping.ends(kept, { n: 8 });
    const dropping = await start(routes, { drops: (_request, status) => status >= 500 });
    const dropped = dropping.client();
    await dropped.post('set/1');
    expect((await dropped.post('fail')).status).toBe(500);
    await dropping.ends(dropped, { n: 1 });
  });

  it('case 10: HEAD, 204, 304, an empty body and a Content-Length are as without a session', async () => {
    const routes: Routes = (app) => {
      app.all('/empty', (req, res) => ((req.session.n = 1), void res.end()));
      app.all('/none', (req, res) => ((req.session.n = 1), void res.status(204).end()));
      app.all('/same', (req, res) => ((req.session.n = 1), void res.set('etag', '"a"').status(304).end()));
      app.all('/long', (req, res) => {
        req.session.n = 1;
        res.set('content-length', '10');
        res.write('01234');
        res.end('56789');
      });
      app.all('/json', (req, res) => ((req.session.n = 1), void res.json({ n: 1 })));
    };
    const world = await start(routes);
    const plain = await start((app, _use) => {
      app.use((req, _res, next) => (Object.assign(req, { session: {} }), next()));
      routes(app, () => {});
    });
    for (const path of ['empty', 'none', 'same', 'long', 'json']) {
      for (const method of ['GET', 'HEAD']) {
        const client = world.client();
        const [mine, theirs] = await Promise.all([
          client.request(path, { method }),
          plain.client().request(path, { method }),
        ]);
        const shape = ({ status, text, headers }: typeof mine) => {
          const names = [...headers].filter(([name]) => !['date', 'set-cookie'].includes(name));
          return { status, text, headers: names };
        };
        expect(shape(mine)).toEqual(shape(theirs));
        expect(mine.cookies).toHaveLength(1);
        await world.ends(client, { n: 1 });
      }
    }
  });

  it('case 10: a preflight makes no session, and no message', async () => {
    const world = await start(
      (app) => void app.options('/x', (_req, res) => void res.set('access-control-allow-origin', '*').end()),
      { saveUninitialized: true },
      1,
    );
    const client = world.client();
    const before = world.sessions[0]!.counters();
    const preflight = { method: 'OPTIONS', headers: { 'access-control-request-method': 'POST' } };
    expect((await client.request('x', preflight)).cookies).toEqual([]);
    const after = world.sessions[0]!.counters();
    expect([after.scopes - before.scopes, after.held, after.sessions]).toEqual([1, 0, 0]);
    expect((await client.request('x', { method: 'OPTIONS' })).cookies).toHaveLength(1);
    await world.ends(client, {});
  });

  it('case 11: compression before or after the session, a file, and the forms of end()', async () => {
    const text = 'a long text that can be compressed. '.repeat(200);
    const file = fileURLToPath(new URL('../../../package.json', import.meta.url));
    const told: unknown[] = [];
    const routes: Routes = (app) => {
      app.get('/text', (req, res) => ((req.session.n = 1), void res.type('text').send(text)));
      app.get(
        '/file',
        (req, res) => ((req.session.n = 1), void createReadStream(file).pipe(res.type('text'))),
      );
      app.get('/sent', (req, res) => ((req.session.n = 1), void res.sendFile(file)));
      const forms: Record<string, (res: Response) => unknown> = {
        callback: (res) => res.end(() => told.push('callback')),
        chunk: (res) => res.end('chunk', () => told.push('chunk')),
        encoding: (res) => res.end('6368756e6b', 'hex', () => told.push('encoding')),
      };
      app.get('/end/:form', (req, res) => {
        req.session.n = 1;
        told.push(forms[req.params.form]!(res) === res);
      });
    };
    const before = await start(
      (app, use) => (app.use(compression({ threshold: 0 })), use(), routes(app, use)),
    );
    const after = await start(
      (app, use) => (use(), app.use(compression({ threshold: 0 })), routes(app, use)),
    );
    const without = await start(routes);
    for (const world of [before, after, without]) {
      for (const path of ['text', 'file', 'sent']) {
        const client = world.client();
        const answer = await client.get(path);
        expect(answer.headers.get('content-encoding')).toBe(world === without ? null : 'gzip');
        expect(answer.text).toBe(path === 'text' ? text : await readFile(file, 'utf8'));
        await world.ends(client, { n: 1 });
      }
    }
    for (const form of ['callback', 'chunk', 'encoding']) {
      const client = without.client();
      const { text } = await client.get(`end/${form}`);
      expect(text).toBe(form === 'callback' ? '' : 'chunk');
      await vi.waitFor(() => expect(told.splice(0)).toEqual([true, form]));
      await without.ends(client, { n: 1 });
    }
  });

  it('case 11: an end() that is called twice is one', async () => {
    const world = await start((app) => {
      app.post('/twice', (req, res) => {
        req.session.n = 1;
        res.end('once');
        res.end();
      });
    });
    const client = world.client();
    const { status, text } = await client.post('twice');
    expect([status, text]).toEqual([200, 'once']);
    await world.ends(client, { n: 1 });
  });

  it('case 12: a change that is refused after a 200: its client gets 503, or 413', async () => {
    const gate = latch();
    const world = await start((app) => {
      counter(app, () => {});
      app.post('/refused', async (req, res) => {
        req.session.n = 2;
        await gate.pass();
        res.status(200).set('x-done', 'yes').json('done');
      });
      app.post('/large', (req, res) => ((req.session.user = 'x'.repeat(2_000_000)), void res.json('done')));
    });
    const client = world.client();
    await client.post('set/1');
    expect((await client.post('large')).status).toBe(413);
    await world.ends(client, { n: 1 });
    const refused = client.post('refused');
    await gate.entered;
    const restore = await world.loseStore();
    gate.goOn();
    const { status, headers, text } = await refused;
    expect([status, headers.get('x-done'), text.includes('done')]).toEqual([503, null, false]);
    await restore();
    // It was not known what had become of the change, and it was made in the end.
    await world.ends(client, { n: 2 });
  });

  it('case 12: a change that is refused when the head has left: the connection is cut before the last byte', async () => {
    const gate = latch();
    const world = await start((app) => {
      counter(app, () => {});
      app.post('/refused/:how', async (req, res) => {
        if (req.params.how === 'told') res.set('content-length', '4');
        res.write('ab');
        await gate.pass();
        req.session.n = 2;
        res.write('cd');
        res.end();
      });
    });
    const clients = [world.client(), world.client()];
    for (const client of clients) await client.post('set/1');
    const begun = await Promise.all(
      clients.map((client, i) => client.begin(`refused/${['told', 'chunked'][i]}`, { method: 'POST' })),
    );
    const restore = await world.loseStore();
    gate.goOn();
    for (const response of begun) {
      expect(response.status).toBe(200);
      await expect(response.text()).rejects.toThrow('terminated');
    }
    await restore();
    for (const client of clients) await world.ends(client, { n: 2 });
  });

  it.each(['null', 'id', 'hijack'])('case 42: %s: the lock is free, and nothing is kept', async (how) => {
    const world = await start(
      (app) => {
        counter(app, () => {});
        app.post('/end/:how', (req, res) => {
          req.session.n = 2;
          if (req.params.how === 'null') Object.assign(req, { session: null });
          if (req.params.how === 'id') Object.assign(req, { sessionID: undefined });
          if (req.params.how === 'hijack') return void res.socket!.destroy();
          res.end();
        });
      },
      { goneMs: 50 },
    );
    const client = world.client();
    await client.post('set/1');
    const ended = client.post(`end/${how}`).then(
      ({ status }) => status,
      () => 'cut',
    );
    expect(await ended).toBe(how === 'hijack' ? 'cut' : 200);
    await world.ends(client, { n: how === 'hijack' ? 2 : 1 });
  });
});
