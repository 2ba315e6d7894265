/** Which locks stay in a session's table when no scope uses them. */
import { expect, it } from 'vitest';
import { AttributeLocks } from './attribute-locks.js';
import { LockTable, Request } from './lock-table.js';
import type { LockOwner } from './wait-graph.js';

const scope = (): LockOwner => ({
  label: 'scope',
  outer: undefined,
  parent: undefined,
  children: undefined,
  waiting: undefined,
  holds: undefined,
});

it('a few stay, so that a scope that takes one again finds it', () => {
  const table = new LockTable(new AttributeLocks());
  const [one, two] = [scope(), scope()];
  const lock = table.lock('cart');
  table.hold(one, lock, true);
  table.drop(one.holds![0]!);
  expect(table.lock('cart')).toBe(lock);
  table.hold(two, lock, false);
  expect([...table.locks].map(({ name, holds }) => [name, holds!.length])).toEqual([['cart', 1]]);
});

it('of many names no more than a few stay', () => {
  const table = new LockTable(new AttributeLocks());
  const one = scope();
  const names = Array.from({ length: 50 }, (_, i) => `name-${i}`);
  for (const name of names) table.hold(one, table.lock(name), true);
  expect([...table.locks]).toHaveLength(50);
  for (const hold of one.holds!) table.drop(hold);
  expect([...table.locks]).toHaveLength(4);
});

it('of many names that scopes wait for no more than a few stay when the waits end', () => {
  const table = new LockTable(new AttributeLocks());
  const names = Array.from({ length: 50 }, (_, i) => `name-${i}`);
  const requests = names.map((name) => new Request(scope(), table.lock(name), true, () => {}));
  for (const request of requests) table.enqueue(request);
  expect([...table.locks]).toHaveLength(50);
  for (const request of requests) table.dequeue(request);
  expect([...table.locks]).toHaveLength(4);
});
