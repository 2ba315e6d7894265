// The meter in applications of Express, with express-session and its MemoryStore: beside the number of
// updates that were really lost. A gate in the handler makes all requests read before any of them saves.
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { Express } from 'express';
import session from 'express-session';
import { ExpressAdapter } from '@nestjs/platform-express';
import { afterEach, describe, expect, it } from 'vitest';
import { lostUpdateMeter, type LostUpdateMeter } from './meter.js';
import { Client, Gate } from './testing/browser.js';

interface Data {
  n?: number;
  items?: number[];
}
type Own = session.Session & { readonly req: { readonly session: unknown } };
type Change = (data: Data, own: Own) => unknown;

const servers: Server[] = [];
afterEach(() => Promise.all(servers.splice(0).map(async (server) => server.close())));

/** A server with a route for each change. */
async function serve(store: session.Store, changes: Readonly<Record<string, Change>>): Promise<Client> {
  const app = new ExpressAdapter().getInstance<Express>();
  const uses: Partial<session.SessionOptions> = { resave: false, saveUninitialized: true };
  app.use(session({ store, secret: 'of a test', ...uses }));
  for (const [path, change] of Object.entries(changes)) {
    app.post(path, (request, response, next) => {
      Promise.resolve(change(request.session as unknown as Data, request.session as Own)).then(
        () => response.json(request.session as unknown),
        next,
      );
    });
  }
  const server = app.listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const client = Client.of(server);
  await client.send('POST', '/begin');
  return client;
}

const begin: Change = () => undefined;
const counts = (meter: LostUpdateMeter<never> | LostUpdateMeter<session.Store>) => {
  const { saves, lost, same, revived, unknown } = meter.report();
  return { saves, lost, same, revived, unknown };
};
const metered = (options = {}) => lostUpdateMeter<session.Store>(new session.MemoryStore(), options);

describe('32 requests at once', () => {
  it('that each add to a list: as many are counted as the list lacks', async () => {
    const meter = metered();
    const gate = new Gate(32);
    let number = 0;
    const client = await serve(meter.store, {
      '/begin': begin,
      '/items/:id': async (data) => {
        await gate.pass();
        data.items = [...(data.items ?? []), (number += 1)];
      },
    });
    await client.sendMany(32, 'POST', '/items/7');
    const { items } = JSON.parse(await client.send('POST', '/begin')) as Data;
    const reallyLost = 32 - items!.length;
    expect(reallyLost).toBe(31);
    const { routes, keys } = meter.report();
    expect(routes.slice(0, 1)).toEqual([
      { route: 'POST /items/:id', saves: 32, lost: reallyLost, same: 0, revived: 0, unknown: 0 },
    ]);
    expect(keys).toEqual([{ key: 'items', saves: reallyLost }]);
  });

  it('that each count one up: as many are counted as the count lacks, as the same value', async () => {
    const meter = metered();
    const gate = new Gate(32);
    const client = await serve(meter.store, {
      '/begin': begin,
      '/count': async (data) => {
        const n = data.n ?? 0;
        await gate.pass();
        data.n = n + 1;
      },
    });
    await client.sendMany(32, 'POST', '/count');
    const { n } = JSON.parse(await client.send('POST', '/begin')) as Data;
    expect(32 - n!).toBe(31);
    expect(counts(meter)).toEqual({ saves: 33, lost: 0, same: 32 - n!, revived: 0, unknown: 0 });
  });

  it('of which a lock lets one in at a time: none is counted', async () => {
    const meter = metered();
    const client = await serve(meter.store, {
      '/begin': begin,
      '/count': (data) => void (data.n = (data.n ?? 0) + 1),
    });
    for (let sent = 0; sent < 32; sent += 1) await client.send('POST', '/count');
    expect(JSON.parse(await client.send('POST', '/begin'))).toMatchObject({ n: 32 });
    expect(counts(meter)).toEqual({ saves: 33, lost: 0, same: 0, revived: 0, unknown: 0 });
  });
});

describe('what does not count', () => {
  it('the own earlier saves of a request', async () => {
    const meter = metered();
    const client = await serve(meter.store, {
      '/begin': begin,
      '/twice': async (data, own) => {
        for (const n of [1, 2, 3]) {
          data.n = n;
          await new Promise((resolve) => own.save(resolve));
        }
        data.n = 4;
      },
    });
    await client.send('POST', '/twice');
    expect(counts(meter)).toEqual({ saves: 5, lost: 0, same: 0, revived: 0, unknown: 0 });
  });

  it('what a request has read by reload', async () => {
    const meter = metered();
    const [reads, saved] = [new Gate(2), new Gate(2)];
    const client = await serve(meter.store, {
      '/begin': begin,
      '/first': async (data, own) => {
        await reads.pass();
        data.items = [1];
        await new Promise((resolve) => own.save(resolve));
        await saved.pass();
      },
      '/second': async (_data, own) => {
        await reads.pass();
        await saved.pass();
        await new Promise((resolve) => own.reload(resolve));
        const data = own.req.session as Data;
        data.items = [...(data.items ?? []), 2];
      },
    });
    await Promise.all([client.send('POST', '/first'), client.send('POST', '/second')]);
    expect(JSON.parse(await client.send('POST', '/begin'))).toMatchObject({ items: [1, 2] });
    expect(counts(meter)).toMatchObject({ lost: 0, same: 0, unknown: 0 });
  });

  it('a request that only reads, whose session is touched', async () => {
    const meter = metered();
    const client = await serve(meter.store, { '/begin': begin });
    await client.sendMany(10, 'POST', '/begin');
    expect(counts(meter)).toEqual({ saves: 1, lost: 0, same: 0, revived: 0, unknown: 0 });
  });

  it('a new session after regenerate', async () => {
    const meter = metered();
    const client = await serve(meter.store, {
      '/begin': begin,
      '/login': async (_data, own) => {
        await new Promise((resolve) => own.regenerate(resolve));
        (own.req.session as Data).n = 1;
      },
    });
    await client.send('POST', '/login');
    expect(counts(meter)).toEqual({ saves: 2, lost: 0, same: 0, revived: 0, unknown: 0 });
  });
});

it('a save after another request has destroyed the session is counted as revived', async () => {
  const meter = metered();
  const [reads, gone] = [new Gate(2), new Gate(2)];
  const client = await serve(meter.store, {
    '/begin': begin,
    '/logout': async (_data, own) => {
      await reads.pass();
      await new Promise((resolve) => meter.store.destroy(own.id, resolve));
      await gone.pass();
    },
    '/change': async (data) => {
      await reads.pass();
      await gone.pass();
      data.n = 1;
    },
  });
  await Promise.all([client.send('POST', '/logout'), client.send('POST', '/change')]);
  expect(counts(meter)).toEqual({ saves: 2, lost: 0, same: 0, revived: 1, unknown: 0 });
});
