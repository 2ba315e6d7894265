/**
 * `npm run fault -- --competitors`: a process is paused in 20 scopes for longer than its locks live, while
 * another one wants to change the same values. It counts how many late writes come after the other process's,
 * and how long that one waits: here, with Redlock 5, and with PostgreSQL's advisory locks.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pass } from 'node:timers/promises';
import { findDatabase } from '../../scripts/services/database.js';
import { startPrivateRedis } from '../../scripts/services/private-redis.js';
import { startProcess } from '../../scripts/processes/processes.js';
import { findRabbitmq, Fleet, until } from './fleet.js';
import { moment, type Order } from './history.js';
import { openLock, redlockMs, type LockKind } from './competitor-locks.js';

export interface Comparison {
  readonly what: string;
  readonly trials: number;
  readonly staleWrites: number;
  /** The other one's wait for the last of the locks, from the beginning of the pause, in milliseconds. */
  readonly waitedMs: number;
}

const trials = 20;
const pauseMs = 4_000;
/** The work under each lock. It ends before or after the timer that extends the lock. */
const workMs = (trial: number) => 300 + 30 * trial;
const log = { log: () => {}, warn: console.error, error: console.error };

export async function compareCompetitors(): Promise<Comparison[]> {
  return [
    await trySessions(),
    await tryLockOf('redlock', await startPrivateRedis({ ...log, log: console.error })),
    await tryLockOf('advisory lock', await findDatabase({ log })),
  ];
}

async function tryLockOf(
  kind: LockKind,
  server: { url: string; stop(): Promise<void> },
): Promise<Comparison> {
  try {
    return await tryLock(kind, server.url);
  } finally {
    await server.stop();
  }
}

async function trySessions(): Promise<Comparison> {
  const broker = await findRabbitmq();
  const fleet = await Fleet.create(broker, { store: { STORE_LEASE_MS: `${redlockMs}` } });
  try {
    await fleet.store('store');
    const [one, two] = await Promise.all([fleet.server('one'), fleet.server('two')]);
    const names = Array.from({ length: trials }, (_, at) => `s${at}`);
    const order = (session: string, id: string, forMs: number): Order => {
      return { id, session, task: 'slow', attribute: 'a', forMs };
    };
    const old = names.map((name, at) => one.run(order(name, `${name} old`, workMs(at))));
    await until(async () => (await fleet.noted(one.member)).length === trials, 5_000, 'all are inside');
    const paused = moment();
    one.member.pause();
    const next = Promise.all(names.map((name) => two.run(order(name, `${name} new`, 0))));
    await Promise.race([next, pass(pauseMs)]);
    one.member.resume();
    const answers = await next;
    await Promise.all(old);
    for (const name of names) await two.read(name);
    const reads = (await fleet.noted(two.member)).filter(({ write }) => write.length === 0);
    return {
      what: `Locked Session, lease ${redlockMs} ms`,
      trials,
      staleWrites: reads.filter(({ saw, session }) => saw.a!.at(-1) !== `${session} new`).length,
      waitedMs: Math.round(Math.max(...answers.map(({ entered }) => entered)) - paused),
    };
  } finally {
    await fleet.stop();
    await broker.stop();
  }
}

async function tryLock(kind: LockKind, url: string): Promise<Comparison> {
  const lock = await openLock(kind, url);
  const resources = Array.from({ length: trials }, () => randomUUID());
  const work = resources.map((_, at) => workMs(at)).join(' ');
  const env = { LOCK_KIND: kind, LOCK_URL: url, RESOURCES: resources.join(' '), WORK_MS: work };
  const script = 'dist/test/fault/competitor-holder.js';
  const holder = await startProcess({ name: kind, script, env, ready: /all are inside/ });
  process.kill(holder.pid, 'SIGSTOP');
  const paused = moment();
  let waitedMs = 0;
  const next = Promise.all(
    resources.map((resource) =>
      lock.with(resource, async () => {
        waitedMs = moment() - paused;
        await lock.write(resource, 'new');
      }),
    ),
  );
  await Promise.race([next, pass(pauseMs)]);
  process.kill(holder.pid, 'SIGCONT');
  await Promise.all([next, holder.stopped]);
  const left = await Promise.all(resources.map((resource) => lock.read(resource)));
  await lock.close();
  const what = kind === 'redlock' ? `Redlock 5, ${redlockMs} ms, signal checked` : 'pg_advisory_lock';
  const staleWrites = left.filter((value) => value !== 'new').length;
  return { what, trials, staleWrites, waitedMs: Math.round(waitedMs) };
}
