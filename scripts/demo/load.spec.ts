/** The load against stand-ins for the shop. Some of them lose updates, which the load must notice. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { compareCart, percentile, runLoad } from './load.js';

const servers: Server[] = [];
afterEach(() => servers.splice(0).forEach((server) => (server.closeAllConnections(), server.close())));

type Carts = Map<string, string[]>;

/** A stand-in for the shop that keeps its carts in memory. `add` puts an addition into the cart. */
async function shop(
  add: (carts: Carts, session: string, id: string) => Promise<number>,
  carts: Carts = new Map(),
) {
  const serve = async (incoming: IncomingMessage, answer: ServerResponse) => {
    const session = incoming.headers.cookie ?? `session=${carts.size}`;
    if (incoming.url === '/visits') {
      carts.set(session, []);
      answer.setHeader('set-cookie', `${session}; Path=/; HttpOnly`);
    }
    if (incoming.method === 'DELETE') carts.set(session, []);
    if (incoming.method === 'POST') answer.statusCode = await add(carts, session, (await json(incoming)).id);
    const items = carts.get(session)!.map((id) => ({ id }));
    answer.end(answer.statusCode < 300 ? JSON.stringify({ items }) : 'try again');
  };
  const server = createServer((incoming, answer) => void serve(incoming, answer)).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const json = async (incoming: IncomingMessage) => JSON.parse((await incoming.toArray()).join(''));

describe('the load', () => {
  it('finds every update in a correct shop, and counts and times the requests', async () => {
    const done: number[] = [];
    const url = await shop(async (carts, session, id) => carts.get(session)!.push(id) && 201);
    const figures = await runLoad({
      urls: [url],
      clients: 3,
      parallel: 4,
      seconds: 60,
      requests: 300,
      cartSize: 20,
      progress: (share) => done.push(share),
    });
    expect(figures).toMatchObject({ lost: 0, strays: 0, failed: 0, failures: {} });
    expect(figures.updates).toBeGreaterThan(100);
    expect(figures.found).toBe(figures.updates);
    expect(figures.requests).toBeGreaterThanOrEqual(300);
    expect(figures.requestsPerSecond).toBeCloseTo(figures.requests / figures.seconds);
    expect(figures.p50Ms).toBeGreaterThan(0);
    expect(figures.p99Ms).toBeGreaterThanOrEqual(figures.p50Ms);
    expect(done.at(-1)).toBe(1);
  });

  it('finds the lost updates of a shop that reads, changes and saves without a lock', async () => {
    const url = await shop(async (carts, session, id) => {
      const cart = [...carts.get(session)!];
      await delay(2);
      carts.set(session, [...cart, id]);
      return 201;
    });
    const figures = await runLoad({ urls: [url], clients: 2, parallel: 4, seconds: 60, requests: 100 });
    expect(figures.lost).toBeGreaterThan(0);
    expect(figures.found + figures.lost).toBe(figures.updates);
  });

  it('accepts a failed addition in the cart, and its absence', async () => {
    let count = 0;
    const url = await shop(async (carts, session, id) => {
      count++;
      if (count % 4 !== 0) carts.get(session)!.push(id);
      return count % 2 ? 201 : 503;
    });
    const figures = await runLoad({ urls: [url], clients: 1, parallel: 2, seconds: 60, requests: 40 });
    expect(figures).toMatchObject({ lost: 0, strays: 0, failed: Math.floor(count / 2) });
    expect(Object.keys(figures.failures)).toEqual(['POST /cart/items: 503 try again']);
  });

  it('spreads its requests over all servers', async () => {
    const perServer = [0, 0, 0];
    const carts: Carts = new Map();
    const serverAt = (_: number, index: number) =>
      shop(async (_carts, session, id) => {
        perServer[index]!++;
        return carts.get(session)!.push(id) && 201;
      }, carts);
    const urls = await Promise.all(perServer.map(serverAt));
    const figures = await runLoad({ urls, clients: 1, parallel: 3, seconds: 60, requests: 60 });
    expect(figures.lost).toBe(0);
    expect(Math.min(...perServer)).toBeGreaterThan(5);
  });
});

describe('compareCart', () => {
  const compare = (asked: string, acknowledged: string, cart: string) =>
    compareCart(new Set(asked), new Set(acknowledged), cart.split(''));

  it.each([
    ['all are there', compare('abc', 'abc', 'cab'), { found: 3, lost: 0, strays: 0 }],
    ['one is missing', compare('abc', 'abc', 'ac'), { found: 2, lost: 1, strays: 0 }],
    ['one is there twice', compare('abc', 'abc', 'abcb'), { found: 2, lost: 1, strays: 0 }],
    ['a failed one is there, or not', compare('abcd', 'ab', 'abc'), { found: 2, lost: 0, strays: 0 }],
    ['a failed one is there twice', compare('abc', 'ab', 'abcc'), { found: 2, lost: 0, strays: 1 }],
    ['one is there that no client sent', compare('ab', 'ab', 'abz'), { found: 2, lost: 0, strays: 1 }],
  ])('%s', (_what, check, expected) => {
    expect(check).toEqual(expected);
  });
});

describe('percentile', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);

  it.each([
    [hundred, 50, 50],
    [hundred, 99, 99],
    [hundred, 100, 100],
    [[7], 1, 7],
    [[1, 2, 3], 50, 2],
    [[], 50, 0],
  ])('of %j, the %d-th', (values, percent, expected) => {
    expect(percentile(values, percent)).toBe(expected);
  });
});
