/**
 * The store's machine: duties that seldom show. Holders out of reach, when it looks, what it counts, and what
 * it forgets.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { acquire, cancel, commit, emptyRelease, release, renew, StoreAlone } from '../testing/store-alone.js';
import { limits } from '../wire/limits.js';
import type { HolderMessage } from '../wire/messages.js';
import type { SessionRecord } from './record.js';

const leaseMs = 1_000;
const lookMs = leaseMs / 10;
const ttlMs = 60_000;
const parameters = { leaseMs, recallTimeoutMs: 5_000, ttlMs };
const waitMs = 600_000;
const waits = (request: number) => acquire(request, { waitMs });
const released = { create: undefined };

let store: StoreAlone;
beforeEach(() => {
  store = new StoreAlone(parameters);
});

const now = () => ({ mono: store.time, wall: store.time });
const due = (session: string, expires: number) => store.machine.due([{ session, expires }], now());
const watched = () => store.machine.memory().watched;

/** Time passes while these holders renew. */
function passes(ms: number, ...alive: string[]): string[] {
  const told: string[] = [];
  for (const end = store.time + ms; store.time < end;) {
    told.push(...store.wait(Math.min(end - store.time, lookMs)));
    for (const holder of alive) store.hear(holder, renew(store.time));
  }
  return told;
}

/** The record of a session that `a` holds from an earlier owner. */
const recordOf = (revoked: boolean): SessionRecord => ({
  version: [1, 1, 0],
  grant: { token: [1, 1], holder: 'a', request: 1, queue: 'a.1', seq: 0, revoked },
  ended: [],
  touched: 0,
  expiryEntry: undefined,
  destroyed: undefined,
  attributes: new Map(),
});

describe('a holder that is out of reach, where such holders are revoked', () => {
  const taken = ['a: revoked s 1.1 lease-over', 'b: grant s #1 1.2'];
  beforeEach(() => {
    store = new StoreAlone({ ...parameters, unreachableHolder: 'revoke' });
    store.hear('a', acquire(1), renew(1));
  });
  const unreachable = (queue = 'a.1') => store.machine.unreachable(queue, now());

  it('rule 10: loses its lock to one that waits at once, and its queue is tried at each look', () => {
    store.hear('b', waits(1));
    expect(store.wait(50)).toEqual(['a: recall s 1.1']);
    unreachable();
    const { messages } = store.machine.flush();
    expect(messages.get('b.1')).toMatchObject([{ kind: 'grant', request: 1 }]);
  });

  it('rule 10: is not one whose other queue came back', () => {
    store.hear('b', waits(1));
    unreachable('c.1');
    expect(store.wait(0)).toEqual(['a: recall s 1.1']);
  });

  it('rule 10: stays so by frames that name the same queue, since they may be old', () => {
    unreachable();
    store.hear('a', commit([1, 1], 1));
    expect(store.hear('b', waits(1))).toEqual(['a: recall s 1.1', ...taken]);
  });

  it('rule 10: is in reach again by a frame that names another queue', () => {
    unreachable();
    store.hearOn('a.2', 'a', commit([1, 1], 1));
    expect(store.hear('b', waits(1))).toEqual(['a.2: recall s 1.1']);
  });

  it('rule 10: is in reach again by a renewal', () => {
    unreachable();
    store.hear('a', renew(2));
    expect(store.hear('b', waits(1))).toEqual(['a: recall s 1.1']);
  });

  it('rule 10: is known by the queue of its grant, when this owner has no frame of it', () => {
    store = new StoreAlone(
      { ...parameters, unreachableHolder: 'revoke' },
      new Map([['s', recordOf(false)]]),
      2,
    );
    expect(store.hear('b', waits(1))).toEqual(['a: recall s 1.1']);
    unreachable();
    expect(store.wait(0)).toContain('b: grant s #1 2.1');
  });

  it('rule 10: is none of those whose grants name other queues', () => {
    const other = recordOf(false);
    other.grant = { ...other.grant!, holder: 'c', queue: 'c.1' };
    const disk = new Map([
      ['s', recordOf(false)],
      ['t', other],
    ]);
    store = new StoreAlone({ ...parameters, unreachableHolder: 'revoke' }, disk, 2);
    store.hear('b', waits(1), acquire(1, { session: 't', waitMs }));
    unreachable();
    const told = store.wait(0);
    expect(told).toContain('b: grant s #1 2.1');
    expect(told).toContain('c: recall t 1.1');
  });

  it('rule 10: is not one that has another queue than at its grant', () => {
    store.hearOn('a.2', 'a', renew(2));
    store.hear('b', waits(1));
    unreachable();
    expect(store.wait(0)).toEqual(['a.2: recall s 1.1']);
  });
});

it('rule 10: where the lease of a holder out of reach is waited for, it is asked once', () => {
  store.hear('a', acquire(1), renew(1));
  store.hear('b', waits(1));
  store.machine.unreachable('a.1', now());
  expect(store.wait(50)).toEqual([]);
});

describe('a holder that leaves', () => {
  it('rule 3: has no place in any queue any more', () => {
    store.hear('a', acquire(1), renew(1));
    store.hear('b', waits(1));
    store.hear('c', waits(1));
    store.hear('b', { kind: 'leave' });
    expect(store.machine.snapshot().waiting).toBe(1);
    expect(store.hear('a', emptyRelease([1, 1]))).toEqual(['c: grant s #1 1.2', 'a: released s 1.1']);
  });

  it('rule 3: frees its lock when all who waited for it have given up', () => {
    store.hear('a', acquire(1), renew(1));
    store.hear('b', acquire(1, { waitMs: 10 }));
    store.time += 11;
    expect(store.hear('a', { kind: 'leave' })).toEqual([]);
    expect(store.hear('c', acquire(1))).toEqual(['c: grant s #1 1.2']);
  });
});

describe('a session that is due', () => {
  beforeEach(() => void store.hear('a', acquire(1), renew(1)));

  it('rule 15: is not asked back any more once it was used', () => {
    passes(ttlMs, 'a');
    expect([due('s', ttlMs), watched()]).toEqual([false, 1]);
    store.hear('a', commit([1, 1], 1, { cart: '1' }));
    store.hear('a', renew(2));
    expect([...store.outputs.messages.values()].flat()).toMatchObject([{ kind: 'renewed', recalled: [] }]);
    store.wait(lookMs);
    expect(watched()).toBe(0);
    expect(store.machine.nextDeadline).toBe(Infinity);
  });

  it('rule 15: ends when its holder falls silent, after the grace, with a word to that holder', () => {
    passes(ttlMs, 'a');
    due('s', ttlMs);
    expect(passes(ttlMs / 2)).toEqual(['a: recall s 1.1']);
    expect(watched(), 'the index names it again').toBe(0);
    expect(due('s', (5 * ttlMs) / 4)).toBe(true);
    expect(store.wait(0)).toEqual(['a: revoked s 1.1 lease-over']);
    expect(store.machine.counters).toMatchObject({ revocations: 1, expired: 1 });
    expect(store.hear('b', acquire(1, released))).toEqual(['b: refused s #1 unknown-session']);
    expect(watched()).toBe(0);
  });

  it('rule 15: is recalled anew for a waiter when its holder came back within the grace', () => {
    passes(ttlMs, 'a');
    due('s', ttlMs);
    passes(2 * leaseMs);
    expect(watched()).toBe(0);
    store.hear('a', renew(2));
    expect(store.hear('b', waits(1))).toEqual(['a: recall s 1.1']);
  });

  it('rule 15: goes from the index when it is free, also when the store knows nothing of it', () => {
    store.hear('a', release([1, 1], 1));
    store.time = ttlMs;
    expect(due('s', ttlMs)).toBe(true);
    store.machine.load('x', undefined);
    store.machine.flush();
    expect(due('x', 7)).toBe(true);
    expect(store.machine.flush().writes).toEqual([
      { session: 'x', record: undefined, set: [], removed: [], expires: { was: 7, is: undefined } },
    ]);
    expect(due('unloaded', 7)).toBe(false);
  });
});

it('rule 10: a revoked lock is waited for, though its session comes due', () => {
  store.hear('a', acquire(1), renew(1));
  passes(ttlMs - 1_000, 'a', 'b');
  store.hear('b', waits(1));
  expect(passes(parameters.recallTimeoutMs, 'a', 'b')).toContain('a: revoked s 1.1 recall-timeout');
  due('s', ttlMs);
  expect(passes(leaseMs / 2, 'b')).toEqual([]);
  expect(passes(leaseMs, 'b')).toContain('b: grant s #1 1.2');
});

describe('when the machine looks', () => {
  it('rule 10: a tenth of a lease after it has anything to look at, whatever frames come meanwhile', () => {
    store.hear('a', acquire(1), renew(1));
    store.time = 500;
    store.hear('b', waits(1));
    expect(store.machine.nextDeadline).toBe(500 + lookMs);
    store.time += lookMs / 2;
    store.hear('c', renew(1));
    expect(store.machine.nextDeadline).toBe(500 + lookMs);
  });

  it('rule 10: a quarter of a second at most, where leases are long', () => {
    store = new StoreAlone({ leaseMs: 60_000 });
    store.hear('a', acquire(1), renew(1));
    store.hear('b', waits(1));
    expect(store.machine.nextDeadline).toBe(250);
  });

  it('rule 2: at a deadline that a repeat has made earlier', () => {
    store.hear('a', acquire(1), renew(1));
    store.hear('b', waits(1));
    store.hear('b', acquire(1, { waitMs: lookMs / 2 }));
    expect(store.machine.nextDeadline).toBe(lookMs / 2);
  });

  it('rule 10: at a revoked lock, and at no deadline of one that does not wait any more', () => {
    store.machine.load('s', recordOf(true));
    store.hear('b', acquire(1, { waitMs: lookMs / 2 }), cancel(1));
    expect(store.machine.nextDeadline).toBe(lookMs);
  });

  it('rule 10: at a revoked lock that it has loaded, though nobody waits', () => {
    store.machine.load('s', recordOf(true));
    expect(store.machine.nextDeadline).toBe(lookMs);
    expect(store.wait(leaseMs)).toEqual([]);
    expect(store.hear('b', acquire(1))).toEqual(['b: grant s #1 1.1']);
    expect([watched(), store.machine.nextDeadline]).toEqual([0, Infinity]);
  });

  it('rule 10: not for ever, and what it watches stays in memory', () => {
    store.hear('a', acquire(1), renew(1));
    store.hear('b', waits(1));
    expect(passes(parameters.recallTimeoutMs, 'a', 'b')).toContain('a: revoked s 1.1 recall-timeout');
    store.hear('b', cancel(1));
    store.machine.evict(0);
    expect(store.machine.snapshot()).toMatchObject({ sessions: 1 });
    passes(leaseMs);
    expect([watched(), store.machine.nextDeadline]).toEqual([0, Infinity]);
    store.machine.evict(0);
    expect(store.machine.snapshot()).toMatchObject({ sessions: 0, bytes: 0 });
  });
});

describe('what an answer to a renewal lists', () => {
  const others = (count: number) => Array.from({ length: count }, (_, place) => `t${place}`);
  const recalledOf = (count: number) => {
    store = new StoreAlone({ ...parameters, waitersPerPartition: 2 * limits.listed });
    for (const session of others(count)) {
      store.hear('a', acquire(1, { session }));
      store.hear('b', acquire(1, { session }));
    }
    store.hear('a', renew(1));
    const [answer] = [...store.outputs.messages.values()].flat();
    return answer?.kind === 'renewed' ? answer.recalled.map(([session]) => session) : [];
  };

  it('rule 9: is every lock that is asked back', () => {
    expect(recalledOf(3)).toEqual(others(3));
  });

  it('rule 9: is no more than one message may list', () => {
    expect(recalledOf(limits.listed + 1)).toEqual(others(limits.listed));
  });

  it('rule 9: names valid locks only when some were reclaimed', () => {
    store.hear('a', acquire(1), renew(1));
    expect([...store.outputs.messages.values()].flat()[1]).not.toHaveProperty('valid');
    store.hear('a', { kind: 'renew', n: 2, reclaim: [['s', [1, 1], 0]] });
    expect([...store.outputs.messages.values()].flat()).toMatchObject([{ valid: [['s', [1, 1]]] }]);
  });
});

it('rule 7: the sessions that a renewal names are loaded before it is received', () => {
  const messages: HolderMessage[] = [
    { kind: 'renew', n: 1, touches: [['s', 0]], reclaim: [['t', [1, 1], 0]] },
    acquire(1, { session: 'u' }),
    { kind: 'leave' },
  ];
  const frame = { version: 2, partition: 0, holder: 'a', queue: 'a.1', epoch: 0, messages } as const;
  expect(store.machine.missing(frame)).toEqual(['s', 't', 'u']);
  store.machine.load('t', undefined);
  expect(store.machine.missing(frame)).toEqual(['s', 'u']);
});

it('rule 7: a session that is loaded twice is as it was', () => {
  store.hear('a', acquire(1), commit([1, 1], 1, { cart: '1' }));
  const { bytes } = store.machine.snapshot();
  store.machine.load('s', undefined);
  expect(store.machine.snapshot()).toMatchObject({ sessions: 1, bytes });
  expect(store.hear('a', commit([1, 1], 2))).toEqual(['a: committed s 1.1 seq 2']);
});

it('memory is freed down to what is allowed, and no further', () => {
  for (const session of ['s', 't', 'u']) store.hear('a', acquire(1, { session }));
  const { bytes } = store.machine.snapshot();
  store.machine.evict(bytes);
  expect(store.machine.snapshot().sessions).toBe(3);
  store.machine.evict(bytes / 2);
  expect(store.machine.snapshot().sessions, 'packed, they fit').toBe(3);
  expect(store.machine.bytes).toBeLessThanOrEqual(bytes / 2);
  store.machine.evict(store.machine.bytes - 1);
  expect(store.machine.snapshot().sessions).toBe(2);
});

it('what waits for the next flush is counted, and so are open deliveries', () => {
  store.machine.load('s', undefined);
  const frame = { version: 2, partition: 0, holder: 'a', queue: 'a.1', epoch: 0 } as const;
  store.machine.receive({ ...frame, messages: [acquire(1)] }, 1, now());
  expect(store.machine.memory().outputs, 'a write, a grant and a delivery').toEqual({ pending: 3, open: 0 });
  store.machine.flush();
  store.hear('b', acquire(1));
  expect(store.machine.memory().outputs).toEqual({ pending: 0, open: 1 });
});

it('each thing that the store does is counted once', () => {
  store.hear('a', acquire(1));
  store.hear('b', acquire(1));
  store.hear('a', commit([1, 1], 1), commit([1, 1], 1));
  store.hear('a', release([1, 1], 2));
  store.hear('a', release([1, 1], 2));
  store.hear('b', { kind: 'destroy', session: 's', token: [1, 2], seq: 1 });
  store.hear('c', acquire(1, released));
  store.time = 3_600_000;
  due('s', 0);
  expect(store.machine.counters).toEqual({
    grants: 2,
    recalls: 1,
    commits: 1,
    releases: 1,
    revocations: 0,
    destroyed: 1,
    expired: 0,
    repeats: 2,
    refusals: 1,
  });
});

it('rule 15: a session that the index names too early stays, and its entry moves', () => {
  store.hear('a', acquire(1));
  store.time = 1_000;
  store.hear('a', release([1, 1], 1));
  store.hear('b', acquire(1));
  store.time = ttlMs;
  due('s', ttlMs);
  store.wait(0);
  expect(store.outputs.writes).toMatchObject([{ session: 's', expires: { was: ttlMs, is: ttlMs + 1_000 } }]);
});

it('rule 15: a use counts from when it was', () => {
  store.hear('a', acquire(1));
  store.time = 50_000;
  store.hear('a', { kind: 'renew', n: 1, touches: [['s', 20_000]] });
  expect(store.outputs.writes).toMatchObject([{ session: 's', record: { touched: 30_000 } }]);
});

it('rule 22: a part through the own queue of the store does not change where its holder is reached', () => {
  store.hearOn('a.2', 'a', acquire(1));
  const direct = (holder: string, queue: string, delivery: number) => {
    const messages = [commit([1, 1], 1)];
    store.machine.receiveDirect({ partition: 0, epoch: 1, holder, queue, messages }, delivery, now());
    return [...store.machine.flush().messages.keys()];
  };
  expect(direct('a', 'a.1', 100)).toEqual(['a.2']);
  expect(direct('c', 'c.7', 101)).toEqual(['c.7']);
});
