/**
 * Rules 8 to 11 of docs/PROTOCOL.md: a session whose holder is killed, stopped, paused or blocked. Scripted,
 * on real processes, with figures.
 */
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { busyMs, figure } from './figures.js';
import { Fleet, findRabbitmq, until, type AppServer, type FleetOptions, type Rabbitmq } from './fleet.js';
import { append, moment, type Order } from './history.js';

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

/** Another server asks for sessions that this one holds. Resolves when the holder is recalled. */
async function waitFor(holder: AppServer, waiter: AppServer, ...orders: readonly Order[]) {
  const { recalls } = await holder.counters();
  const answers = orders.map((order) => waiter.run(order));
  for (const answer of answers) answer.catch(() => {}); // the test looks later
  const asked = async () => (await holder.counters()).recalls === recalls! + orders.length;
  await until(asked, 5_000, 'the holder is recalled');
  return answers;
}

/** The list that an uninvolved server sees at the end. */
async function listOf(fleet: Fleet, session: string): Promise<readonly string[]> {
  const reader = await fleet.server(`reader of ${session}`);
  await reader.read(session);
  const [visit] = await fleet.noted(reader.member);
  return visit!.saw.a!;
}

it.each([
  { policy: 'wait-for-lease', leaseMs: 2_000, withinMs: 2_500 },
  // The store notices when it sends to the dead holder: when the waiter repeats its request.
  { policy: 'revoke', leaseMs: 60_000, withinMs: 750 },
])(
  'grants to the next waiter in time when the holder is killed in a scope ($policy)',
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
    expect(entered - killed).toBeLessThan(withinMs + busyMs);
    expect(await listOf(fleet, 's')).toEqual(['committed', 'next']);
  },
);

it('lets running scopes end well when the holder is stopped, and grants to the next waiter at once', async () => {
  const { fleet, one, two } = await fleetOf({ store: { STORE_LEASE_MS: '60000' } });
  const last = one.run({ ...append('s', 'last'), task: 'slow', forMs: 600 });
  await until(async () => (await fleet.noted(one.member)).length > 0, 5_000, 'it is inside');
  const [next] = await waitFor(one, two, append('s', 'next'));

  await Promise.all([one.member.kill('SIGTERM'), last]);
  const { entered, code } = await next!;

  expect(code).toBeUndefined();
  const [visit] = await fleet.noted(one.member);
  figure('stopped holder: granted after its last scope by', entered - visit!.left!);
  expect(entered - visit!.left!).toBeLessThan(100 + busyMs);
  expect(await listOf(fleet, 's')).toEqual(['last', 'next']);
});

it('grants unused locks of a stopped holder at once', async () => {
  const { one, two } = await fleetOf({ store: { STORE_LEASE_MS: '60000' } });
  await one.run(append('s', 'last'));
  await one.member.kill('SIGTERM');
  const asked = moment();
  const { entered, code } = await two.run(append('s', 'next'));
  expect(code).toBeUndefined();
  figure('stopped holder, lock unused: granted after', entered - asked);
  expect(entered - asked).toBeLessThan(100 + busyMs);
});

it('applies no change of a holder that was paused in 20 scopes past its lease', async () => {
  const { fleet, one, two } = await fleetOf({ store: { STORE_LEASE_MS: '1000' } });
  const sessions = Array.from({ length: 20 }, (_, at) => `s${at}`);
  // Half of them look at their signal. The others commit as soon as they can: their time ends during the
  // pause.
  const slowMs = 3_000;
  const stays = await Promise.all(
    sessions.slice(0, 10).map((session) => one.enter(session, `${session}-old`)),
  );
  const slow = sessions
    .slice(10)
    .map((session) => one.run({ ...append(session, `${session}-old`), task: 'slow', forMs: slowMs }));
  const inside = async () => (await fleet.noted(one.member)).length === sessions.length;
  await until(inside, 5_000, 'all are inside');
  const next = await waitFor(one, two, ...sessions.map((session) => append(session, `${session}-new`)));

  one.member.pause();
  const paused = moment();
  const answers = await Promise.all(next);
  await until(() => moment() - paused > slowMs, 2 * slowMs, 'the slow scopes are due');
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

it('keeps the lock of a holder that is blocked for three leases while nobody waits', async () => {
  const { fleet, one } = await fleetOf({ store: { STORE_LEASE_MS: '1000' } });
  await one.run(append('s', 'before'));
  const begun = moment();
  await one.block(3_000);
  // It answers when its event loop runs again.
  await until(async () => (await one.counters()) && moment() - begun > 2_900, 10_000, 'it answers again');
  const { entered, code } = await one.run(append('s', 'after'));

  expect(code).toBeUndefined();
  figure('blocked holder: in its session again after the block by', entered - begun - 3_000);
  const [before, after] = await fleet.noted(one.member);
  expect(after!.token).toEqual(before!.token);
  expect(after!.saw.a).toEqual(['before']);
  expect((await one.counters()).grants).toBe(1);
});
