/**
 * `npm run fault -- --peers`: a process is paused in 20 scopes, for longer than its locks live, and goes on; meanwhile another one wants to change the same. How many of
 * the paused one's changes come after the other's, and how long the other waits: here, with Redlock 5, and with PostgreSQL's advisory locks.
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pass } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { findDatabase } from '../../scripts/database.js';
import { installPackage } from '../../scripts/debian.js';
import { leaveLastWill } from '../../scripts/last-will.js';
import { startProcess } from '../../scripts/processes.js';
import { findProgram, freePort, path } from '../../scripts/programs.js';
import { findRabbitmq, Fleet, until } from './fleet.js';
import { moment, type Order } from './history.js';
import { openPeer, redlockMs, type PeerKind } from './peer-locks.js';

export interface PeerFigures {
  readonly what: string;
  readonly trials: number;
  readonly staleWrites: number;
  /** How long the other one waited for the last of the locks, from the beginning of the pause, in milliseconds. */
  readonly waitedMs: number;
}

const trials = 20;
const pauseMs = 4_000;
/** What the paused one is at, from short to long: it wakes from it before or after what keeps its lock alive. */
const workMs = (trial: number) => 300 + 30 * trial;
const log = { log: () => {}, warn: console.error, error: console.error };

export async function comparePeers(): Promise<PeerFigures[]> {
  return [
    await trySessions(),
    await tryPeerAt('redlock', await startPrivateRedis()),
    await tryPeerAt('advisory lock', await findDatabase({ log })),
  ];
}

async function tryPeerAt(
  kind: PeerKind,
  server: { url: string; stop(): Promise<void> },
): Promise<PeerFigures> {
  try {
    return await tryPeer(kind, server.url);
  } finally {
    await server.stop();
  }
}

async function trySessions(): Promise<PeerFigures> {
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

async function tryPeer(kind: PeerKind, url: string): Promise<PeerFigures> {
  const peer = await openPeer(kind, url);
  const resources = Array.from({ length: trials }, () => randomUUID());
  const work = resources.map((_, at) => workMs(at)).join(' ');
  const env = { PEER: kind, PEER_URL: url, RESOURCES: resources.join(' '), WORK_MS: work };
  const script = 'dist/test/fault/peer-holder.js';
  const holder = await startProcess({ name: kind, script, env, ready: /all are inside/ });
  process.kill(holder.pid, 'SIGSTOP');
  const paused = moment();
  let waitedMs = 0;
  const next = Promise.all(
    resources.map((resource) =>
      peer.with(resource, async () => {
        waitedMs = moment() - paused;
        await peer.write(resource, 'new');
      }),
    ),
  );
  await Promise.race([next, pass(pauseMs)]);
  process.kill(holder.pid, 'SIGCONT');
  await Promise.all([next, holder.stopped]);
  const left = await Promise.all(resources.map((resource) => peer.read(resource)));
  await peer.close();
  const what = kind === 'redlock' ? `Redlock 5, ${redlockMs} ms, signal checked` : 'pg_advisory_lock';
  const staleWrites = left.filter((value) => value !== 'new').length;
  return { what, trials, staleWrites, waitedMs: Math.round(waitedMs) };
}

/** Of the redis-server that is installed, or is installed for this where that may be done. */
async function startPrivateRedis(): Promise<{ url: string; stop(): Promise<void> }> {
  const find = () =>
    findProgram('redis-server', [...path, '/usr/bin', '/opt/homebrew/bin', '/usr/local/bin']);
  let program: string;
  try {
    program = find();
  } catch {
    await installPackage('redis-server', { ...log, log: console.error });
    program = find();
  }
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'locked-session-redis-')));
  const port = await freePort();
  const settings = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', folder];
  const server = spawn(program, settings, { cwd: folder, stdio: 'ignore', detached: true });
  await once(server, 'spawn');
  const will = leaveLastWill('kill -s KILL "$1"; rm -rf -- "$2"', String(server.pid), folder);
  server.unref();
  const url = `redis://127.0.0.1:${port}`;
  const probe = new Redis(url, { maxRetriesPerRequest: 100, retryStrategy: () => 50 });
  probe.on('error', () => {}); // it is tried again until it answers
  await probe.ping();
  await probe.quit();
  return { url, stop: () => will.execute() };
}
