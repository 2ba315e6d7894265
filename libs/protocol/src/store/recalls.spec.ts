/** The store's machine: how long a holder has after a recall, and when a revoked lock is free (rule 10). */
import { beforeEach, describe, expect, it } from 'vitest';
import {
  acquire,
  cancel,
  commit,
  emptyRelease,
  knock,
  release,
  renew,
  StoreAlone,
} from '../testing/store-alone.js';

const parameters = { leaseMs: 1_000, recallTimeoutMs: 5_000, ttlMs: 60_000 };
const { leaseMs, recallTimeoutMs, ttlMs } = parameters;
const waitMs = 600_000;

let store: StoreAlone;
beforeEach(() => {
  store = new StoreAlone(parameters);
  store.hear('a', acquire(1), renew(1));
});

/** Time passes while these holders renew their leases. Returns the other messages of the store. */
function passes(ms: number, ...alive: string[]): string[] {
  const told: string[] = [];
  for (const end = store.time + ms; store.time < end;) {
    told.push(...store.wait(Math.min(end - store.time, leaseMs / 10)));
    for (const holder of alive)
      told.push(...store.hear(holder, renew(store.time)).filter((line) => !line.includes('renewed')));
  }
  return told;
}

/** `b` waits. The store revokes a living holder by the recall time-out, while its lease runs. */
function revoked(): void {
  store.hear('b', acquire(1, { waitMs }));
  expect(passes(recallTimeoutMs, 'a', 'b')).toContain('a: revoked s 1.1 recall-timeout');
}

it('rule 10: a lock stays with its holder when the last one that waited leaves in time', () => {
  store.hear('b', acquire(1, { waitMs }));
  store.holdsEchoes = true;
  expect(passes(recallTimeoutMs + leaseMs / 2, 'a', 'b')).toEqual([]);
  expect(store.echoes).not.toEqual([]);
  const now = { mono: store.time, wall: store.time };
  for (const at of store.echoes.splice(0)) store.machine.echoed(at, now);
  expect(store.hear('b', { kind: 'leave' })).toEqual([]);
  expect(store.hear('a', commit([1, 1], 1))).toEqual(['a: committed s 1.1 seq 1']);
});

describe('a revoked lock whose lease still runs', () => {
  beforeEach(revoked);

  it('rule 10: goes to the next holder when this one gives it back, even with changes that are refused', () => {
    const answers = store.hear('a', release([1, 1], 1, { cart: '1' }));
    expect(answers).toEqual(['b: grant s #1 1.2', 'a: refused s 1.1 seq 1 ended applied 0']);
  });

  it('rule 10: waits for the lease when the holder only commits: a scope there may still read', () => {
    expect(store.hear('a', commit([1, 1], 1))).toEqual(['a: refused s 1.1 seq 1 ended applied 0']);
    expect(passes(leaseMs / 2, 'b')).toEqual([]);
    expect(passes(leaseMs, 'b')).toEqual(['b: grant s #1 1.2']);
  });

  it('rule 10: is not granted once more to a holder that knocks for the same request', () => {
    expect(store.hear('a', knock(1))).toEqual([]);
    expect(store.hear('a', emptyRelease([1, 1]))).toEqual(['b: grant s #1 1.2', 'a: released s 1.1']);
  });

  it('rule 10: is not granted once more to a holder that repeats its request, which waits', () => {
    expect(store.hear('a', acquire(1, { waitMs }))).toEqual([]);
    expect(store.hear('a', emptyRelease([1, 1]))).toEqual([
      'b: grant s #1 1.2 contended',
      'a: released s 1.1',
    ]);
  });

  it('rule 10: is given back by its own holder alone, under its own token', () => {
    expect(store.hear('c', emptyRelease([1, 1]))).toEqual(['c: released s 1.1']);
    expect(store.hear('a', emptyRelease([1, 2]))).toEqual(['a: released s 1.2']);
    expect(store.hear('a', emptyRelease([1, 1]))).toEqual(['b: grant s #1 1.2', 'a: released s 1.1']);
  });

  it('rule 10: is not asked back any more, however often a waiter repeats its request', () => {
    expect(store.hear('b', acquire(1, { waitMs }))).toEqual([]);
  });

  it('rule 10: waits for the lease of then, although its holder goes on to renew', () => {
    expect(passes(leaseMs + leaseMs / 10, 'a', 'b')).toEqual(['b: grant s #1 1.2']);
  });

  it('rule 10: is out of use by its own lease, and not by that of an earlier grant of the session', () => {
    passes(leaseMs, 'b');
    store.hear('c', acquire(1, { waitMs }));
    expect(passes(recallTimeoutMs, 'b', 'c')).toContain('b: revoked s 1.2 recall-timeout');
    expect(passes(leaseMs / 2, 'c')).toEqual([]);
    expect(passes(leaseMs, 'c')).toEqual(['c: grant s #1 1.3']);
  });
});

it('rule 10: a lock without waiters is revoked once, even when its holder is gone and its session comes due', () => {
  store = new StoreAlone({ ...parameters, unreachableHolder: 'revoke' });
  store.hear('a', acquire(1), renew(1));
  revoked();
  store.hear('b', cancel(1));
  store.time += 2 * ttlMs;
  const now = { mono: store.time, wall: store.time };
  store.machine.unreachable('a.1', now);
  store.machine.due([{ session: 's', expires: ttlMs }], now);
  expect(store.wait(0)).toEqual([]);
  expect(store.machine.counters).toMatchObject({ revocations: 1, expired: 1 });
});

describe('a recall', () => {
  it('rule 10: gives its time from when it was sent, however long the write took', () => {
    store.writeMs = leaseMs / 4;
    expect(store.hear('b', acquire(1, { waitMs }))).toEqual(['a: recall s 1.1']);
    store.writeMs = 0;
    expect(passes(recallTimeoutMs - 1, 'a')).toEqual([]);
    expect(passes(1, 'a')).toEqual(['a: revoked s 1.1 recall-timeout']);
  });

  it('rule 10: gives no more time because the holder goes on to commit', () => {
    store.hear('b', acquire(1, { waitMs }));
    passes(recallTimeoutMs / 2, 'a');
    store.hear('a', commit([1, 1], 1, { cart: '1' }));
    expect(passes(recallTimeoutMs / 2, 'a')).toEqual(['a: revoked s 1.1 recall-timeout']);
  });

  it('rule 4: that was dropped before it was sent is followed by another', () => {
    store.hear('b', acquire(1, { waitMs }), cancel(1));
    expect(store.hear('c', acquire(1, { waitMs }))).toEqual(['a: recall s 1.1']);
  });

  it('rule 10: gives its time anew when there was a time without waiters in between', () => {
    store.hear('b', acquire(1, { waitMs }));
    store.hear('b', cancel(1));
    passes(2 * recallTimeoutMs, 'a');
    expect(store.hear('c', acquire(1, { waitMs }))).toEqual(['a: recall s 1.1']);
    expect(passes(recallTimeoutMs - 1, 'a')).toEqual([]);
    expect(passes(1, 'a')).toEqual(['a: revoked s 1.1 recall-timeout']);
  });

  it('rule 10: counts as just sent after the store stood still', () => {
    store.hear('b', acquire(1, { waitMs }));
    passes(recallTimeoutMs - 2 * leaseMs, 'a');
    store.wait(leaseMs);
    expect(passes(recallTimeoutMs - 1, 'a')).toEqual([]);
    expect(passes(1, 'a')).toEqual(['a: revoked s 1.1 recall-timeout']);
  });
});
