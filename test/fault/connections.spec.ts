/**
 * Rules 8 and 9 of docs/PROTOCOL.md: a holder whose connection is cut uses its locks until its lease is over,
 * and no longer.
 */
import { setTimeout as pass } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { busyMs, figure } from './figures.js';
import { Fleet, findRabbitmq, until, type Rabbitmq } from './fleet.js';
import { moment, type Order } from './history.js';

const leaseMs = 5_000;
let rabbitmq: Rabbitmq;
beforeAll(async () => {
  rabbitmq = await findRabbitmq();
});
afterAll(() => rabbitmq.stop());

async function fleetOf() {
  const fleet = await Fleet.create(rabbitmq, { store: { STORE_LEASE_MS: `${leaseMs}` } });
  onTestFinished(() => fleet.stop());
  await fleet.store('store');
  const [one, two] = await Promise.all([fleet.server('one'), fleet.server('two')]);
  return { fleet, one, two };
}

const order = (id: string, task: Order['task'], waitMs?: number): Order => ({
  id,
  session: 's',
  task,
  attribute: 'a',
  forMs: 0,
  ...(waitMs && { waitMs }),
});

it('a holder that is cut off for 1 s keeps its locks', async () => {
  const { fleet, one } = await fleetOf();
  await one.run(order('before', 'append'));
  one.member.proxy.refuse();
  const during = one.run(order('during', 'append'));
  await pass(1_000);
  one.member.proxy.accept();
  const back = moment();
  expect((await during).code).toBeUndefined();
  figure('cut for 1 s: a change made meanwhile is acknowledged after its end by', moment() - back);

  expect((await one.run(order('after', 'append'))).code).toBeUndefined();
  const visits = await fleet.noted(one.member);
  expect(visits.map(({ token }) => token)).toEqual(visits.map(() => visits[0]!.token));
  expect(visits.at(-1)!.saw.a).toEqual(['before', 'during']);
});

it('a holder that is cut off for 10 s uses no lock after its lease, and another one is granted', async () => {
  const { fleet, one, two } = await fleetOf();
  await one.run(order('before', 'append'));
  const cut = moment();
  one.member.proxy.refuse();
  const next = two.run(order('next', 'append'));
  let reads = 0;
  await until(
    async () => {
      await one.run(order(`read ${++reads}`, 'read', 100));
      return moment() - cut > 10_000;
    },
    15_000,
    '10 s are over',
  );
  one.member.proxy.accept();

  const { entered, code } = await next;
  expect(code).toBeUndefined();
  figure('cut for 10 s, lease 5000 ms: another one is granted after', entered - cut);
  expect(entered - cut).toBeLessThan(leaseMs + busyMs);
  const used = (await fleet.noted(one.member)).map((visit) => visit.entered - cut);
  figure('cut for 10 s, lease 5000 ms: its lock was used last after', Math.max(...used));
  expect(used.length).toBeGreaterThan(1);
  expect(Math.max(...used)).toBeLessThan(entered - cut);

  expect((await one.run(order('after', 'append'))).code).toBeUndefined();
  expect((await fleet.noted(one.member)).at(-1)!.saw.a).toEqual(['before', 'next']);
});
