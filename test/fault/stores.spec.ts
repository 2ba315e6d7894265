// What becomes of the service when a store or RabbitMQ is killed under load: scripted, on real processes, with figures, and judged like a random run.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { judge } from './checker.js';
import { figure } from './figures.js';
import { Fleet, findRabbitmq, until, type AppServer, type Rabbitmq } from './fleet.js';
import { moment, type History, type Order } from './history.js';
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

/** Load on two servers, until the end of the test: then nothing may be lost, doubled or out of order. */
async function underLoad(seed: number): Promise<void> {
  loaded ??= await Promise.all([fleet.server('loaded 1'), fleet.server('loaded 2')]);
  load = new Load(seed, { pauseMs: 50 });
  load.start(loaded);
  await until(() => load.acknowledged >= 100, 10_000, 'the load is under way');
}

/** How long after `since` a change is acknowledged that is asked for now, in a session of its own: those of the load may be held by slow scopes. */
async function untilServed(since: number): Promise<number> {
  const id = `probe-${Math.round(since)}`;
  const { code } = await loaded[0]!.run(order(id, id));
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
  const unsure = requests.filter(({ code }) => code !== undefined && code !== 'lock-circle');
  expect(unsure).toEqual([]);
}

const order = (id: string, session: string): Order => ({
  id,
  session,
  task: 'append',
  attribute: 'a',
  forMs: 0,
});

it('the store is killed under load, and another stands by: it takes over at once, and grants in the order of asking', async () => {
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
    waits.push(waiter.run(order(waiter.name, 'line')));
    await until(async () => (await waiter.counters()).waiting === 1, 5_000, 'it waits');
    // What a server says to one partition arrives in order: when something later is answered in both, so much is known.
    for (const other of ['x', 'y', 'z', 'w'])
      await waiter.run(order(`${waiter.name} ${other}`, `${waiter.name}-${other}`));
  }

  const killed = moment();
  await stores[0]!.kill('SIGKILL');
  const ms = await untilServed(killed);
  figure('killed store, another one stands by: the first change after', ms);
  expect(ms).toBeLessThan(500);
  await stay.leave();
  expect((await stay.answer).code).toBeUndefined();
  const [early, late] = await Promise.all(waits);
  expect([early!.code, late!.code]).toEqual([undefined, undefined]);
  expect(early!.entered).toBeLessThan(late!.entered);
  await judged(1);
  await stores[1]!.kill('SIGTERM');
  await Promise.all([holder, second, third].map(({ member }) => member.kill('SIGTERM')));
});

it('the store is killed under load and started again: nothing is lost, and it goes on', async () => {
  const store = await fleet.store('store 3');
  await underLoad(2);
  await store.kill('SIGKILL');
  await store.start();
  const started = moment();
  const ms = await untilServed(started);
  figure('killed store, started again: the first change after its start by', ms);
  expect(ms).toBeLessThan(500);
  await judged(2);
});

it.skipIf(!rabbitmq.kill)(
  'RabbitMQ is killed under load and started again: nothing is lost, and all goes on',
  async () => {
    await underLoad(3);
    await rabbitmq.kill!();
    await rabbitmq.restart!();
    const back = moment();
    const ms = await untilServed(back);
    figure('killed broker: the first change after its return by', ms);
    expect(ms).toBeLessThan(2_000);
    await judged(3);
  },
);
