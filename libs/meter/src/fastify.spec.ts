// The meter in applications of Fastify, with @fastify/session, whose store is not told of requests.
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { MemoryStore } from 'express-session';
import { afterEach, expect, it } from 'vitest';
import { lostUpdateMeter, type MeteredStore } from './meter.js';
import { lostUpdateMeterFastify } from './requests.js';
import { Client, Gate } from './testing/browser.js';

type Data = Record<string, unknown> & { items?: number[]; save(): Promise<void>; reload(): Promise<void> };
interface Request {
  session: Data;
}
type Change = (data: Data, request: Request) => unknown;
/** As much of Fastify as this needs. */
interface Fastify {
  register(plugin: unknown, options?: object): unknown;
  post(path: string, handler: (request: Request) => Promise<unknown>): unknown;
  listen(options: { port: number; host: string }): Promise<string>;
  readonly server: Parameters<typeof Client.of>[0];
  close(): Promise<void>;
}

let app: Fastify | undefined;
afterEach(() => app?.close());

async function serve(store: MeteredStore, changes: Readonly<Record<string, Change>>): Promise<Client> {
  app = new FastifyAdapter().getInstance<Fastify>();
  app.register(lostUpdateMeterFastify);
  app.register(fastifyCookie);
  app.register(fastifySession, {
    store,
    secret: 'a secret of a test, 32 or longer',
    cookie: { secure: false },
  });
  for (const [path, change] of Object.entries(changes)) {
    app.post(path, (request) =>
      Promise.resolve(change(request.session, request)).then(() => ({
        items: request.session.items ?? [],
      })),
    );
  }
  await app.listen({ port: 0, host: '127.0.0.1' });
  const client = Client.of(app.server);
  await client.send('POST', '/begin');
  return client;
}

const begin: Change = () => undefined;

/** Express-session's keeps texts. Fastify's own keeps the objects themselves. */
const stores = [
  ['a store of texts', () => new MemoryStore() as MeteredStore],
  [
    'the MemoryStore of the plugin',
    () => new fastifySession.MemoryStore(new Map()) as unknown as MeteredStore,
  ],
] as const;

it.each(stores)('32 requests at once: as many are counted as the list lacks, in %s', async (_name, make) => {
  const meter = lostUpdateMeter(make());
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
  const { items } = JSON.parse(await client.send('POST', '/begin')) as { items: number[] };
  const reallyLost = 32 - items.length;
  expect(reallyLost).toBe(31);
  expect(meter.report()).toMatchObject({
    unknown: 0,
    routes: [
      { route: 'POST /items/:id', saves: 32, lost: reallyLost, same: 0, revived: 0 },
      { route: 'POST /begin', saves: 2, lost: 0, same: 0, revived: 0 },
    ],
  });
});

it.each(stores)(
  'own saves, reload and a body that is parsed: nothing is counted, in %s',
  async (_name, make) => {
    const meter = lostUpdateMeter(make());
    const client = await serve(meter.store, {
      '/begin': begin,
      '/change': async (data, request) => {
        data.items = [...(data.items ?? []), 1];
        await data.save();
        data.items.push(2);
        await data.reload();
        request.session.items = [1, 2];
        await request.session.save();
        request.session.items.push(3);
      },
    });
    await client.send('POST', '/change', { some: 'body' });
    await client.send('POST', '/change', { some: 'body' });
    expect(meter.report()).toMatchObject({ lost: 0, same: 0, revived: 0, unknown: 0 });
    expect(meter.report().saves).toBeGreaterThan(4);
  },
);
