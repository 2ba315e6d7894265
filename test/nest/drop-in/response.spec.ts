/**
 * The drop-in for express-session in the life of a response, until its end. docs/DROP-IN.md names the cases
 * by number.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import { counter, latch, onEachExpress } from './servers.js';

onEachExpress((start) => {
  it('case 1: a redirect is followed to another server, which has the change', async () => {
    const world = await start((app) => {
      app.post('/add', (req, res) => {
        req.session.n = (req.session.n ?? 0) + 1;
        res.redirect('/show');
      });
      app.get('/show', (req, res) => void res.json(req.session.n ?? null));
    });
    const client = world.client();
    for (let n = 1; n <= 4; n++) {
      const { status, headers } = await client.post('add');
      expect([status, headers.get('location')]).toEqual([302, '/show']);
      expect((await client.get('show')).text).toBe(String(n));
    }
    await world.ends(client, { n: 4 });
  });

  it('case 1: 32 parallel requests with an await inside lose nothing on two servers', async () => {
    const world = await start((app) => {
      app.post('/add', async (req, res) => {
        const n = req.session.n ?? 0;
        await new Promise(setImmediate);
        req.session.n = n + 1;
        res.json(n + 1);
      });
    });
    const client = world.client();
    await client.post('add');
    const answers = await Promise.all(Array.from({ length: 32 }, () => client.post('add')));
    expect(answers.map(({ status }) => status)).toEqual(Array(32).fill(200));
    expect(answers.map(({ text }) => Number(text)).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 32 }, (_, i) => i + 2),
    );
    await world.ends(client, { n: 33 });
  });

  it('case 5: a client that hangs up while its handler runs: the change is kept, and only then the lock goes', async () => {
    const gate = latch();
    const world = await start((app) => {
      app.get('/first', (req, res) => ((req.session.n = 0), void res.end()));
      app.post('/slow', async (req, res) => {
        await gate.pass();
        req.session.n = 7;
        res.end();
      });
      app.get('/show', (req, res) => void res.json(req.session.n));
    });
    const client = world.client();
    await client.get('first');
    const hangUp = new AbortController();
    const slow = client.post('slow', { signal: hangUp.signal, server: 0 });
    await gate.entered;
    hangUp.abort();
    await expect(slow).rejects.toThrow('aborted');
    const waiting = client.get('show', { server: 1 });
    gate.goOn();
    expect((await waiting).text).toBe('7');
    await world.ends(client, { n: 7 });
  });

  it('case 2: the cookie of a first visit comes when the session is there for every server', async () => {
    const world = await start(counter);
    for (let i = 0; i < 8; i++) {
      const client = world.client();
      await client.post('set/3', { server: i % 2 });
      const answers = await Promise.all([0, 1].map((server) => client.get('show', { server })));
      expect(answers.map(({ text, cookies }) => [text, cookies.length])).toEqual([
        ['3', 0],
        ['3', 0],
      ]);
      await world.ends(client, { n: 3 });
    }
  });

  it('case 3: what is changed after the head has left is kept at the end', async () => {
    let gate = latch();
    const world = await start((app) => {
      counter(app, () => {});
      app.post('/early/:how', async (req, res) => {
        if (req.params.how === 'write') res.write('a');
        else res.writeHead(200, { 'x-early': 'yes' }).flushHeaders();
        await gate.pass();
        req.session.n = 9;
        res.end('b');
      });
    });
    for (const how of ['write', 'flush']) {
      gate = latch();
      const client = world.client();
      await client.post('set/1');
      const begun = await client.begin(`early/${how}`, { method: 'POST', server: 0 });
      gate.goOn();
      expect(await begun.text()).toBe(how === 'write' ? 'ab' : 'b');
      expect((await client.get('show', { server: 1 })).text).toBe('9');
      await world.ends(client, { n: 9 });
    }
  });

  it('case 3: a new session that no cookie can tell any more is not kept, and the log says so once', async () => {
    let gate = latch();
    const world = await start((app) => {
      app.post('/late', async (req, res) => {
        res.write('a');
        await gate.pass();
        req.session.n = 9;
        res.end('b');
      });
    });
    const ids: string[] = [];
    for (const its of world.sessions)
      vi.spyOn(its, 'newId').mockImplementation(() => (ids.push(`late-${ids.length}`), ids.at(-1)!));
    for (let i = 0; i < 2; i++) {
      gate = latch();
      const begun = await world.client().begin('late', { method: 'POST', server: 0 });
      gate.goOn();
      expect([begun.status, begun.headers.getSetCookie(), await begun.text()]).toEqual([200, [], 'ab']);
    }
    expect(world.warnings.filter((line) => line.includes('no cookie can tell it'))).toHaveLength(1);
    expect(ids).toHaveLength(2);
    for (const id of ids) await world.ends(id, undefined);
  });

  it('case 4: a body in pieces, and a change at its end: others wait, and see it', async () => {
    const gate = latch();
    const world = await start((app) => {
      counter(app, () => {});
      app.get('/pieces', async (req, res) => {
        for (let i = 0; i < 5; i++) {
          res.write(`${i} `);
          await delay(10);
        }
        await gate.pass();
        req.session.n = 5;
        res.end('end');
      });
    });
    const client = world.client();
    await client.post('set/1');
    const pieces = client.get('pieces', { server: 0 });
    await gate.entered;
    const waiting = client.get('show', { server: 1 });
    gate.goOn();
    expect((await pieces).text).toBe('0 1 2 3 4 end');
    expect((await waiting).text).toBe('5');
    await world.ends(client, { n: 5 });
  });

  it('case 5: a client that hangs up while it waits: its handler is not called', async () => {
    const gate = latch();
    let called = 0;
    const world = await start((app) => {
      counter(app, () => {});
      app.get('/slow', async (_req, res) => (await gate.pass(), void res.end()));
      app.get('/called', (_req, res) => ((called += 1), void res.end()));
    });
    const client = world.client();
    await client.post('set/1');
    const slow = client.get('slow', { server: 0 });
    await gate.entered;
    const hangUp = new AbortController();
    const waiting = client.get('called', { server: 1, signal: hangUp.signal });
    await vi.waitFor(() => expect(world.sessions[1]!.counters().waiting).toBe(1));
    hangUp.abort();
    await expect(waiting).rejects.toThrow('aborted');
    await vi.waitFor(() => expect(world.sessions[1]!.counters().waiting).toBe(0));
    gate.goOn();
    expect((await slow).status).toBe(200);
    await world.ends(client, { n: 1 });
    expect(called).toBe(0);
  });

  it('case 5: a client that hangs up in a stream: the lock is free when it has gone', async () => {
    const world = await start((app) => {
      counter(app, () => {});
      app.get('/stream', (req, res) => {
        req.session.n = 2;
        res.write('begun');
      });
    });
    const client = world.client();
    await client.post('set/1');
    const hangUp = new AbortController();
    await client.begin('stream', { signal: hangUp.signal });
    hangUp.abort();
    await world.ends(client, { n: 2 });
  });

  it('case 6: a handler that never answers: others get 503 after waitMs, the log names it, and its client frees the lock', async () => {
    const gate = latch();
    const world = await start(
      (app) => {
        counter(app, () => {});
        app.get('/never', () => void gate.pass());
      },
      { waitMs: 100, goneMs: 50 },
    );
    const client = world.client();
    await client.post('set/1');
    const hangUp = new AbortController();
    const never = client.get('never', { server: 0, signal: hangUp.signal });
    await gate.entered;
    const { status, headers } = await client.get('show', { server: 0 });
    expect([status, headers.get('retry-after')]).toEqual([503, '1']);
    expect(world.warnings.join()).toMatch(/GET \/show did not get .* held by .*GET \/never/s);
    hangUp.abort();
    await expect(never).rejects.toThrow('aborted');
    expect((await client.get('show', { server: 1 })).text).toBe('1');
    await world.ends(client, { n: 1 });
  });

  it('case 7: a read-only event stream holds up no reader', async () => {
    const world = await start(
      (app) => {
        counter(app, () => {});
        app.get(
          '/events',
          (_req, res) =>
            void res.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n'),
        );
      },
      { readOnly: ({ method }) => method === 'GET' },
    );
    const client = world.client();
    await client.post('set/4', { server: 0 });
    const hangUp = new AbortController();
    await client.begin('events', { server: 0, signal: hangUp.signal });
    expect((await client.get('show', { server: 0 })).text).toBe('4');
    hangUp.abort();
    await world.ends(client, { n: 4 });
  });

  it('case 7: another stream keeps the lock for streamMs, and the log names it', async () => {
    const world = await start(
      (app) => {
        counter(app, () => {});
        app.get('/events', (_req, res) => void res.write('data: 1\n\n'));
      },
      { streamMs: 50 },
    );
    const client = world.client();
    await client.post('set/4');
    const hangUp = new AbortController();
    await client.begin('events', { server: 0, signal: hangUp.signal });
    expect((await client.get('show', { server: 1 })).text).toBe('4');
    expect(
      world.warnings.filter((line) => /GET \/events has lost the lock .* 50 ms/.test(line)),
    ).toHaveLength(1);
    hangUp.abort();
    await world.ends(client, { n: 4 });
  });
});
