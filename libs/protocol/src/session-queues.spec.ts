/** Queues of sessions (rule 21), as the owner of a partition uses them: when it consumes them, what it takes out, and what it says to those whose acquires are not there. */
import { beforeEach, describe, expect, it } from 'vitest';
import { acquire, cancel, commit, Desk, emptyRelease, knock, release, renew } from './desk.harness.js';

let desk: Desk;
beforeEach(() => {
  desk = new Desk({ waitersPerPartition: 2 });
});

/** What is to be opened and closed since the last thing that was said. */
const queues = () => [desk.outputs.open, desk.outputs.close];

describe('a knock', () => {
  it('has the queue consumed, once, and stays unacknowledged so that a next owner is told, too', () => {
    expect(desk.hear('a', knock(1))).toEqual([]);
    expect(queues()).toEqual([['s'], []]);
    expect(desk.settled).toEqual([]);
    // The latest is kept, since the broker allows none to wait for half an hour.
    desk.hear('b', knock(7));
    expect(queues()).toEqual([[], []]);
    expect(desk.settled).toEqual([1]);
  });

  it('of a waiter moves its deadline, and has the recall said again', () => {
    desk.hear('a', knock(1));
    desk.ask('a', acquire(1));
    desk.hear('b', knock(7));
    expect(desk.ask('b', acquire(7))).toEqual(['a: recall s 1.1']);
    desk.wait(900);
    expect(desk.hear('b', knock(7, { ageMs: 900 }))).toEqual(['a: recall s 1.1']);
    desk.wait(900); // its first deadline has passed
    expect(desk.hear('a', release([1, 1], 1))).toContain('b: grant s #7 1.2');
  });

  it('of the holder has its grant said again: that was lost', () => {
    desk.hear('a', knock(1));
    desk.ask('a', acquire(1));
    expect(desk.hear('a', knock(1, { ageMs: 900 }))).toEqual(['a: grant s #1 1.1']);
  });

  it('for one queue too many is refused, and the others are consumed on', () => {
    desk.hear('a', knock(1, { session: 'one' }));
    desk.hear('a', knock(2, { session: 'two' }));
    expect(desk.hear('a', knock(3, { session: 'three' }))).toEqual(['a: refused three #3 too-many-queues']);
    expect(desk.hear('b', knock(1, { session: 'two' }))).toEqual([]);
  });
});

describe('an acquire out of its queue', () => {
  it('is acknowledged when it is granted, and not before', () => {
    desk.ask('a', acquire(1));
    expect(desk.settled).toEqual([1]);
    desk.ask('b', acquire(7));
    expect(desk.settled).toEqual([]);
    expect(desk.hear('a', release([1, 1], 1))).toEqual(['a: released s 1.1', 'b: grant s #7 1.2']);
    expect(desk.settled).toContain(2);
  });

  it('is answered where its holder is reached now, not where it was when it asked', () => {
    desk.hearOn('a.2', 'a', renew(1));
    expect(desk.ask('a', acquire(1), 'a.1')).toEqual(['a.2: grant s #1 1.1']);
  });

  it('that was cancelled before it came out is passed over', () => {
    desk.hear('b', knock(9)); // the queue is consumed
    desk.hear('a', cancel(1));
    expect(desk.ask('a', acquire(1))).toEqual([]);
    expect(desk.settled).toEqual([3]);
    expect(desk.ask('a', acquire(2))).toEqual(['a: grant s #2 1.1']);
  });

  it('that comes a second time is passed over: it was put there again with a new connection', () => {
    desk.hear('a', knock(1));
    desk.ask('a', acquire(1));
    desk.hear('a', release([1, 1], 1));
    expect(desk.ask('a', acquire(1))).toEqual([]);
  });

  it('of a holder that has left is passed over', () => {
    desk.hear('a', knock(1));
    desk.hear('a', { kind: 'leave' });
    expect(desk.ask('a', acquire(1))).toEqual([]);
    expect(desk.ask('b', acquire(7))).toEqual(['b: grant s #7 1.1']);
  });

  it('is no sign of life: a holder that fell silent loses its lock all the same', () => {
    desk.hear('a', acquire(1), renew(1));
    desk.ask('b', acquire(7, { waitMs: 60_000 }));
    const said: string[] = [];
    for (let ms = 0; ms < 6_000; ms += 500) {
      said.push(...desk.wait(500));
      desk.hear('b', renew(ms));
      desk.ask('a', acquire(2 + ms, { session: 't' }));
    }
    expect(said.join()).toContain('a: revoked s 1.1');
  });
});

describe('an acquire that is not in the queue', () => {
  it('is asked for again when nothing comes out though there was time for it', () => {
    desk.hear('a', knock(1));
    desk.wait(300);
    expect(desk.hear('a', knock(1, { ageMs: 300 }))).toEqual(['a: refused s #1 unheard']);
  });

  it('is not asked for before it had its time, nor while others come out', () => {
    desk.hear('a', knock(1));
    expect(desk.hear('a', knock(1, { ageMs: 900 }))).toEqual([]); // the queue was opened just now
    desk.wait(300);
    expect(desk.hear('b', knock(7))).toEqual([]); // put there just now
    desk.ask('c', acquire(3));
    desk.ask('d', acquire(4));
    desk.wait(300);
    expect(desk.hear('a', knock(1, { ageMs: 900 }))).toEqual([]); // it stands behind others
  });

  it('is asked for at once when its grant was given back: its place is gone', () => {
    desk.hear('a', knock(1));
    desk.ask('a', acquire(1));
    desk.hear('a', emptyRelease([1, 1]));
    expect(desk.hear('a', knock(1, { ageMs: 10 }))).toEqual(['a: refused s #1 unheard']);
    expect(desk.ask('a', acquire(1))).toEqual(['a: grant s #1 1.2']);
  });

  it('is asked for by everybody who had put one there when the queue went', () => {
    desk.hear('a', knock(1));
    desk.hear('b', knock(7));
    desk.wait(10);
    expect(desk.queueGone('s')).toEqual(['b: refused s #7 unheard']);
    desk.wait(10);
    expect(desk.hear('a', knock(1, { ageMs: 20 }))).toEqual(['a: refused s #1 unheard']);
    expect(queues()).toEqual([['s'], []]); // somebody may have made it anew
    expect(desk.hear('b', knock(7, { ageMs: 5 }))).toEqual([]); // it was put there since
  });
});

describe('a queue that nobody uses', () => {
  it('is consumed no more, and its knock is acknowledged', () => {
    desk.hear('a', knock(1));
    desk.ask('a', acquire(1));
    expect(desk.machine.nextDeadline).toBeLessThan(10_000);
    desk.wait(4_000);
    expect(queues()).toEqual([[], []]);
    desk.wait(4_000);
    expect(queues()).toEqual([[], ['s']]);
    expect(desk.settled).toEqual([1]);
    expect(desk.machine.nextDeadline).toBe(Infinity);
    expect(desk.hear('a', commit([1, 1], 1))).toEqual(['a: committed s 1.1 seq 1']); // the lock stays
  });

  it('goes on to be consumed while somebody waits', () => {
    desk.ask('a', acquire(1));
    desk.hear('b', knock(7, { waitMs: 60_000 }));
    desk.ask('b', acquire(7, { waitMs: 60_000 }));
    for (let ms = 0; ms < 8_000; ms += 2_000) {
      desk.wait(2_000);
      expect(queues()).toEqual([[], []]);
      desk.hear('a', renew(ms));
    }
  });
});
