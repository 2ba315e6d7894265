/**
 * `npm run bench:layouts`: the costs of the two layouts of queues in one run on a private RabbitMQ: a first
 * touch, a handoff, many waiters, memory, and a restart of the broker. It prints the table of
 * docs/OPERATING.md. A store and all app servers live in this process, each app server with a holder's queue
 * of its own.
 */
import { readFile } from 'node:fs/promises';
import { AmqpBroker, removeAmqpDeployment, systemClock } from '#broker';
import { LockedSessions, type SessionsSettings } from '#locked-session';
import type { QueueLayout } from '#protocol';
import { MemoryRepository } from '#repository';
import { Store, tombstoneMs } from '#store';
import { startPrivateRabbitmq, type PrivateRabbitmq } from '../../scripts/services/private-rabbitmq.js';

const partitions = 16;
const touches = 2_000;
const handoffMs = 3_000;
const lines = [1, 10, 100, 1_000];
const log = { log() {}, warn() {}, error: console.error };

const settings = (queues: QueueLayout): SessionsSettings => ({
  queues,
  partitions,
  sessionQueuesPerSecond: 100_000,
  sessionQueues: 1_000_000,
  sessionQueueExpiresMs: 3_600_000,
  waitersPerSession: 10_000,
  repeatMs: 1_000,
  renewMs: 1_500,
  writeBackMs: 0,
  holdPolicy: 'until-recalled',
  drainBudgetMs: 1_000,
  maxWaitingScopes: 10_000,
  waitMs: 120_000,
  nestedWaitMs: 1_000,
  commitWaitMs: 120_000,
  heldSessions: 100_000,
  idleReleaseMs: 3_600_000,
  attributeBytes: 65_536,
  sessionBytes: 65_536,
  attributes: 16,
  classInstances: 'refuse',
  closeMs: 2_000,
});

const table: Record<string, Record<string, string>> = {};
for (const queues of ['partitioned', 'per-session'] as const) table[queues] = await measure(queues);
console.table(table);

async function measure(queues: QueueLayout): Promise<Record<string, string>> {
  const rabbitmq = await startPrivateRabbitmq();
  const brokers: AmqpBroker[] = [];
  const broker = () => {
    const one = new AmqpBroker({ url: rabbitmq.url, prefix: 'bench', sessionQueueExpiresMs: 3_600_000, log });
    brokers.push(one);
    return one;
  };
  const store = new Store(
    { broker: broker(), repository: new MemoryRepository(), clock: systemClock, log },
    {
      partitions,
      leaseMs: 5_000,
      recallTimeoutMs: 60_000,
      turnMs: 10,
      unreachableHolder: 'wait-for-lease',
      ttlMs: 86_400_000,
      tombstoneMs,
      destroyedNoticeMs: 60_000,
      expiryScanMs: 60_000,
      waitersPerSession: 10_000,
      waitersPerPartition: 10_000,
      window: 256,
      standbyPollMs: 50,
      endedGrants: 8,
      cacheBytes: 16 * 1024 * 1024,
      retryMinMs: 100,
      retryMaxMs: 1_000,
      closeMs: 5_000,
    },
  );
  await store.start();
  let holders = 0;
  const join = async (at: AmqpBroker) => {
    const ports = { broker: at, clock: systemClock, log, newId: () => 'unused' };
    const sessions = new LockedSessions(`bench-${queues}-${++holders}`, ports, settings(queues));
    await sessions.start();
    return sessions;
  };
  const change = (sessions: LockedSessions, id: string) =>
    sessions.run(id, { write: ['n'] }, (session) => {
      const its = session as unknown as {
        get(name: string): number | undefined;
        set(name: string, value: number): void;
      };
      its.set('n', (its.get('n') ?? 0) + 1);
    });
  const [one, two] = [await join(broker()), await join(broker())];
  await change(one, 'warm');
  const figures: Record<string, string> = {};

  const before = await usage(rabbitmq);
  const took: number[] = [];
  for (let at = 0; at < touches; at++) {
    const begin = performance.now();
    await change(one, `touched-${at}`);
    took.push(performance.now() - begin);
  }
  const after = await usage(rabbitmq);
  took.sort((a, b) => a - b);
  figures['first touch, p50'] = `${took[touches / 2]!.toFixed(1)} ms`;
  figures['its CPU at the broker'] = `${((after.cpuMs - before.cpuMs) / touches).toFixed(2)} ms`;
  figures['memory per session'] = `${((after.bytes - before.bytes) / touches / 1_024).toFixed(1)} KiB`;

  let handoffs = 0;
  const end = performance.now() + handoffMs;
  const contend = async (sessions: LockedSessions) => {
    for (; performance.now() < end; handoffs++) await change(sessions, 'handed');
  };
  const grants = () => one.counters().grants + two.counters().grants;
  const granted = grants();
  await Promise.all([contend(one), contend(two)]);
  figures['handoffs a second'] = ((grants() - granted) / (handoffMs / 1_000)).toFixed(0);

  const crowd = broker();
  const waiters: LockedSessions[] = [];
  for (const line of lines) {
    while (waiters.length < line) waiters.push(await join(crowd));
    const begin = performance.now();
    await Promise.all(waiters.map((waiter) => change(waiter, `line-${line}`)));
    figures[`${line} at once, each`] = `${((performance.now() - begin) / line).toFixed(2)} ms`;
  }

  await rabbitmq.kill();
  const begin = performance.now();
  await rabbitmq.restart();
  await change(two, 'touched-0');
  figures[`restart of the broker`] = `${((performance.now() - begin) / 1_000).toFixed(1)} s`;

  await Promise.all([one, two, ...waiters].map((sessions) => sessions.close()));
  await store.stop();
  await Promise.all(brokers.map((one) => one.close()));
  await removeAmqpDeployment(rabbitmq.url, 'bench', partitions);
  await rabbitmq.stop();
  return figures;
}

/** The CPU time of the broker's Erlang VM so far, and its own count of memory after a collection. */
async function usage(rabbitmq: PrivateRabbitmq): Promise<{ cpuMs: number; bytes: number }> {
  await rabbitmq.ctl('eval', '[garbage_collect(P) || P <- processes()].');
  const pid = (await rabbitmq.ctl('eval', 'os:getpid().')).replace(/\D/g, '');
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
    .map(Number);
  const bytes = Number(await rabbitmq.ctl('eval', 'erlang:memory(total).'));
  return { cpuMs: (user! + system!) * 10, bytes };
}
