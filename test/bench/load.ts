/**
 * The load of one app server: so many scopes at once, each of which begins its next operation when the one
 * before has ended. It measures after a warm-up.
 */
import { randomUUID } from 'node:crypto';
import type { Client } from './contest.js';
import type { Counted } from './figures.js';

export interface Load {
  /** `touch` makes a new session each time; `mixed` reads or changes. */
  readonly operation: 'read' | 'change' | 'touch' | 'mixed';
  /** Scopes at once, of each app server. */
  readonly atOnce: number;
  /** How many sessions the load is on. All but those of `touch` are made before it. */
  readonly sessions: number;
  /** Sessions are picked in turn, by Zipf's law (s = 0.99), or each scope has one of its own. */
  readonly pick?: 'in-turn' | 'zipf' | 'own';
  /** Of `mixed`: which share of the operations are reads. */
  readonly reads?: number;
  /** Which share of the operations come to the session's own app server. Without it, each comes to any. */
  readonly sticky?: number;
  readonly members: number;
}

/** A latency is kept for each operation until there are so many; then for every second one, and so on. */
const maxSamples = 100_000;
/** Operations this short are timed by the hundred: the clock would cost as much as they do. */
const timedTogether = 100;
/** How many sessions are made at once before the load. */
const madeAtOnce = 64;

/** Makes those sessions of the load whose own app server this is. */
export async function makeSessions(
  client: Client,
  { sessions: count, members }: Load,
  { member, sessions }: { member: number; sessions: string },
): Promise<void> {
  let next = member;
  const make = async () => {
    for (let at = next; at < count; at = next) {
      next += members;
      await client.create(`${sessions}-${at}`);
    }
  };
  await Promise.all(Array.from({ length: madeAtOnce }, make));
}

export async function runLoad(
  client: Client,
  load: Load,
  { member, sessions, warmUpMs, ms }: { member: number; sessions: string; warmUpMs: number; ms: number },
): Promise<Counted> {
  const pick = picker(load, member);
  const own = `server-${member}`;
  const name = randomUUID();
  const samples = new Samples();
  let made = 0;
  let changes = 0;
  let operations = 0;
  let ownerChanges = 0;
  let total = 0;
  const isRead = () =>
    load.operation === 'read' || (load.operation === 'mixed' && Math.random() < load.reads!);
  const change = async (session: string, scope: number) => {
    const before = await client.change(session, scope);
    changes++;
    if (before !== undefined && before !== own && performance.now() >= measuredFrom) ownerChanges++;
  };
  const touch = () => client.create(`${sessions}-${name}-${made++}`);
  const one = (scope: number): unknown => {
    if (load.operation === 'touch') return touch();
    const session = `${sessions}-${pick(scope)}`;
    return isRead() ? client.read(session, scope) : change(session, scope);
  };

  const begin = performance.now();
  const end = begin + warmUpMs + ms;
  const batch = load.operation === 'read' && load.atOnce === 1 ? timedTogether : 1;
  const measuredFrom = begin + warmUpMs;
  const scope = async (_: unknown, number: number): Promise<void> => {
    for (let from = performance.now(); from < end;) {
      for (let at = 0; at < batch; at++) await one(number);
      const now = performance.now();
      total += batch;
      if (now >= measuredFrom) {
        operations += batch;
        samples.add((now - from) / batch);
      }
      from = now;
    }
  };
  await Promise.all(Array.from({ length: load.atOnce }, scope));
  const seconds = (performance.now() - measuredFrom) / 1_000;
  return { operations, total, seconds, ownerChanges, samples: samples.list(), max: samples.max, changes };
}

/** Latencies, thinned out when there are too many. */
class Samples {
  private kept: number[] = [];
  private every = 1;
  private count = 0;
  max = 0;

  add(ms: number): void {
    this.max = Math.max(this.max, ms);
    if (this.count++ % this.every !== 0) return;
    this.kept.push(ms);
    if (this.kept.length < maxSamples) return;
    this.kept = this.kept.filter((_, at) => at % 2 === 0);
    this.every *= 2;
  }

  list(): number[] {
    return this.kept;
  }
}

/** Returns the number of the next session. Session n's own app server is n modulo the app servers. */
function picker(
  { sessions, pick = 'in-turn', sticky, members }: Load,
  member: number,
): (scope: number) => number {
  if (pick === 'own') return (scope) => scope % sessions;
  let turn = -1;
  const any = pick === 'zipf' ? zipf(sessions, 0.99) : () => (turn = (turn + 1) % sessions);
  if (sticky === undefined) return any;
  return () => {
    if (Math.random() >= sticky) return any();
    for (;;) {
      const session = any();
      if (session % members === member) return session;
    }
  };
}

/** Numbers below `count`, where n comes in proportion to 1 / (n + 1)^s. */
function zipf(count: number, s: number): () => number {
  const sums = new Float64Array(count);
  for (let n = 0, sum = 0; n < count; n++) sums[n] = sum += 1 / (n + 1) ** s;
  return () => {
    const sought = Math.random() * sums[count - 1]!;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (sums[middle]! < sought) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
