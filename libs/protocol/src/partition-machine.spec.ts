/** The store's machine: who is granted the lock, in which order, with what, and when a delivery is settled. */
import { beforeEach, describe, expect, it } from 'vitest';
import { acquire, cancel, commit, release, emptyRelease, renew, Desk } from './desk.harness.js';
import type { Version } from './order.js';
import { changes } from './words.harness.js';
import { partitionOf } from './session-id.js';

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
});

describe('granting', () => {
  it('rule 2: a free lock is granted at once, with the first token of the epoch', () => {
    expect(desk.hear('a', acquire(1))).toEqual(['a: grant s #1 1.1']);
    expect(desk.settled).toEqual([1]);
  });

  it('rule 2: grants in the order of asking', () => {
    desk.hear('a', acquire(1));
    expect(desk.hear('b', acquire(7))).toEqual(['a: recall s 1.1']);
    expect(desk.hear('c', acquire(4))).toEqual([]);
    expect(desk.hear('a', release([1, 1], 1))).toEqual(['a: released s 1.1', 'b: grant s #7 1.2 contended']);
    expect(desk.hear('b', release([1, 2], 1))).toEqual(['b: released s 1.2', 'c: grant s #4 1.3']);
  });

  it('rule 2: a holder that asks again while it waits has one place in the line, the newer one', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1));
    desk.hear('c', acquire(1));
    desk.hear('b', acquire(2));
    expect(desk.settled, 'the older request is settled').toEqual([2]);
    expect(desk.hear('a', release([1, 1], 1))).toContain('c: grant s #1 1.2 contended');
    expect(desk.hear('c', release([1, 2], 1))).toContain('b: grant s #2 1.3');
  });

  it('rule 2: a late duplicate of an older request takes no place from the newer one', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1), cancel(1));
    desk.hear('b', acquire(2));
    desk.hear('c', acquire(1));
    expect(desk.hear('b', acquire(1))).toEqual([]);
    expect(desk.settled).toEqual([5]);
    expect(desk.hear('a', release([1, 1], 1))).toContain('b: grant s #2 1.2 contended');
  });

  it('rule 4: a late duplicate of an older request recalls nothing from its own holder', () => {
    desk.hear('a', acquire(1));
    desk.hear('a', release([1, 1], 1));
    desk.hear('a', acquire(2));
    expect(desk.hear('a', acquire(1))).toEqual([]);
    expect(desk.settled).toEqual([4]);
    expect(desk.machine.snapshot().waiting).toBe(0);
  });

  it('rule 4: a grant made while others wait says contended, and is itself the recall', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1));
    desk.hear('c', acquire(1));
    const answers = desk.hear('a', release([1, 1], 1));
    expect(answers).toEqual(['a: released s 1.1', 'b: grant s #1 1.2 contended']);
    expect(desk.hear('d', acquire(1)), 'no second recall').toEqual([]);
  });

  it('rule 4: one recall per grant, however many come', () => {
    desk.hear('a', acquire(1));
    expect(desk.hear('b', acquire(1))).toEqual(['a: recall s 1.1']);
    expect(desk.hear('c', acquire(1))).toEqual([]);
    expect(desk.machine.counters.recalls).toBe(1);
  });

  it('rule 4: a waiter that repeats its request has the recall said again', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1));
    expect(desk.hear('b', acquire(1))).toEqual(['a: recall s 1.1']);
    expect(desk.machine.counters).toMatchObject({ recalls: 1, repeats: 1 });
  });

  it('rule 4: every renewal of the holder is told which of its locks are recalled', () => {
    desk.hear('a', acquire(1));
    expect(desk.hear('a', renew(1))).toEqual(['a: renewed 1']);
    desk.hear('b', acquire(1));
    expect(desk.hear('a', renew(2))).toEqual(['a: renewed 2 recalled s 1.1']);
    expect(desk.hear('b', renew(1))).toEqual(['b: renewed 1']);
  });

  it('rule 4: a recall follows the holder to its new queue', () => {
    desk.hear('a', acquire(1));
    desk.hearOn('a.2', 'a', renew(1));
    expect(desk.hear('b', acquire(1))).toEqual(['a.2: recall s 1.1']);
  });

  it('rule 12: a repeated request gets the same grant again, at the queue that it names', () => {
    desk.hear('a', acquire(1));
    expect(desk.hearOn('a.2', 'a', acquire(1))).toEqual(['a.2: grant s #1 1.1']);
    expect(desk.machine.counters).toMatchObject({ grants: 1, repeats: 1 });
  });

  it('rule 12: a grant is sent again for no other request than its own', () => {
    desk.hear('a', acquire(1));
    expect(desk.hear('a', acquire(2)), 'the holder knows nothing of 1.1').toEqual(['a: recall s 1.1']);
    expect(desk.hear('a', emptyRelease([1, 1]))).toEqual(['a: released s 1.1', 'a: grant s #2 1.2']);
  });

  it('rule 2: a repeat brings the queue, the deadline and the known copy up to date', () => {
    desk.hear('a', acquire(1), commit([1, 1], 1, { cart: '1' }));
    desk.hear('b', acquire(1, { known: [1, 1, 1] }));
    desk.time = 900;
    desk.hearOn('b.2', 'b', acquire(1));
    desk.wait(900);
    expect(desk.hear('a', release([1, 1], 2))).toContain('b.2: grant s #1 1.2 {cart=1}');
  });
});

describe('what a grant brings', () => {
  const two: Version = [1, 1, 2];

  beforeEach(() => {
    desk.hear('a', acquire(1));
    desk.hear('a', commit([1, 1], 1, { cart: '1', user: 'u' }), commit([1, 1], 2, { cart: '2' }));
  });

  const grantTo = (known: Version | undefined) => {
    desk.hear('a', release([1, 1], 3));
    return desk.hear('b', acquire(1, { known }));
  };

  it('all attributes, for who knows nothing', () => {
    expect(grantTo(undefined)).toEqual(['b: grant s #1 1.2 {cart=2 user=u}']);
  });

  it('what changed since the version that the holder still has', () => {
    expect(grantTo([1, 1, 1])).toEqual(['b: grant s #1 1.2 {cart=2} keep user']);
  });

  it('no attribute for who has them all', () => {
    expect(grantTo(two)).toEqual(['b: grant s #1 1.2 keep cart user']);
  });

  it('a deleted attribute is in neither list', () => {
    desk.hear('a', commit([1, 1], 3, {}, 'user'), release([1, 1], 4));
    expect(desk.hear('b', acquire(1, { known: two }))).toEqual(['b: grant s #1 1.2 keep cart']);
  });

  it('everything, when the holder claims to know a version that was never reached', () => {
    expect(grantTo([1, 1, 9])).toEqual(['b: grant s #1 1.2 {cart=2 user=u}']);
  });

  it('the version of the last change, not of the last grant', () => {
    grantTo(undefined);
    const [grant] = desk.outputs.messages.get('b.1')!;
    expect(grant).toMatchObject({ version: two, seq: 0 });
  });
});

describe('making sessions', () => {
  it('rule 14: a session that is unknown and may not be made is refused', () => {
    expect(desk.hear('a', acquire(1, { create: undefined }))).toEqual(['a: refused s #1 unknown-session']);
    expect(desk.outputs.writes).toEqual([]);
    expect(desk.settled).toEqual([1]);
  });

  it('rule 16: what a request makes is applied once, as seq 1', () => {
    const { set: create } = changes({ cart: '1' });
    expect(desk.hear('a', acquire(1, { create }))).toEqual(['a: grant s #1 1.1 seq 1 {cart=1}']);
    expect(desk.outputs.writes).toMatchObject([
      { session: 's', set: ['cart'], record: { version: [1, 1, 1] } },
    ]);
    expect(desk.hear('a', acquire(1, { create })), 'a repeat').toEqual(['a: grant s #1 1.1 seq 1 {cart=1}']);
    expect(desk.outputs.writes).toEqual([]);
  });

  it('rule 16: a request delivered again after its grant has ended makes nothing anew', () => {
    const { set: create } = changes({ cart: '1' });
    desk.hear('a', acquire(1, { create }), release([1, 1], 2, { cart: '2' }));
    expect(desk.hear('a', acquire(1, { create }))).toEqual(['a: grant s #1 1.2 {cart=2}']);
  });

  it('a session made with nothing in it is known from then on', () => {
    desk.hear('a', acquire(1), release([1, 1], 1));
    expect(desk.hear('b', acquire(1, { create: undefined }))).toEqual(['b: grant s #1 1.2']);
  });
});

describe('waiting', () => {
  it('rule 2: who waits too long is skipped, and is told nothing', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1, { waitMs: 100 }));
    desk.hear('c', acquire(1, { waitMs: 500 }));
    expect(desk.machine.nextDeadline).toBe(100);
    expect(desk.wait(100)).toEqual([]);
    expect(desk.settled).toEqual([2]);
    desk.wait(200);
    expect(desk.machine.nextDeadline).toBe(500);
    expect(desk.hear('a', release([1, 1], 1))).toEqual(['a: released s 1.1', 'c: grant s #1 1.2']);
  });

  it('rule 2: a waiter whose time is over is skipped even before the machine looked at its deadlines', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1, { waitMs: 100 }));
    desk.time = 100;
    expect(desk.hear('a', release([1, 1], 1))).toEqual(['a: released s 1.1']);
    expect(desk.settled).toEqual([2, 3]);
  });

  it('rule 2: a repeat extends the wait, and keeps the place (race 14)', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1, { waitMs: 100 }));
    desk.hear('c', acquire(1, { waitMs: 9_000 }));
    desk.time = 90;
    desk.hear('b', acquire(1, { waitMs: 500 }));
    desk.wait(400);
    expect(desk.hear('a', release([1, 1], 1))).toContain('b: grant s #1 1.2 contended');
  });

  it('nobody waits: there is no deadline', () => {
    expect(desk.machine.nextDeadline).toBe(Infinity);
    desk.hear('a', acquire(1));
    expect(desk.machine.nextDeadline).toBe(Infinity);
    desk.hear('b', acquire(1));
    desk.wait(1_000);
    expect(desk.machine.nextDeadline).toBe(Infinity);
  });

  it('rule 2: a cancelled waiter is skipped', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1));
    desk.hear('c', acquire(1));
    desk.hear('b', cancel(1));
    expect(desk.settled).toEqual([2, 4]);
    expect(desk.hear('a', release([1, 1], 1))).toContain('c: grant s #1 1.2');
  });

  it('a cancel of a granted request gives the lock to the next', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1));
    expect(desk.hear('a', cancel(1))).toEqual(['b: grant s #1 1.2']);
    expect(desk.hear('a', emptyRelease([1, 1])), 'the grant that crossed the cancel comes back').toEqual([
      'a: released s 1.1',
    ]);
  });

  it('a cancel of anything else changes nothing', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1));
    for (const [holder, request] of [
      ['a', 2],
      ['b', 2],
      ['c', 1],
    ] as const) {
      expect(desk.hear(holder, cancel(request))).toEqual([]);
    }
    expect(desk.machine.snapshot().waiting).toBe(1);
  });

  it('at most so many wait for one session', () => {
    desk.hear('a', acquire(1));
    for (const holder of ['b', 'c', 'd', 'e']) expect(desk.hear(holder, acquire(1))).not.toContain('refused');
    expect(desk.hear('f', acquire(1))).toEqual(['f: refused s #1 too-many-waiters']);
    expect(desk.settled).toEqual([6]);
    expect(desk.hear('b', acquire(2)), 'who waits already takes no other place').toEqual([]);
  });

  it('at most so many wait in one partition; a free lock needs no place in a line', () => {
    desk.hear('a', acquire(1), acquire(2, { session: 't' }));
    for (const holder of ['b', 'c', 'd']) desk.hear(holder, acquire(1), acquire(2, { session: 't' }));
    expect(desk.machine.snapshot()).toMatchObject({ waiting: 6, contended: 2 });
    expect(desk.hear('e', acquire(1))).toEqual(['e: refused s #1 too-many-waiters']);
    expect(desk.hear('e', acquire(2, { session: 'u' }))).toEqual(['e: grant u #2 1.3']);
  });
});

describe('deliveries', () => {
  it('a frame is settled when all its requests are: granted, refused, cancelled or lapsed', () => {
    desk.hear('a', acquire(1), acquire(2, { session: 't' }), acquire(3, { session: 'u' }));
    expect(desk.settled).toEqual([1]);
    desk.hear(
      'b',
      acquire(1),
      acquire(2, { session: 't' }),
      acquire(3, { session: 'u', waitMs: 50 }),
      acquire(4, { session: 'v', create: undefined }),
    );
    expect(desk.settled).toEqual([]);
    desk.hear('a', release([1, 1], 1));
    expect(desk.settled).toEqual([3]);
    desk.hear('b', { ...cancel(2), session: 't' });
    expect(desk.settled).toEqual([4]);
    desk.wait(50);
    expect(desk.settled).toEqual([2]);
  });

  it('a repeat is settled at once, while the first one stays', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1));
    desk.hear('b', acquire(1));
    expect(desk.settled).toEqual([3]);
    desk.hear('a', release([1, 1], 1));
    expect(desk.settled).toEqual([2, 4]);
  });
});

describe('partitions', () => {
  it('rule 13: a session of another partition is refused, naming the number of partitions', () => {
    const other = ['p', 'q', 'r', 't', 'v'].find((id) => partitionOf(id, 2) === 1)!;
    const two = new Desk({ partitions: 2 });
    expect(two.hear('a', acquire(1, { session: other }))).toEqual([`a: refused ${other} #1 wrong-partition`]);
    expect(two.outputs.messages.get('a.1')).toMatchObject([{ detail: 'this deployment has 2 partitions' }]);
    expect(two.hear('a', { ...commit([1, 1], 1), session: other })).toEqual([
      `a: refused ${other} 1.1 seq 1 wrong-partition`,
    ]);
    expect(two.machine.snapshot().sessions, 'not even loaded').toBe(0);
  });
});
