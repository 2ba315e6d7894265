/**
 * Rule 10 of docs/PROTOCOL.md: a store that stood still, or heard nobody for long, does not take that for the
 * silence of its holders. Scripted, on real processes, with figures.
 */
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest';
import { busyMs, figure } from './figures.js';
import { Fleet, findRabbitmq, until, type FleetOptions, type Member, type Rabbitmq } from './fleet.js';
import { append, moment } from './history.js';

let rabbitmq: Rabbitmq;
beforeAll(async () => {
  rabbitmq = await findRabbitmq();
});
afterAll(() => rabbitmq.stop());

async function fleetOf(options: FleetOptions) {
  const fleet = await Fleet.create(rabbitmq, options);
  onTestFinished(() => fleet.stop());
  const store = await fleet.store('store');
  const [one, two] = await Promise.all([fleet.server('one'), fleet.server('two')]);
  return { fleet, store, one, two };
}

const recallTimeoutMs = 1_000;
const stillMs = 3_000;

/** SIGUSR2 blocks the event loop for so long. Then its timers fire first. */
const block = `process.on('SIGUSR2',()=>Atomics.wait(new/**/Int32Array(new/**/SharedArrayBuffer(4)),0,0,${stillMs}))`;

it.each<[string, (store: Member) => () => void]>([
  ['is stopped and goes on (SIGSTOP, SIGCONT)', (store) => (store.pause(), () => store.resume())],
  ['has its event loop blocked', (store) => (store.signal('SIGUSR2'), () => {})],
])(
  'a store %s for longer than its recall time-out: a holder that released meanwhile keeps all acknowledged changes',
  async (_how, standStill) => {
    const { fleet, store, one, two } = await fleetOf({
      partitions: 2,
      store: {
        STORE_RECALL_TIMEOUT_MS: `${recallTimeoutMs}`,
        STORE_LEASE_MS: '20000', // too long to help: the store must read what waits
        NODE_OPTIONS: `--import=data:text/javascript,${block}`,
      },
      servers: { WRITE_BACK_MS: '60000' },
    });
    const sessions = Array.from({ length: 20 }, (_, at) => `s${at}`);
    for (const session of sessions) await one.run(append(session, `${session}-given`));
    const stays = await Promise.all(sessions.map((session) => one.enter(session, `${session}-last`)));
    const { recalls } = await one.counters();
    const next = sessions.map((session) => two.run(append(session, `${session}-next`)));
    const recalled = async () => (await one.counters()).recalls === recalls! + sessions.length;
    await until(recalled, 5_000, 'the holder is recalled');

    const stood = moment();
    const goOn = standStill(store);
    for (const stay of stays) await stay.leave();
    const given = await Promise.all(stays.map(({ answer }) => answer));
    expect(given.map(({ code }) => code)).toEqual(sessions.map(() => undefined));
    await until(() => moment() - stood >= stillMs, 2 * stillMs, 'it has stood still');
    goOn();
    const answers = await Promise.all(next);

    const entered = Math.max(...answers.map((answer) => answer.entered)) - stood - stillMs;
    figure(`store that stood still ${stillMs} ms: all granted after it went on by`, entered);
    expect(answers.map(({ code }) => code)).toEqual(sessions.map(() => undefined));
    const seen = (await fleet.noted(two.member)).map(({ session, saw }) => [session, saw.a]);
    expect(Object.fromEntries(seen)).toEqual(
      Object.fromEntries(sessions.map((session) => [session, [`${session}-given`, `${session}-last`]])),
    );
  },
);

it('the first request in each partition, long after a crash, waits for no lease', async () => {
  const leaseMs = 3_000;
  const { one, two } = await fleetOf({ partitions: 4, store: { STORE_LEASE_MS: `${leaseMs}` } });
  const sessions = Array.from({ length: 16 }, (_, at) => `s${at}`);
  for (const session of sessions) await one.run(append(session, `${session}-old`));
  const killed = moment();
  await one.member.kill('SIGKILL');
  await until(() => moment() - killed > 3 * leaseMs, 4 * leaseMs, 'the crash was long ago');

  const waits: number[] = [];
  for (const session of sessions) {
    const asked = moment();
    const { entered, code } = await two.run(append(session, `${session}-new`));
    expect(code).toBeUndefined();
    waits.push(entered - asked);
  }
  figure('first requests long after a crash: granted after at most', Math.max(...waits));
  expect(Math.max(...waits)).toBeLessThan(leaseMs / 4 + busyMs);
});
