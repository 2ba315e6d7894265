/**
 * Rows that show how something changes with something else: `growth` with the number of sessions, app
 * servers, waiters, bytes and partitions, `layouts` with where requests for locks wait. A curve starts with
 * its smallest value.
 */
import type { Case, Row } from './cases.js';
import type { Load } from './load.js';

const ours = 'locked-session' as const;
/** A larger heap of held sessions would be the app server's own limit. */
const mostHeld = 100_000;

/** Each value of a curve is a case. */
const along = (curve: string, values: readonly number[], of: (x: number) => Omit<Case, 'name' | 'on'>) =>
  values.map((x): Case => ({ name: `${x.toLocaleString('en')} ${curve}`, on: { curve, x }, ...of(x) }));

const change = (load: Omit<Load, 'operation'>): Load => ({ operation: 'change', ...load });

export const growth: Row = {
  what: 'how figures change with what grows',
  cases: [
    ...along('sessions', [1_000, 10_000, 100_000, 1_000_000], (sessions) => ({
      load: change({ atOnce: 64, sessions, pick: 'zipf', members: 1 }),
      settings: { heldSessions: Math.min(sessions, mostHeld) },
      contestants: [ours],
      metric: 'rate',
      fresh: true,
      ...(sessions > mostHeld && { maxRounds: 1 }),
    })),
    ...along('app servers', [1, 2, 4, 8], (members) => ({
      load: change({ atOnce: 1, sessions: 1, members }),
      contestants: [ours, 'limit', 'advisory-lock'],
      metric: 'rate',
      isCounted: true,
    })),
    ...along('waiters', [1, 10, 100, 1_000], (holders) => ({
      load: change({ atOnce: holders, sessions: 1, members: 1 }),
      settings: { holders },
      contestants: [ours, 'limit'],
      metric: 'p50',
    })),
    ...along('bytes in each attribute', [100, 1_000, 8_000, 64_000], (valueBytes) => ({
      load: change({ atOnce: 32, sessions: 100, members: 1 }),
      settings: { valueBytes },
      contestants: [ours, 'limit', 'redis'],
      metric: 'rate',
    })),
    ...along('partitions', [1, 4, 16, 64], (partitions) => ({
      load: change({ atOnce: 256, sessions: 1_000, members: 1 }),
      settings: { partitions },
      contestants: [ours, 'limit'],
      metric: 'rate',
    })),
  ],
};

/** Four attributes of this make 0.7 KB. */
const valueBytes = 130;
/** Twice the default of STORE_CACHE_MIB, and what a store without sessions has. */
const memoryBoundMb = 2 * 256 + 150;

const inMemory = (sessions: number, untilIdle: boolean): Omit<Case, 'name' | 'on'> => ({
  load: change({ atOnce: 64, sessions, pick: 'zipf', members: 1 }),
  settings: { heldSessions: sessions, untilIdle, valueBytes },
  contestants: [ours],
  metric: 'storeMb',
  targets: [{ atMost: memoryBoundMb }],
  fresh: true,
  settleMs: 30_000,
  maxRounds: 1,
});

export const storeMemory: Row = {
  what: 'the most memory that a store has had, until 30 s after its sessions were made and changed',
  cases: [
    ...along('held sessions', [1_000, 50_000, 100_000, 200_000], (sessions) => inMemory(sessions, false)),
    ...along('released sessions', [1_000, 200_000], (sessions) => inMemory(sessions, true)),
  ],
};

const inLayouts = ['locked-session', 'per-session', 'quorum', 'per-session-quorum'] as const;

export const layouts: Row = {
  what: 'where requests for locks wait, and on which type of queue',
  cases: [
    {
      name: 'handoff',
      load: change({ atOnce: 1, sessions: 1, members: 2 }),
      contestants: inLayouts,
      metric: 'p50',
      drive: 'handoff',
    },
    {
      name: 'first touch',
      load: { operation: 'touch', atOnce: 1, sessions: 1, members: 1 },
      contestants: inLayouts,
      metric: 'p50',
    },
    {
      name: 'a durable change under a held lock, 32 at once',
      load: change({ atOnce: 32, sessions: 100, members: 1 }),
      contestants: inLayouts,
      metric: 'rate',
    },
    {
      name: '100 app servers wait for one session',
      load: change({ atOnce: 100, sessions: 1, members: 1 }),
      settings: { holders: 100 },
      contestants: inLayouts,
      metric: 'p50',
    },
  ],
};
