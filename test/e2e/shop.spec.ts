/**
 * The shop as its customers see it: three servers behind a gateway that sends each request to the next one.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startGateway, type Gateway } from '../../scripts/demo/gateway.js';
import { Deployment } from './deployment.js';

const deployment = await Deployment.create();
const servers = ['red', 'green', 'blue'];
let gateway: Gateway;

beforeAll(async () => {
  await deployment.store();
  gateway = await startGateway(await Promise.all(servers.map((name) => deployment.shop(name))));
  return () => gateway.close();
});
afterAll(() => deployment.stop());

it('fifty parallel additions of one visitor over all servers are fifty items in the cart', async () => {
  const cookie = cookieOf(await add('the first'));
  const names = Array.from({ length: 50 }, (_, index) => `item ${index + 1}`);
  const answers = await Promise.all(names.map((name) => add(name, { cookie })));

  expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(201));
  expect(new Set(answers.map(({ headers }) => headers.get('x-served-by')))).toEqual(new Set(servers));
  expect((await cart(cookie)).toSorted()).toEqual(['the first', ...names].toSorted());
});

it('shows its page', async () => {
  const response = await fetch(gateway.url);
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'self'/);
  expect(await response.text()).toMatch(/^<!doctype html>/i);
});

it.each([
  ['nothing', undefined],
  ['no price', { name: 'tea' }],
  ['a price below zero', { name: 'tea', price: -1 }],
  ['a name of spaces', { name: '  ', price: 1 }],
  ['what nobody asked for', { name: 'tea', price: 1, discount: 100 }],
])('refuses an item with %s, and keeps the cart as it was', async (_what, item) => {
  const cookie = cookieOf(await add('tea'));
  const response = await post('cart/items', item, { cookie });
  expect(response.status).toBe(400);
  expect(await cart(cookie)).toEqual(['tea']);
});

it("gives a visitor a cookie that scripts cannot read, with the visitor's session on each server", async () => {
  const welcome = await add('tea');
  expect(welcome.headers.get('set-cookie')).toMatch(/; HttpOnly/);
  const cookie = cookieOf(welcome);
  for (const _server of servers) {
    const response = await fetch(`${gateway.url}/cart`, { headers: { cookie } });
    expect(response.headers.get('set-cookie')).toBeNull();
    expect(await response.json()).toMatchObject({ items: [{ name: 'tea' }] });
  }
});

it('names the grant and the cost of an answer, but not the id of the session', async () => {
  const shownIn = ({ headers }: Response) =>
    ['session', 'lock-token', 'lock-cost'].map((name) => headers.get(`x-${name}`));
  const stranger = await fetch(`${gateway.url}/cart`);
  expect(shownIn(stranger)).toEqual([null, null, 'none']);

  const welcome = await add('tea');
  const cookie = cookieOf(welcome);
  const [session, token, cost] = shownIn(welcome);
  expect(cost).toBe('grant');
  expect(session).toMatch(/^[0-9a-f]{8}$/);
  expect(cookie).not.toContain(session);

  // The next server needs a later grant of the same session.
  const elsewhere = shownIn(await fetch(`${gateway.url}/cart`, { headers: { cookie } }));
  expect(elsewhere).toEqual([session, expect.stringMatching(/^\d+\.\d+$/), 'grant']);
  expect(elsewhere[1]).not.toBe(token);
});

it('gives a new session for a forged cookie', async () => {
  const cookie = cookieOf(await add('tea'));
  const last = cookie.at(-1) === 'A' ? 'B' : 'A';
  const response = await add('coffee', { cookie: cookie.slice(0, -1) + last });
  const renewed = cookieOf(response);
  expect(id(renewed)).not.toBe(id(cookie));
  expect([await cart(cookie), await cart(renewed)]).toEqual([['tea'], ['coffee']]);
});

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${gateway.url}/${path}`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: JSON.stringify(body) ?? '{}',
  });

const add = (name: string, headers?: Record<string, string>) =>
  post('cart/items', { name, price: 1 }, headers);

/** The names of the items. */
async function cart(cookie: string): Promise<string[]> {
  const response = await fetch(`${gateway.url}/cart`, { headers: { cookie } });
  const { items } = (await response.json()) as { items: { name: string }[] };
  return items.map(({ name }) => name);
}

/** The cookie that a browser would send back. */
const cookieOf = (response: Response): string => response.headers.get('set-cookie')!.split(';')[0]!;

/** The cookie without its signature. */
const id = (cookie: string): string => decodeURIComponent(cookie).split('.')[0]!;
