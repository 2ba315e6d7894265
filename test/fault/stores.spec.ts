/**
 * The service when a store or RabbitMQ is killed under load: scripted, on real processes, with figures. The
 * history is judged.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { judge } from './checker.js';
import { busyMs, figure } from './figures.js';
import { Fleet, findRabbitmq, until, type AppServer, type Rabbitmq } from './fleet.js';
import { append, moment, type History } from './history.js';
import { Load } from './load.js';

const rabbitmq: Rabbitmq = await findRabbitmq();
let fleet: Fleet;
let loaded: AppServer[];
let load: Load;
beforeAll(async () => {
  fleet = await Fleet.create(rabbitmq, { partitions: 2 });
});
afterAll(async () => {
  await fleet.stop();
  await rabbitmq.stop();
});

/** Starts a load on two servers. At its end no change may be lost, doubled or out of order. */
async function underLoad(seed: number): Promise<void> {
  loaded ??= await Promise.all([fleet.server('loaded 1'), fleet.server('loaded 2')]);
  load = new Load(seed, { pauseMs: 50 });
  load.start(loaded);
  await until(() => load.acknowledged >= 100, 10_000, 'the load is under way');
}

/**
 * The time from `since` until a change of a new session is acknowledged. Slow scopes may hold the load's
 * sessions.
 */
async function untilServed(since: number): Promise<number> {
  const id = `probe-${Math.round(since)}`;
  const { code } = await loaded[0]!.run(append(id, id));
  expect(code).toBeUndefined();
  return moment() - since;
}

async function judged(seed: number): Promise<void> {
  expect(await load.stop(30_000)).toBe(0);
  const auditor = await fleet.server(`auditor ${seed}`);
  for (const session of load.all) await auditor.read(session);
  const seen = await fleet.noted(auditor.member);
  const left = new Map(seen.map(({ session, saw }) => [session, { a: saw.a!, b: saw.b! }]));
  const { requests } = load;
  const history: History = { seed, requests, visits: await fleet.visits(), faults: [], left };
  expect(judge(history)).toEqual([]);
  expect(await fleet.wrongInTraces()).toEqual([]);
  const unsure = requests.filter(({ code }) => code !== undefined && code !== 'deadlock');
  expect(unsure).toEqual([]);
}

it('a standby takes over at once when the store is killed under load, and grants in the order of requests', async () => {
  const stores = [await fleet.store('store 1'), await fleet.store('store 2')];
  const [holder, second, third] = [
    await fleet.server('holder'),
    await fleet.server('second'),
    await fleet.server('third'),
  ];
  await underLoad(1);
  const stay = await holder.enter('line', 'first');
  const waits: ReturnType<AppServer['run']>[] = [];
  for (const waiter of [second, third]) {
    waits.push(waiter.run(append('line', waiter.name)));
    await until(async () => (await waiter.counters()).waiting === 1, 5_000, 'it waits');
    // A server's frames to a partition keep their order. So the store knows the waiter when it answers later
    // requests in both.
    for (const other of ['x', 'y', 'z', 'w'])
      await waiter.run(append(`${waiter.name}-${other}`, `${waiter.name} ${other}`));
  }

  const killed = moment();
  await stores[0]!.kill('SIGKILL');
  const ms = await untilServed(killed);
  figure('killed store, another one stands by: the first change after', ms);
  expect(ms).toBeLessThan(500 + busyMs);
  await stay.leave();
  expect((await stay.answer).code).toBeUndefined();
  const [early, late] = await Promise.all(waits);
  expect([early!.code, late!.code]).toEqual([undefined, undefined]);
  expect(early!.entered).toBeLessThan(late!.entered);
  await judged(1);
  await stores[1]!.kill('SIGTERM');
  await Promise.all([holder, second, third].map(({ member }) => member.kill('SIGTERM')));
});

it('loses nothing when the store is killed under load and started again', async () => {
  const store = await fleet.store('store 3');
  await underLoad(2);
  await store.kill('SIGKILL');
  await store.start();
  const started = moment();
  const ms = await untilServed(started);
  figure('killed store, started again: the first change after its start by', ms);
  expect(ms).toBeLessThan(500 + busyMs);
  await judged(2);
});

it.skipIf(!rabbitmq.kill)('loses nothing when RabbitMQ is killed under load and started again', async () => {
  await underLoad(3);
  await rabbitmq.kill!();
  await rabbitmq.restart!();
  const back = moment();
  const ms = await untilServed(back);
  figure('killed broker: the first change after its return by', ms);
  expect(ms).toBeLessThan(1_000 + busyMs);
  await judged(3);
});
