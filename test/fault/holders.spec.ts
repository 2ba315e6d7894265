// What becomes of a session whose holder is killed, stopped, paused or blocked: scripted, on real processes, with figures. The rules are 8 to 11 of docs/PROTOCOL.md.
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { figure } from './figures.js';
import { Fleet, findRabbitmq, until, type AppServer, type FleetOptions, type Rabbitmq } from './fleet.js';
import { moment, type Order } from './history.js';

let rabbitmq: Rabbitmq;
beforeAll(async () => {
  rabbitmq = await findRabbitmq();
});
afterAll(() => rabbitmq.stop());

async function fleetOf(options: FleetOptions): Promise<{ fleet: Fleet; one: AppServer; two: AppServer }> {
  const fleet = await Fleet.create(rabbitmq, options);
  onTestFinished(() => fleet.stop());
  await fleet.store('store');
  const [one, two] = await Promise.all([fleet.server('one'), fleet.server('two')]);
  return { fleet, one, two };
}

const append = (session: string, id: string): Order => ({
  id,
  session,
  task: 'append',
  attribute: 'a',
  forMs: 0,
});

/** Has another server ask for what this one holds, and resolves when the holder knows that it does. */
async function waitFor(holder: AppServer, waiter: AppServer, ...orders: readonly Order[]) {
  const { recalls } = await holder.counters();
  const answers = orders.map((order) => waiter.run(order));
  for (const answer of answers) answer.catch(() => {}); // the test looks when it is time
  const asked = async () => (await holder.counters()).recalls === recalls! + orders.length;
  await until(asked, 5_000, 'the holder is recalled');
  return answers;
}

/** What a server that has nothing to do with it sees in the end. */
async function listOf(fleet: Fleet, session: string): Promise<readonly string[]> {
  const reader = await fleet.server(`reader of ${session}`);
  await reader.read(session);
  const [visit] = await fleet.noted(reader.member);
  return visit!.saw.a!;
}

it.each([
  { policy: 'wait-for-lease', leaseMs: 2_000, withinMs: 2_500 },
  // The store notices when it sends something there: when the one that waits repeats its request.
  { policy: 'revoke', leaseMs: 60_000, withinMs: 1_750 },
])(
  'a holder is killed in a scope: the next one is granted in time ($policy)',
  async ({ policy, leaseMs, withinMs }) => {
    const store = { STORE_LEASE_MS: `${leaseMs}`, STORE_UNREACHABLE_HOLDER: policy };
    const { fleet, one, two } = await fleetOf({ store });
    await one.run(append('s', 'committed'));
    await one.enter('s', 'uncommitted');
    const [next] = await waitFor(one, two, append('s', 'next'));

    const killed = moment();
    await one.member.kill('SIGKILL');
    const { entered, code } = await next!;

    expect(code).toBeUndefined();
    figure(`killed holder, ${policy}, lease ${leaseMs} ms: granted after`, entered - killed);
    expect(entered - killed).toBeLessThan(withinMs);
    expect(await listOf(fleet, 's')).toEqual(['committed', 'next']);
  },
);

it('a holder is stopped: what runs ends well, and the next one is granted at once', async () => {
  const { fleet, one, two } = await fleetOf({ store: { STORE_LEASE_MS: '60000' } });
  const last = one.run({ ...append('s', 'last'), task: 'slow', forMs: 600 });
  await until(async () => (await fleet.noted(one.member)).length > 0, 5_000, 'it is inside');
  const [next] = await waitFor(one, two, append('s', 'next'));

  await Promise.all([one.member.kill('SIGTERM'), last]);
  const { entered, code } = await next!;

  expect(code).toBeUndefined();
  const [visit] = await fleet.noted(one.member);
  figure('stopped holder: granted after its last scope by', entered - visit!.left!);
  expect(entered - visit!.left!).toBeLessThan(100);
  expect(await listOf(fleet, 's')).toEqual(['last', 'next']);
});

it('a holder that stops with unused locks leaves nothing behind to wait for', async () => {
  const { one, two } = await fleetOf({ store: { STORE_LEASE_MS: '60000' } });
  await one.run(append('s', 'last'));
  await one.member.kill('SIGTERM');
  const asked = moment();
  const { entered, code } = await two.run(append('s', 'next'));
  expect(code).toBeUndefined();
  figure('stopped holder, lock unused: granted after', entered - asked);
  expect(entered - asked).toBeLessThan(100);
});

it('a holder is paused in 20 scopes past its lease, and goes on: none of its changes comes after a later one', async () => {
  const { fleet, one, two } = await fleetOf({ store: { STORE_LEASE_MS: '1000' } });
  const sessions = Array.from({ length: 20 }, (_, at) => `s${at}`);
  // Half of them look at their signal; the others commit as soon as they can.
  const stays = await Promise.all(
    sessions.slice(0, 10).map((session) => one.enter(session, `${session}-old`)),
  );
  const slow = sessions
    .slice(10)
    .map((session) => one.run({ ...append(session, `${session}-old`), task: 'slow', forMs: 500 }));
  const inside = async () => (await fleet.noted(one.member)).length === sessions.length;
  await until(inside, 5_000, 'all are inside');
  const next = await waitFor(one, two, ...sessions.map((session) => append(session, `${session}-new`)));

  one.member.pause();
  const paused = moment();
  const answers = await Promise.all(next);
  one.member.resume();

  figure(
    'paused holder, lease 1000 ms: all granted after',
    Math.max(...answers.map(({ entered }) => entered)) - paused,
  );
  expect(answers.map(({ code }) => code)).toEqual(sessions.map(() => undefined));
  const told = await Promise.all(stays.map(({ answer }) => answer));
  expect(told.map(({ aborted, code }) => [aborted, code])).toEqual(stays.map(() => [true, 'lock-lost']));
  expect((await Promise.all(slow)).map(({ code }) => code)).toEqual(slow.map(() => 'lock-lost'));
  for (const session of sessions) await two.read(session);
  const seen = (await fleet.noted(two.member)).filter(({ write }) => write.length === 0);
  expect(seen.map(({ saw }) => saw.a)).toEqual(sessions.map((session) => [`${session}-new`]));
});

it('a holder does nothing for three leases while nobody waits: it goes on with its lock', async () => {
  const { fleet, one } = await fleetOf({ store: { STORE_LEASE_MS: '1000' } });
  await one.run(append('s', 'before'));
  const begun = moment();
  await one.block(3_000);
  // The answer to whatever is asked comes when it does something again.
  await until(async () => (await one.counters()) && moment() - begun > 2_900, 10_000, 'it answers again');
  const { entered, code } = await one.run(append('s', 'after'));

  expect(code).toBeUndefined();
  figure('blocked holder: in its session again after the block by', entered - begun - 3_000);
  const [before, after] = await fleet.noted(one.member);
  expect(after!.token).toEqual(before!.token);
  expect(after!.saw.a).toEqual(['before']);
  expect((await one.counters()).grants).toBe(1);
});
