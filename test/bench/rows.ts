/**
 * The rows of the benchmarks, as data: which load, which contestants, and what Locked Session aims at. A
 * target names the contestant that it is against; `docs/BENCHMARKS.md` has the reasons.
 */
import type { ContestSettings } from './contest.js';
import type { ContestantName } from './contestants/contestants.js';
import type { Metric } from './figures.js';
import type { Load } from './load.js';

export interface Case {
  readonly name: string;
  readonly load: Load;
  readonly settings?: ContestSettings;
  readonly contestants: readonly ContestantName[];
  readonly metric: Metric;
  readonly target?: Target;
  /** Two app servers change one session in turn, and nothing else happens. */
  readonly handoff?: boolean;
  /** Whether every acknowledged change is looked for in the end. */
  readonly isCounted?: boolean;
}

/** Ours as a multiple of the other's. */
export interface Target {
  readonly against: ContestantName;
  readonly atMost?: number;
  readonly atLeast?: number;
}

export interface Row {
  readonly what: string;
  /** Whether `--quick` runs it. */
  readonly quick?: boolean;
  readonly cases: readonly Case[];
}

const one = { atOnce: 1, sessions: 1, members: 1 } as const;
const many = (atOnce: number, sessions: number): Load => ({
  operation: 'change',
  atOnce,
  sessions,
  members: 1,
});
const onThousand = (atOnce: number, partitions: number): Case => ({
  name: `${atOnce} at once, 1,000 sessions, ${partitions} partitions`,
  load: many(atOnce, 1_000),
  settings: { partitions },
  contestants: ['locked-session', 'limit'],
  metric: 'rate',
  target: { against: 'limit', atLeast: 0.5 },
});
const contended = (members: number, atOnce: number): Case => ({
  name: `${members} app servers, ${atOnce} ${atOnce === 1 ? 'scope' : 'scopes'} each`,
  load: { operation: 'change', atOnce, sessions: 1, members },
  contestants: [
    'locked-session',
    'limit',
    'advisory-lock',
    'redlock',
    'redlock-5ms',
    'redis-semaphore',
    'live-mutex',
  ],
  metric: atOnce === 1 ? 'ownerChanges' : 'rate',
  target: atOnce === 1 ? { against: 'limit', atLeast: 0.7 } : { against: 'advisory-lock', atLeast: 5 },
  isCounted: true,
});
const mixed = (sticky: number, reads: number): Case => ({
  name: `${sticky * 100} % sticky, ${reads * 100} % reads`,
  load: { operation: 'mixed', reads, sticky, atOnce: 16, sessions: 10_000, pick: 'zipf', members: 3 },
  contestants: ['locked-session', 'redlock-5ms', 'redis'],
  metric: 'rate',
  ...(sticky === 1 && { target: { against: 'redlock-5ms', atLeast: reads > 0.9 ? 5 : 3 } as const }),
});

export const rows = {
  limit: {
    what: 'what the bare pipeline takes, beside an AMQP echo',
    quick: true,
    cases: [
      {
        name: 'one at a time',
        load: { operation: 'change', ...one },
        contestants: ['limit', 'echo'],
        metric: 'p50',
      },
      {
        name: '256 at once',
        load: { operation: 'change', ...one, atOnce: 256, sessions: 1_000 },
        contestants: ['limit', 'echo'],
        metric: 'rate',
      },
    ],
  },
  'held-read': {
    what: 'a read of a session whose lock is held',
    quick: true,
    cases: [
      {
        name: 'one at a time',
        load: { operation: 'read', ...one },
        contestants: ['locked-session', 'async-mutex', 'async-lock'],
        metric: 'rate',
        target: { against: 'async-mutex', atLeast: 1 },
      },
    ],
  },
  'held-write': {
    what: 'a durable change under a held lock, one at a time',
    quick: true,
    cases: [
      {
        name: 'one session',
        load: { operation: 'change', ...one },
        contestants: ['locked-session', 'limit', 'echo', 'redis', 'redlock', 'advisory-lock'],
        metric: 'p50',
        target: { against: 'limit', atMost: 1.3 },
        isCounted: true,
      },
    ],
  },
  'held-write-many': {
    what: 'durable changes under held locks, many at once',
    quick: true,
    cases: [
      ...[1, 16, 64].flatMap((partitions) => [onThousand(32, partitions), onThousand(256, partitions)]),
      ...[32, 256].map((atOnce): Case => ({
        name: `${atOnce} at once, one session`,
        load: many(atOnce, 1),
        contestants: ['locked-session', 'limit'],
        metric: 'rate',
        target: { against: 'limit', atLeast: 0.5 },
        isCounted: true,
      })),
    ],
  },
  'first-touch': {
    what: 'a new session is acquired and changed, one at a time',
    cases: [
      {
        name: 'one at a time',
        load: { operation: 'touch', ...one },
        contestants: ['locked-session', 'limit', 'echo'],
        metric: 'p50',
        target: { against: 'limit', atMost: 1.4 },
      },
    ],
  },
  handoff: {
    what: 'a change of a session that another app server holds and does not use',
    quick: true,
    cases: [
      {
        name: 'two app servers in turn',
        load: { operation: 'change', atOnce: 1, sessions: 1, members: 2 },
        contestants: ['locked-session', 'limit', 'redlock', 'advisory-lock'],
        metric: 'p50',
        target: { against: 'limit', atMost: 1.3 },
        handoff: true,
      },
    ],
  },
  contended: {
    what: 'one session, changed by several app servers at once',
    quick: true,
    cases: [contended(2, 1), contended(4, 1), contended(2, 8), contended(4, 8)],
  },
  store: {
    what: 'new sessions are acquired, changed and released, 256 at once',
    cases: [
      {
        name: '256 at once',
        load: { operation: 'touch', atOnce: 256, sessions: 1, members: 1 },
        settings: { untilIdle: true },
        contestants: ['locked-session', 'limit', 'redlock-5ms'],
        metric: 'rate',
      },
    ],
  },
  mixed: {
    what: '10,000 sessions by Zipf, 3 app servers of 16 scopes each',
    cases: [1, 0.9, 0].flatMap((sticky) => [mixed(sticky, 0.95), mixed(sticky, 0.8)]),
  },
} satisfies Record<string, Row>;

export type RowName = keyof typeof rows;
