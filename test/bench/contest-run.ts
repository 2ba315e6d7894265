/**
 * Runs one round of one contestant: its app servers are started, make the sessions, do their load, are asked
 * what is there, and end.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Case } from './cases.js';
import type { Backend, Pace, Place } from './contest.js';
import { contestants, type ContestantName } from './contestants/contestants.js';
import type { Load } from './load.js';
import { measured, type Counted, type Measured, type Role } from './figures.js';
import { Member } from './member-process.js';
import { cpuMs, peakMb } from './usage.js';

/** The processes of a contest whose CPU and memory are told. Those of the load itself are the app servers. */
export interface Arena {
  readonly backend: Backend | undefined;
  /** The process of RabbitMQ or Redis. */
  readonly server: number | undefined;
}

/** How often a store is killed in the row `takeover`. */
const disturbEveryMs = 5_000;
/** Operations at once before the measurement, at least. */
const compiledBy = 32;
const shortestWarmUpMs = 100;
/** A moment's run waits for a moment: at most this many times the load's time. */
const longestSettle = 20;

export async function runRound(
  contestant: ContestantName,
  its: Case,
  place: Omit<Place, 'member'>,
  pace: Pace,
  arena: Arena,
): Promise<Measured> {
  const one = contestants[contestant];
  if ('measure' in one) return one.measure({ ...place, member: 0 }, pace);
  const members: Member[] = [];
  try {
    for (let member = 0; member < its.load.members; member++)
      members.push(await Member.start(contestant, { ...place, member }));
    const use = new Use(arena, members);
    const round = its.drive === 'handoff' ? handOff : underLoad;
    return await round({ members, its, prefix: place.sessions, pace, use, backend: arena.backend });
  } finally {
    await Promise.all(members.map((member) => member.end()));
  }
}

interface Round {
  readonly members: readonly Member[];
  readonly its: Case;
  readonly prefix: string;
  readonly pace: Pace;
  readonly use: Use;
  readonly backend: Backend | undefined;
}

async function underLoad({ members, its, prefix, pace, use, backend }: Round): Promise<Measured> {
  const { load } = its;
  const sessions = Array.from({ length: its.isCounted ? load.sessions : 0 }, (_, at) => `${prefix}-${at}`);
  if (load.operation !== 'touch') await Promise.all(members.map((one) => one.ask({ do: 'make', load })));
  await compile(members, load, pace);
  const before = await members[0]!.ask<number>({ do: 'count', sessions });
  await use.begin();
  const end = new AbortController();
  const disturbed = its.drive === 'takeover' ? disturb(backend!, pace, end.signal) : Promise.resolve();
  const counted = await Promise.all(members.map((one) => one.ask<Counted>({ do: 'load', load, ...pace })));
  end.abort();
  await disturbed;
  if (its.settleMs !== undefined) await delay(Math.min(its.settleMs, longestSettle * pace.ms));
  const used = await use.end(counted.reduce((sum, one) => sum + one.total, 0));
  const after = await members[0]!.ask<number>({ do: 'count', sessions });
  const changes = counted.reduce((sum, one) => sum + one.changes, 0);
  return { ...measured(counted, its.isCounted ? before + changes - after : 0), ...used };
}

/**
 * Processes that run for days have compiled code. One operation at a time takes half a minute to get there,
 * and many at once take a second. A moment's run, which judges nothing, does without.
 */
async function compile(members: readonly Member[], load: Load, { warmUpMs }: Pace): Promise<void> {
  if (warmUpMs < shortestWarmUpMs) return;
  const many = { ...load, atOnce: Math.max(load.atOnce, compiledBy) };
  const order = { do: 'load', load: many, warmUpMs: 0, ms: warmUpMs } as const;
  await Promise.all(members.map((one) => one.ask(order)));
}

/** Kills the store that serves, again and again, until the load is over: twice at least. */
async function disturb(backend: Backend, { warmUpMs, ms }: Pace, signal: AbortSignal): Promise<void> {
  const everyMs = Math.min(disturbEveryMs, ms / 3);
  const pause = (pauseMs: number) => delay(pauseMs, undefined, { signal }).catch(() => {});
  await pause(warmUpMs);
  for (;;) {
    await pause(everyMs);
    if (signal.aborted) return;
    await backend.disturb!();
  }
}

/** Two app servers change one session in turn: each change finds the lock held and idle at the other one. */
async function handOff({ members, its, prefix, pace, use }: Round): Promise<Measured> {
  const session = `${prefix}-0`;
  await members[0]!.ask({ do: 'make', load: { ...its.load, members: 1 } });
  await compile(members, its.load, pace);
  const count = () => members[0]!.ask<number>({ do: 'count', sessions: its.isCounted ? [session] : [] });
  const before = await count();
  await use.begin();
  const samples: number[] = [];
  let total = 0;
  const begin = performance.now();
  const from = begin + pace.warmUpMs;
  for (let now = begin; now < from + pace.ms; now = performance.now()) {
    if (its.pauseMs !== undefined) await delay(Math.min(its.pauseMs, pace.ms / 10));
    const ms = await members[++total % members.length]!.ask<number>({ do: 'change', session });
    if (now >= from) samples.push(ms);
  }
  const seconds = (performance.now() - from) / 1_000;
  const used = await use.end(total);
  const lost = its.isCounted ? before + total - (await count()) : 0;
  const { length: operations } = samples;
  const max = Math.max(...samples);
  const counted = { operations, total, ownerChanges: operations, seconds, samples, max, changes: total };
  return { ...measured([counted], lost), ...used };
}

/** What the processes of a contest use from its begin to its end. */
class Use {
  private readonly roles: Readonly<Record<Role, readonly number[]>>;
  private before: Partial<Record<Role, number>> = {};

  constructor({ backend, server }: Arena, members: readonly Member[]) {
    const list = (pid: number | undefined) => (pid === undefined ? [] : [pid]);
    const app = list(backend?.app);
    this.roles = {
      app: app.length > 0 ? app : members.map((member) => member.pid),
      store: list(backend?.store),
      server: list(server),
    };
  }

  async begin(): Promise<void> {
    this.before = await this.sums(cpuMs);
  }

  /** CPU for each of so many operations. */
  async end(operations: number): Promise<Pick<Measured, 'cpu' | 'memory'>> {
    const after = await this.sums(cpuMs);
    const cpu: Partial<Record<Role, number>> = {};
    for (const role of Object.keys(after) as Role[])
      cpu[role] = ((after[role]! - (this.before[role] ?? 0)) * 1_000) / Math.max(1, operations);
    return { cpu, memory: await this.sums(peakMb) };
  }

  /** By role; without those of which something is not known. */
  private async sums(
    of: (pid: number) => Promise<number | undefined>,
  ): Promise<Partial<Record<Role, number>>> {
    const sums: Partial<Record<Role, number>> = {};
    for (const [role, pids] of Object.entries(this.roles) as [Role, number[]][]) {
      const values = await Promise.all(pids.map(of));
      if (values.length > 0 && values.every((value) => value !== undefined))
        sums[role] = values.reduce((sum, value) => sum + value, 0);
    }
    return sums;
  }
}
