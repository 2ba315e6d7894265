/**
 * The store's machine: which waiter is granted the lock and with what state, and when a delivery is settled.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { acquire, cancel, commit, release, emptyRelease, renew, StoreAlone } from '../testing/store-alone.js';
import type { Version } from '../wire/order.js';
import { testParameters } from '../testing/pair.js';
import { changes } from '../testing/message-text.js';
import { partitionOf } from '../wire/session-id.js';

let store: StoreAlone;
beforeEach(() => {
  store = new StoreAlone();
});

describe('granting', () => {
  it('rule 2: a free lock is granted at once, with the first token of the epoch', () => {
    expect(store.hear('a', acquire(1))).toEqual(['a: grant s #1 1.1']);
    expect(store.settled).toEqual([1]);
  });

  it('rule 2: grants in the order of the requests', () => {
    store.hear('a', acquire(1));
    expect(store.hear('b', acquire(7))).toEqual(['a: recall s 1.1']);
    expect(store.hear('c', acquire(4))).toEqual([]);
    expect(store.hear('a', release([1, 1], 1))).toEqual(['b: grant s #7 1.2 contended', 'a: released s 1.1']);
    expect(store.hear('b', release([1, 2], 1))).toEqual(['c: grant s #4 1.3', 'b: released s 1.2']);
  });

  it('rule 2: a holder that asks again while it waits has one place in the queue, the newer one', () => {
    store.hear('a', acquire(1));
    store.hear('b', acquire(1));
    store.hear('c', acquire(1));
    store.hear('b', acquire(2));
    expect(store.settled, 'the older request is settled').toEqual([2]);
    expect(store.hear('a', release([1, 1], 1))).toContain('c: grant s #1 1.2 contended');
    expect(store.hear('c', release([1, 2], 1))).toContain('b: grant s #2 1.3');
  });

  it('rule 2: a late duplicate of an older request takes no place from the newer one', () => {
    store.hear('a', acquire(1));
    store.hear('b', acquire(1), cancel(1));
    store.hear('b', acquire(2));
    store.hear('c', acquire(1));
    expect(store.hear('b', acquire(1))).toEqual([]);
    expect(store.settled).toEqual([5]);
    expect(store.hear('a', release([1, 1], 1))).toContain('b: grant s #2 1.2 contended');
  });

  it('rule 4: a late duplicate of an older request recalls nothing from its own holder', () => {
    store.hear('a', acquire(1));
    store.hear('a', release([1, 1], 1));
    store.hear('a', acquire(2));
    expect(store.hear('a', acquire(1))).toEqual([]);
    expect(store.settled).toEqual([4]);
    expect(store.machine.snapshot().waiting).toBe(0);
  });

  it('rule 4: a grant while others wait is contended, and is a recall', () => {
    store.hear('a', acquire(1));
    store.hear('b', acquire(1));
    store.hear('c', acquire(1));
    const answers = store.hear('a', release([1, 1], 1));
    expect(answers).toEqual(['b: grant s #1 1.2 contended', 'a: released s 1.1']);
    expect(store.hear('d', acquire(1)), 'no second recall').toEqual([]);
  });

  it('rule 4: one recall for each grant, however many requests come', () => {
    store.hear('a', acquire(1));
    expect(store.hear('b', acquire(1))).toEqual(['a: recall s 1.1']);
    expect(store.hear('c', acquire(1))).toEqual([]);
    expect(store.machine.counters.recalls).toBe(1);
  });

  it('rule 4: a waiter that repeats its request has the recall repeated', () => {
    store.hear('a', acquire(1));
    store.hear('b', acquire(1));
    expect(store.hear('b', acquire(1))).toEqual(['a: recall s 1.1']);
    expect(store.machine.counters).toMatchObject({ recalls: 1, repeats: 1 });
  });

  it("rule 4: the answer to each renewal names the holder's locks that are recalled", () => {
    store.hear('a', acquire(1));
    expect(store.hear('a', renew(1))).toEqual(['a: renewed 1']);
    store.hear('b', acquire(1));
    expect(store.hear('a', renew(2))).toEqual(['a: renewed 2 recalled s 1.1']);
    expect(store.hear('b', renew(1))).toEqual(['b: renewed 1']);
  });

  it('rule 4: a recall follows the holder to its new queue', () => {
    store.hear('a', acquire(1));
    store.hearOn('a.2', 'a', renew(1));
    expect(store.hear('b', acquire(1))).toEqual(['a.2: recall s 1.1']);
  });

  it('rule 12: a repeated request gets the same grant again, at the queue that it names', () => {
    store.hear('a', acquire(1));
    expect(store.hearOn('a.2', 'a', acquire(1))).toEqual(['a.2: grant s #1 1.1']);
    expect(store.machine.counters).toMatchObject({ grants: 1, repeats: 1 });
  });

  it('rule 12: a grant is sent again for no other request than its own', () => {
    store.hear('a', acquire(1));
    expect(store.hear('a', acquire(2)), 'the holder knows nothing of 1.1').toEqual(['a: recall s 1.1']);
    expect(store.hear('a', emptyRelease([1, 1]))).toEqual(['a: grant s #2 1.2', 'a: released s 1.1']);
  });

  it('rule 2: a repeat updates the queue, the deadline and the known copy', () => {
    store.hear('a', acquire(1), commit([1, 1], 1, { cart: '1' }));
    store.hear('b', acquire(1, { known: [1, 1, 1] }));
    store.time = 900;
    store.hearOn('b.2', 'b', acquire(1));
    store.wait(900);
    expect(store.hear('a', release([1, 1], 2))).toContain('b.2: grant s #1 1.2 {cart=1}');
  });
});

describe('the attributes of a grant', () => {
  const two: Version = [1, 1, 2];

  beforeEach(() => {
    store.hear('a', acquire(1));
    store.hear('a', commit([1, 1], 1, { cart: '1', user: 'u' }), commit([1, 1], 2, { cart: '2' }));
  });

  const grantTo = (known: Version | undefined) => {
    store.hear('a', release([1, 1], 3));
    return store.hear('b', acquire(1, { known }));
  };

  it('are all of them for a holder without a copy', () => {
    expect(grantTo(undefined)).toEqual(['b: grant s #1 1.2 {cart=2 user=u}']);
  });

  it("are those that changed since the holder's copy", () => {
    expect(grantTo([1, 1, 1])).toEqual(['b: grant s #1 1.2 {cart=2} keep user']);
  });

  it('are none for a holder whose copy is current', () => {
    expect(grantTo(two)).toEqual(['b: grant s #1 1.2 keep cart user']);
  });

  it('a deleted attribute is in neither list', () => {
    store.hear('a', commit([1, 1], 3, {}, 'user'), release([1, 1], 4));
    expect(store.hear('b', acquire(1, { known: two }))).toEqual(['b: grant s #1 1.2 keep cart']);
  });

  it('everything, when the holder claims to know a version that was never reached', () => {
    expect(grantTo([1, 1, 9])).toEqual(['b: grant s #1 1.2 {cart=2 user=u}']);
  });

  it('the version of the last change, not of the last grant', () => {
    grantTo(undefined);
    const [grant] = store.outputs.messages.get('b.1')!;
    expect(grant).toMatchObject({ version: two, seq: 0 });
  });
});

describe('making sessions', () => {
  it('rule 14: a session that is unknown and may not be made is refused', () => {
    expect(store.hear('a', acquire(1, { create: undefined }))).toEqual(['a: refused s #1 unknown-session']);
    expect(store.outputs.writes).toEqual([]);
    expect(store.settled).toEqual([1]);
  });

  it('rule 16: the first attributes of a request are applied once, as seq 1', () => {
    const { set: create } = changes({ cart: '1' });
    expect(store.hear('a', acquire(1, { create }))).toEqual(['a: grant s #1 1.1 seq 1 {cart=1}']);
    expect(store.outputs.writes).toMatchObject([
      { session: 's', set: ['cart'], record: { version: [1, 1, 1] } },
    ]);
    expect(store.hear('a', acquire(1, { create })), 'a repeat').toEqual(['a: grant s #1 1.1 seq 1 {cart=1}']);
    expect(store.outputs.writes).toEqual([]);
  });

  it('rule 16: a request delivered again after its grant has ended makes nothing anew', () => {
    const { set: create } = changes({ cart: '1' });
    store.hear('a', acquire(1, { create }), release([1, 1], 2, { cart: '2' }));
    expect(store.hear('a', acquire(1, { create }))).toEqual(['a: refused s #1 outcome-unknown']);
    expect(store.hear('b', acquire(1))).toEqual(['b: grant s #1 1.2 {cart=2}']);
  });

  it('rule 16: a request whose grant was revoked unseen is refused as outcome-unknown', () => {
    const { set: create } = changes({ cart: '1' });
    store.hear('a', acquire(1, { create }));
    store.wait(testParameters.leaseMs);
    expect(store.hear('b', acquire(1))).toEqual([
      'a: recall s 1.1',
      'a: revoked s 1.1 lease-over',
      'b: grant s #1 1.2 {cart=1}',
    ]);
    expect(store.hear('a', acquire(1, { create }))).toEqual(['a: refused s #1 outcome-unknown']);
    expect(store.hear('c', acquire(1, { create })), 'who never had it').toEqual(['b: recall s 1.2']);
  });

  it('a session made with nothing in it is known from then on', () => {
    store.hear('a', acquire(1), release([1, 1], 1));
    expect(store.hear('b', acquire(1, { create: undefined }))).toEqual(['b: grant s #1 1.2']);
  });
});

describe('waiting', () => {
  it('rule 2: a waiter that timed out is skipped, without an answer', () => {
    store.hear('a', acquire(1));
    store.hear('b', acquire(1, { waitMs: 100 }));
    store.hear('c', acquire(1, { waitMs: 500 }));
    expect(store.machine.nextDeadline).toBe(100);
    expect(store.wait(100)).toEqual([]);
    expect(store.settled).toEqual([2]);
    store.wait(200);
    expect(store.machine.nextDeadline).toBe(500);
    expect(store.hear('a', release([1, 1], 1))).toEqual(['c: grant s #1 1.2', 'a: released s 1.1']);
  });

  it('rule 2: a waiter whose time is over is skipped even before the machine looked at its deadlines', () => {
    store.hear('a', acquire(1));
    store.hear('b', acquire(1, { waitMs: 100 }));
    store.time = 100;
    expect(store.hear('a', release([1, 1], 1))).toEqual(['a: released s 1.1']);
    expect(store.settled).toEqual([2, 3]);
  });

  it('rule 2: a repeat extends the wait, and keeps the place (race 14)', () => {
    store.hear('a', acquire(1));
    store.hear('b', acquire(1, { waitMs: 100 }));
    store.hear('c', acquire(1, { waitMs: 9_000 }));
    store.time = 90;
    store.hear('b', acquire(1, { waitMs: 500 }));
    store.wait(400);
    expect(store.hear('a', release([1, 1], 1))).toContain('b: grant s #1 1.2 contended');
  });

  it('without waiters there is no deadline', () => {
    expect(store.machine.nextDeadline).toBe(Infinity);
    store.hear('a', acquire(1));
    expect(store.machine.nextDeadline).toBe(Infinity);
    store.hear('b', acquire(1));
    store.wait(1_000);
    expect(store.machine.nextDeadline).toBe(Infinity);
  });

  it('rule 2: a cancelled waiter is skipped', () => {
    store.hear('a', acquire(1));
    store.hear('b', acquire(1));
    store.hear('c', acquire(1));
    store.hear('b', cancel(1));
    expect(store.settled).toEqual([2, 4]);
    expect(store.hear('a', release([1, 1], 1))).toContain('c: grant s #1 1.2');
  });

  it('a cancel of a granted request gives the lock to the next', () => {
    store.hear('a', acquire(1));
    store.hear('b', acquire(1));
    expect(store.hear('a', cancel(1))).toEqual(['b: grant s #1 1.2']);
    expect(store.hear('a', emptyRelease([1, 1])), 'the grant that crossed the cancel comes back').toEqual([
      'a: released s 1.1',
    ]);
  });

  it('a cancel of anything else changes nothing', () => {
    store.hear('a', acquire(1));
    store.hear('b', acquire(1));
    for (const [holder, request] of [
      ['a', 2],
      ['b', 2],
      ['c', 1],
    ] as const) {
      expect(store.hear(holder, cancel(request))).toEqual([]);
    }
    expect(store.machine.snapshot().waiting).toBe(1);
  });

  it('at most so many wait for one session', () => {
    store.hear('a', acquire(1));
    for (const holder of ['b', 'c', 'd', 'e'])
      expect(store.hear(holder, acquire(1))).not.toContain('refused');
    expect(store.hear('f', acquire(1))).toEqual(['f: refused s #1 too-many-waiters']);
    expect(store.settled).toEqual([6]);
    expect(store.hear('b', acquire(2)), 'who waits already takes no other place').toEqual([]);
  });

  it('at most so many wait in one partition, and a free lock needs no place in a queue', () => {
    store.hear('a', acquire(1), acquire(2, { session: 't' }));
    for (const holder of ['b', 'c', 'd']) store.hear(holder, acquire(1), acquire(2, { session: 't' }));
    expect(store.machine.snapshot()).toMatchObject({ waiting: 6, contended: 2 });
    expect(store.hear('e', acquire(1))).toEqual(['e: refused s #1 too-many-waiters']);
    expect(store.hear('e', acquire(2, { session: 'u' }))).toEqual(['e: grant u #2 1.3']);
  });
});

describe('a holder that leaves', () => {
  const leave = { kind: 'leave' } as const;
  beforeEach(() => {
    store.hear('a', acquire(1), commit([1, 1], 1, { cart: '1' }));
  });

  it('rule 3: holds nothing any more, so its waiters are granted without a revocation', () => {
    store.hear('b', acquire(1));
    expect(store.hear('a', leave)).toEqual(['b: grant s #1 1.2 {cart=1}']);
    expect(store.machine.counters.revocations).toBe(0);
  });

  it('rule 3: holds nothing any more, so a later request is granted at once, without a recall', () => {
    expect(store.hear('a', leave)).toEqual([]);
    expect(store.hear('b', acquire(1))).toEqual(['b: grant s #1 1.2 {cart=1}']);
    expect(store.machine.counters.recalls).toBe(0);
  });

  it('rule 15: leaves sessions that expire at their time, like free ones', () => {
    const { ttlMs } = testParameters;
    store.hear('a', leave);
    store.machine.due([{ session: 's', expires: ttlMs }], { mono: 10, wall: ttlMs });
    expect(store.machine.flush().writes).toMatchObject([{ session: 's', record: undefined }]);
  });

  it('is not granted the request of an old frame', () => {
    store.hear('a', release([1, 1], 2), leave);
    expect(store.hear('a', acquire(2))).toEqual([]);
    expect(store.settled).toEqual([store.settled[0]]);
    expect(store.hear('b', acquire(1))).toEqual(['b: grant s #1 1.2 {cart=1}']);
  });
});

describe('a lock that is reclaimed', () => {
  it('rule 13: is valid only if the store has all that it acknowledged under it', () => {
    const store = new StoreAlone();
    store.hear('a', acquire(1));
    store.hear('a', commit([1, 1], 1), commit([1, 1], 2));
    const valid = (acknowledged: number) => {
      store.hear('a', { kind: 'renew', n: 1, reclaim: [['s', [1, 1], acknowledged]] });
      const [answer] = store.outputs.messages.get('a.1')!;
      return answer!.kind === 'renewed' && answer!.valid;
    };
    expect(valid(1)).toEqual([['s', [1, 1]]]);
    expect(valid(2)).toEqual([['s', [1, 1]]]);
    expect(valid(3), 'of newer data').toEqual([]);
  });
});

describe('deliveries', () => {
  it('a frame is settled when all its requests are: granted, refused, cancelled or lapsed', () => {
    store.hear('a', acquire(1), acquire(2, { session: 't' }), acquire(3, { session: 'u' }));
    expect(store.settled).toEqual([1]);
    store.hear(
      'b',
      acquire(1),
      acquire(2, { session: 't' }),
      acquire(3, { session: 'u', waitMs: 50 }),
      acquire(4, { session: 'v', create: undefined }),
    );
    expect(store.settled).toEqual([]);
    store.hear('a', release([1, 1], 1));
    expect(store.settled).toEqual([3]);
    store.hear('b', { ...cancel(2), session: 't' });
    expect(store.settled).toEqual([4]);
    store.wait(50);
    expect(store.settled).toEqual([2]);
  });

  it('a repeat is settled at once, while the first one stays', () => {
    store.hear('a', acquire(1));
    store.hear('b', acquire(1));
    store.hear('b', acquire(1));
    expect(store.settled).toEqual([3]);
    store.hear('a', release([1, 1], 1));
    expect(store.settled).toEqual([2, 4]);
  });
});

describe('partitions', () => {
  it('rule 13: a session of another partition is refused, naming the number of partitions', () => {
    const other = ['p', 'q', 'r', 't', 'v'].find((id) => partitionOf(id, 2) === 1)!;
    const two = new StoreAlone({ partitions: 2 });
    expect(two.hear('a', acquire(1, { session: other }))).toEqual([`a: refused ${other} #1 wrong-partition`]);
    expect(two.outputs.messages.get('a.1')).toMatchObject([{ detail: 'this deployment has 2 partitions' }]);
    expect(two.hear('a', { ...commit([1, 1], 1), session: other })).toEqual([
      `a: refused ${other} 1.1 seq 1 wrong-partition`,
    ]);
    expect(two.machine.snapshot().sessions, 'not even loaded').toBe(0);
  });
});
