/**
 * Runs one round of one contestant: its app servers are started, do their load, are asked what is there, and
 * end.
 */
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { root } from '../../scripts/processes/processes.js';
import type { Place } from './contest.js';
import type { ContestantName } from './contestants/contestants.js';
import { measured, type Counted, type Measured } from './figures.js';
import type { Order } from './member.js';
import type { Case } from './rows.js';

export interface Pace {
  readonly warmUpMs: number;
  readonly ms: number;
}

export async function runRound(
  contestant: ContestantName,
  its: Case,
  place: Omit<Place, 'member'>,
  pace: Pace,
): Promise<Measured> {
  const members: Member[] = [];
  try {
    for (let member = 0; member < its.load.members; member++)
      members.push(await Member.start(contestant, { ...place, member }));
    return its.handoff
      ? await handOff(members, `${place.sessions}-handed`, pace)
      : await underLoad(members, its, place.sessions, pace);
  } finally {
    await Promise.all(members.map((member) => member.end()));
  }
}

async function underLoad(
  members: readonly Member[],
  its: Case,
  prefix: string,
  pace: Pace,
): Promise<Measured> {
  const { load } = its;
  const sessions = Array.from({ length: load.sessions }, (_, at) => `${prefix}-${at}`);
  const before = its.isCounted ? await members[0]!.ask<number>({ do: 'count', sessions }) : 0;
  const counted = await Promise.all(members.map((one) => one.ask<Counted>({ do: 'load', load, ...pace })));
  const after = its.isCounted ? await members[0]!.ask<number>({ do: 'count', sessions }) : 0;
  const changes = counted.reduce((sum, one) => sum + one.changes, 0);
  return measured(counted, its.isCounted ? before + changes - after : 0);
}

/** Two app servers change one session in turn: each change finds the lock held and idle at the other one. */
async function handOff(members: readonly Member[], session: string, pace: Pace): Promise<Measured> {
  const samples: number[] = [];
  let changes = 0;
  const begin = performance.now();
  const from = begin + pace.warmUpMs;
  for (let now = begin; now < from + pace.ms; now = performance.now()) {
    const ms = await members[changes++ % members.length]!.ask<number>({ do: 'change', session });
    if (now >= from) samples.push(ms);
  }
  const seconds = (performance.now() - from) / 1_000;
  return measured(
    [{ operations: samples.length, ownerChanges: samples.length, seconds, samples, changes }],
    0,
  );
}

/** The benchmark's end of one app server. */
class Member {
  private constructor(private readonly child: ChildProcess) {}

  static async start(contestant: ContestantName, place: Place): Promise<Member> {
    const script = join(root, 'dist/test/bench/member.js');
    const child = fork(script, [contestant, JSON.stringify(place)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      env: { ...process.env, NODE_ENV: 'production' },
    });
    const member = new Member(child);
    await member.answer();
    return member;
  }

  async ask<T>(order: Order): Promise<T> {
    const answer = this.answer();
    this.child.send(order);
    return (await answer) as T;
  }

  async end(): Promise<void> {
    if (this.child.exitCode !== null) return;
    await this.ask({ do: 'close' }).catch(() => {});
    const gone = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await gone;
  }

  private async answer(): Promise<unknown> {
    const ended = once(this.child, 'exit').then(() => [{ error: 'the process has ended' }]);
    const [answer] = (await Promise.race([once(this.child, 'message'), ended])) as [
      { result?: unknown; error?: string },
    ];
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.result;
  }
}
