/**
 * Queues of sessions (rule 21), on the owner's side: when it consumes them, what it takes out, and what it
 * answers to a knock for a missing acquire.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { PendingOutputs } from './outputs.js';
import { storeRules } from './rules.js';
import { isAcquireOf, SessionQueues } from './session-queues.js';
import {
  acquire,
  cancel,
  commit,
  StoreAlone,
  emptyRelease,
  knock,
  release,
  renew,
} from '../testing/store-alone.js';

let store: StoreAlone;
const at = (mono: number) => ({ mono, wall: mono });
beforeEach(() => {
  store = new StoreAlone({ waitersPerPartition: 2 });
});

/** The queues that were to be opened and closed, since the last outputs. */
const queues = () => [store.outputs.open, store.outputs.close];

describe('rule 21: a knock', () => {
  it('has the queue consumed, once, and stays unacknowledged so that a next owner learns of it', () => {
    expect(store.hear('a', knock(1))).toEqual([]);
    expect(queues()).toEqual([['s'], []]);
    expect(store.settled).toEqual([]);
    // The latest knock is kept, since the broker lets no delivery wait for half an hour.
    store.hear('b', knock(7));
    expect(queues()).toEqual([[], []]);
    expect(store.settled).toEqual([1]);
  });

  it('of a waiter moves its deadline, and repeats the recall', () => {
    store.hear('a', knock(1));
    store.hearQueued('a', acquire(1));
    store.hear('b', knock(7));
    expect(store.hearQueued('b', acquire(7))).toEqual(['a: recall s 1.1']);
    store.wait(900);
    expect(store.hear('b', knock(7, { ageMs: 900 }))).toEqual(['a: recall s 1.1']);
    store.wait(900); // its first deadline has passed
    expect(store.hear('a', release([1, 1], 1))).toContain('b: grant s #7 1.2');
  });

  it('of the holder repeats its grant, which was lost', () => {
    store.hear('a', knock(1));
    store.hearQueued('a', acquire(1));
    expect(store.hear('a', knock(1, { ageMs: 900 }))).toEqual(['a: grant s #1 1.1']);
  });

  it('of the holder for another request repeats no grant', () => {
    store.hear('a', knock(1));
    store.hearQueued('a', acquire(1));
    expect(store.hear('a', knock(2))).toEqual([]);
  });

  it('that repeats another one is counted as such', () => {
    store.hear('a', knock(1));
    store.hearQueued('a', acquire(1));
    store.hear('b', knock(7));
    store.hearQueued('b', acquire(7));
    expect(store.machine.counters.repeats).toBe(0);
    store.hear('a', knock(1));
    expect(store.machine.counters.repeats).toBe(1);
    store.hear('b', knock(7));
    expect(store.machine.counters.repeats).toBe(2);
  });

  it('keeps its queue consumed, also when nothing comes out', () => {
    for (let ms = 0; ms < 12_000; ms += 3_000) {
      store.hear('a', knock(1, { ageMs: 0 }));
      store.wait(3_000);
      expect(queues()).toEqual([[], []]);
    }
  });

  it('has a queue that had gone consumed again, once', () => {
    store.hear('a', knock(1));
    store.queueGone('s');
    store.hear('a', knock(1));
    expect(queues()).toEqual([['s'], []]);
    store.hear('a', knock(1));
    expect(queues()).toEqual([[], []]);
  });

  it('gives its acquire time from when the queue was opened, whatever the clock shows', () => {
    store.time = 100_000;
    store.hear('a', knock(1));
    expect(store.hear('a', knock(1, { ageMs: 900 }))).toEqual([]);
  });

  it('for one queue too many is refused, and the others are consumed on', () => {
    store.hear('a', knock(1, { session: 'one' }));
    store.hear('a', knock(2, { session: 'two' }));
    expect(store.hear('a', knock(3, { session: 'three' }))).toEqual(['a: refused three #3 too-many-queues']);
    expect(store.hear('b', knock(1, { session: 'two' }))).toEqual([]);
  });
});

describe('rule 21: an acquire out of its queue', () => {
  it('is acknowledged when it is granted, and not before', () => {
    store.hearQueued('a', acquire(1));
    expect(store.settled).toEqual([1]);
    store.hearQueued('b', acquire(7));
    expect(store.settled).toEqual([]);
    expect(store.hear('a', release([1, 1], 1))).toEqual(['b: grant s #7 1.2', 'a: released s 1.1']);
    expect(store.settled).toContain(2);
  });

  it('is answered where its holder is reached now, not where it was when it asked', () => {
    store.hearOn('a.2', 'a', renew(1));
    expect(store.hearQueued('a', acquire(1), 'a.1')).toEqual(['a.2: grant s #1 1.1']);
  });

  it('that was cancelled before it came out is passed over', () => {
    store.hear('b', knock(9)); // the queue is consumed
    store.hear('a', cancel(1));
    expect(store.hearQueued('a', acquire(1))).toEqual([]);
    expect(store.settled).toEqual([3]);
    expect(store.hearQueued('a', acquire(2))).toEqual(['a: grant s #2 1.1']);
  });

  it('that comes a second time is passed over: it was put there again with a new connection', () => {
    store.hear('a', knock(1));
    store.hearQueued('a', acquire(1));
    store.hear('a', release([1, 1], 1));
    expect(store.hearQueued('a', acquire(1))).toEqual([]);
  });

  it('of a holder that has left is passed over', () => {
    store.hear('a', knock(1));
    store.hear('a', { kind: 'leave' });
    expect(store.hearQueued('a', acquire(1))).toEqual([]);
    expect(store.hearQueued('b', acquire(7))).toEqual(['b: grant s #7 1.1']);
  });

  it('is no sign of life: a holder that fell silent loses its lock all the same', () => {
    store.hear('a', acquire(1), renew(1));
    store.hearQueued('b', acquire(7, { waitMs: 60_000 }));
    const said: string[] = [];
    for (let ms = 0; ms < 6_000; ms += 500) {
      said.push(...store.wait(500));
      store.hear('b', renew(ms));
      store.hearQueued('a', acquire(2 + ms, { session: 't' }));
    }
    expect(said.join()).toContain('a: revoked s 1.1');
  });
});

describe('rule 21: an acquire that is not in the queue', () => {
  it('is asked for again when nothing comes out though there was time for it', () => {
    store.hear('a', knock(1));
    store.wait(300);
    expect(store.hear('a', knock(1, { ageMs: 300 }))).toEqual(['a: refused s #1 unheard']);
  });

  it('is not asked for before it had its time, nor while others come out', () => {
    store.hear('a', knock(1));
    expect(store.hear('a', knock(1, { ageMs: 900 }))).toEqual([]); // the queue was opened just now
    store.wait(300);
    expect(store.hear('b', knock(7))).toEqual([]); // put there just now
    store.hearQueued('c', acquire(3));
    store.hearQueued('d', acquire(4));
    store.wait(300);
    expect(store.hear('a', knock(1, { ageMs: 900 }))).toEqual([]); // it stands behind others
  });

  it('is asked for at once when its grant was given back: its place is gone', () => {
    store.hear('a', knock(1));
    store.hearQueued('a', acquire(1));
    store.hear('a', emptyRelease([1, 1]));
    expect(store.hear('a', knock(1, { ageMs: 10 }))).toEqual(['a: refused s #1 unheard']);
    expect(store.hearQueued('a', acquire(1))).toEqual(['a: grant s #1 1.2']);
  });

  it('is asked for from each holder that had put one there when the queue went', () => {
    store.hear('a', knock(1));
    store.hear('b', knock(7));
    store.wait(10);
    expect(store.queueGone('s')).toEqual(['b: refused s #7 unheard']);
    store.wait(10);
    expect(store.hear('a', knock(1, { ageMs: 20 }))).toEqual(['a: refused s #1 unheard']);
    expect(queues()).toEqual([['s'], []]); // somebody may have made it anew
    expect(store.hear('b', knock(7, { ageMs: 5 }))).toEqual([]); // it was put there since then
  });
});

describe('rule 21: a queue that is not used', () => {
  it('is consumed no more, and its knock is acknowledged', () => {
    store.hear('a', knock(1));
    store.hearQueued('a', acquire(1));
    expect(store.machine.nextDeadline).toBeLessThan(10_000);
    store.wait(4_000);
    expect(queues()).toEqual([[], []]);
    store.wait(4_000);
    expect(queues()).toEqual([[], ['s']]);
    expect(store.settled).toEqual([1]);
    store.wait(1);
    expect(queues(), 'once').toEqual([[], []]);
    expect(store.queueGone('s')).toEqual([]);
    expect(store.machine.nextDeadline).toBe(Infinity);
    expect(store.hear('a', commit([1, 1], 1))).toEqual(['a: committed s 1.1 seq 1']); // the lock stays
  });

  it('is consumed on while there is a waiter', () => {
    store.hearQueued('a', acquire(1));
    store.hear('b', knock(7, { waitMs: 60_000 }));
    store.hearQueued('b', acquire(7, { waitMs: 60_000 }));
    for (let ms = 0; ms < 8_000; ms += 2_000) {
      store.wait(2_000);
      expect(queues()).toEqual([[], []]);
      store.hear('a', renew(ms));
    }
  });
});

it('rule 21: of a thousand holders the one whose request was taken first is forgotten', () => {
  const open = new SessionQueues(new PendingOutputs(1_000), storeRules);
  open.knocked(knock(1), 1, 'a.1', at(0));
  for (let i = 0; i < 1_000; i++) open.take('s', `h${i}`, 5, at(0));
  open.take('s', 'h0', 6, at(0));
  open.take('s', 'h1000', 5, at(0));
  const takes = (holder: string, request: number) => open.take('s', holder, request, at(0));
  expect([takes('h0', 6), takes('h1000', 5), takes('h2', 5)]).toEqual([false, false, false]);
  expect(takes('h1', 5)).toBe(true);
});

it('rule 21: a cancel of the request that was taken last does not make it a later one', () => {
  const open = new SessionQueues(new PendingOutputs(1_000), storeRules);
  open.knocked(knock(1), 1, 'a.1', at(0));
  for (let i = 0; i < 1_000; i++) open.take('s', `h${i}`, 5, at(0));
  open.cancelled('s', 'h0', 5);
  open.take('s', 'h1000', 5, at(0));
  expect(open.take('s', 'h1', 5, at(0))).toBe(false);
  expect(open.take('s', 'h0', 5, at(0))).toBe(true);
});

describe('rule 21: a queue that is consumed', () => {
  let outputs: PendingOutputs;
  let open: SessionQueues;
  beforeEach(() => {
    outputs = new PendingOutputs(1_000);
    open = new SessionQueues(outputs, storeRules);
    open.knocked(knock(1), 1, 'a.1', at(0));
  });
  const sweep = (mono: number) => open.sweep(() => false, at(mono));

  it('is looked at twice in the time that it lingers', () => {
    sweep(100);
    expect(open.nextDeadline).toBe(100 + 2_500);
  });

  it('lingers since its last knock or acquire, and no longer', () => {
    open.take('s', 'a', 1, at(4_000));
    sweep(8_999);
    expect(open.size).toBe(1);
    sweep(9_000);
    expect(open.size).toBe(0);
    expect(outputs.take().close).toEqual(['s']);
  });

  it('is not closed when it has gone', () => {
    open.gone('s', at(10));
    sweep(5_000);
    expect([open.size, outputs.take().close]).toEqual([0, []]);
  });

  it('knows a request that was taken, also after a cancel of an earlier one and a knock of a later one', () => {
    expect(open.take('s', 'a', 5, at(0))).toBe(true);
    open.cancelled('s', 'a', 3);
    expect(open.take('s', 'a', 5, at(0))).toBe(false);
    open.mustPutAgain(knock(6), 'a', true, at(0));
    expect(open.take('s', 'a', 5, at(0))).toBe(false);
    open.mustPutAgain(knock(5), 'a', true, at(0));
    expect(open.take('s', 'a', 5, at(0)), 'it was asked for again').toBe(true);
  });
});

it("rule 21: a frame in a session's queue is one acquire of that session", () => {
  const frames = [
    [acquire(1)],
    [acquire(1), acquire(2)],
    [acquire(1, { session: 't' })],
    [knock(1)],
    [knock(1), acquire(1)],
    [],
  ];
  expect(frames.map((messages) => messages.length > 0 && isAcquireOf('s', messages))).toEqual([
    ...[true, false, false, false, false, false],
  ]);
});
