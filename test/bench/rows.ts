/**
 * The rows of the benchmarks, as data: which load, which contestants, and what Locked Session aims at.
 * `docs/BENCHMARKS.md` has the reasons. Rows of curves stand in curves.ts.
 */
import type { Case, Row } from './cases.js';
import { growth, layouts, storeMemory } from './curves.js';
import type { Load } from './load.js';

const one = { atOnce: 1, sessions: 1, members: 1 } as const;
const ours = 'locked-session' as const;
const many = (atOnce: number, sessions: number): Load => ({
  operation: 'change',
  atOnce,
  sessions,
  members: 1,
});
const onThousandName = (atOnce: number, partitions: number) =>
  `${atOnce} at once, 1,000 sessions, ${partitions} partitions`;
const onThousand = (atOnce: number, partitions: number): Case => ({
  name: onThousandName(atOnce, partitions),
  load: many(atOnce, 1_000),
  settings: { partitions },
  contestants: [ours, 'limit'],
  metric: 'rate',
  targets: [
    { against: 'limit', atLeast: 0.5 },
    ...(partitions === 1 ? [] : [{ inCase: onThousandName(atOnce, 1), atLeast: 0.9 }]),
  ],
});
const lockPeers = ['advisory-lock', 'redlock', 'redlock-5ms', 'redis-semaphore', 'live-mutex'] as const;
const contended = (members: number, atOnce: number): Case => ({
  name: `${members} app servers, ${atOnce} ${atOnce === 1 ? 'scope' : 'scopes'} each`,
  load: { operation: 'change', atOnce, sessions: 1, members },
  contestants: [ours, 'limit', ...lockPeers],
  metric: atOnce === 1 ? 'ownerChanges' : 'rate',
  targets: [atOnce === 1 ? { against: 'limit', atLeast: 0.7 } : { against: lockPeers, atLeast: 5 }],
  isCounted: true,
});
const handoff = (name: string, more: Partial<Case>): Case => ({
  name,
  load: { operation: 'change', atOnce: 1, sessions: 1, members: 2 },
  contestants: [ours, 'limit', 'redlock', 'advisory-lock'],
  metric: 'p50',
  targets: [
    { against: 'limit', atMost: 1.3 },
    { metric: 'p99', against: 'limit', atMost: 2 },
  ],
  drive: 'handoff',
  isCounted: true,
  ...more,
});
/** So far apart that no lock counts as one that goes from holder to holder (rule 23). */
const apart = 'two app servers in turn, 150 ms after each other';
const mixed = (sticky: number, reads: number): Case => ({
  name: `${sticky * 100} % sticky, ${reads * 100} % reads`,
  load: { operation: 'mixed', reads, sticky, atOnce: 16, sessions: 10_000, pick: 'zipf', members: 3 },
  contestants: [ours, 'redlock-5ms', 'redis'],
  metric: 'rate',
  ...(sticky === 1 && { targets: [{ against: 'redlock-5ms', atLeast: reads > 0.9 ? 5 : 3 }] }),
});
const connections = 32;
const http = (name: string, load: Pick<Load, 'operation' | 'reads'>, more: Partial<Case> = {}): Case => ({
  name: `${name}, ${connections} connections, each with its session`,
  load: { ...load, atOnce: connections, sessions: connections, pick: 'own', members: 1 },
  contestants: ['http-locked-session', 'http-no-session', 'http-express-session', 'http-redlock'],
  metric: 'rate',
  ...more,
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
        contestants: [ours, 'async-mutex', 'async-lock'],
        metric: 'rate',
        targets: [{ against: 'async-mutex', atLeast: 1 }],
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
        contestants: [ours, 'limit', 'echo', 'redis', 'redlock', 'advisory-lock'],
        metric: 'p50',
        targets: [{ against: 'limit', atMost: 1.3 }],
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
        contestants: [ours, 'limit'],
        metric: 'rate',
        targets: [
          { against: 'limit', atLeast: 0.5 },
          { inCase: onThousandName(atOnce, 16), atLeast: 1 },
        ],
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
        contestants: [ours, 'limit', 'echo'],
        metric: 'p50',
        targets: [{ against: 'limit', atMost: 1.4 }],
      },
    ],
  },
  handoff: {
    what: 'a change of a session that another app server holds and does not use',
    quick: true,
    cases: [handoff('two app servers in turn', {}), handoff(apart, { pauseMs: 150, lasts: 5 })],
  },
  contended: {
    what: 'one session, changed by several app servers at once',
    quick: true,
    cases: [contended(2, 1), contended(4, 1), contended(2, 8), contended(4, 8)],
  },
  store: {
    what: 'new sessions are acquired, changed and released, 256 at once, none used again',
    cases: [
      {
        name: '256 at once',
        load: { operation: 'touch', atOnce: 256, sessions: 1, members: 1 },
        settings: { untilIdle: true },
        contestants: [ours, 'limit', 'redlock-5ms'],
        metric: 'rate',
        targets: [{ atLeast: 7_500 }],
      },
    ],
  },
  mixed: {
    what: '10,000 sessions by Zipf, 3 app servers of 16 scopes each',
    cases: [1, 0.9, 0].flatMap((sticky) => [mixed(sticky, 0.95), mixed(sticky, 0.8)]),
  },
  http: {
    what: 'a Nest application on one server',
    cases: [
      http(
        '80 % reads',
        { operation: 'mixed', reads: 0.8 },
        {
          targets: [
            { against: 'http-no-session', atLeast: 0.6 },
            { against: 'http-express-session', atLeast: 1.2 },
          ],
        },
      ),
      http(
        'writes only',
        { operation: 'change' },
        {
          targets: [
            { against: 'http-no-session', atLeast: 0.45 },
            { against: 'http-express-session', atLeast: 1 },
          ],
          isCounted: true,
        },
      ),
      http(
        'writes only',
        { operation: 'change' },
        {
          name: `writes only, ${connections} connections, all with one session`,
          load: { operation: 'change', atOnce: connections, sessions: 1, members: 1 },
          isCounted: true,
        },
      ),
    ],
  },
  takeover: {
    what: 'the store is killed every 5 s under load while another one stands by',
    cases: [
      {
        name: '2 app servers of 8 scopes, 100 sessions',
        load: { operation: 'change', atOnce: 8, sessions: 100, members: 2 },
        settings: { standby: true },
        contestants: [ours],
        metric: 'max',
        targets: [{ atMost: 500 }],
        drive: 'takeover',
        isCounted: true,
        fresh: true,
        lasts: 10,
      },
    ],
  },
  demo: {
    what: 'the load of the demo: 20 sessions, each changed by 3 app servers at once',
    cases: [
      {
        name: '60 requests under way',
        load: { operation: 'mixed', reads: 0.5, atOnce: 3, sessions: 20, members: 3 },
        contestants: ['demo'],
        metric: 'p50',
        targets: [{ atMost: 50 }, { metric: 'rate', atLeast: 1_212 }],
        lasts: 2,
      },
    ],
  },
  layouts,
  growth,
  'store-memory': storeMemory,
} satisfies Record<string, Row>;

export type RowName = keyof typeof rows;
