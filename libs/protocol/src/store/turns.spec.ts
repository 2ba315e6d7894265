/** Rule 23 in the store's machine: which grants are until idle, and when their holders are asked back. */
import { describe, expect, it } from 'vitest';
import { acquire, cancel, release, StoreAlone } from '../testing/store-alone.js';

const turnMs = 10;

/** A store where the lock has gone from `a` to `b` and to `a` again, which has it now. */
function passedOn(parameters = { turnMs }, time = 0): StoreAlone {
  const store = new StoreAlone(parameters);
  store.time = time;
  for (const [n, holder] of ['a', 'b'].entries()) {
    store.hear(holder, acquire(1));
    store.hear(holder, release([1, n + 1], 1));
  }
  store.hear('a', acquire(2));
  return store;
}

const granted = (holder: string, line: string) => `${holder}: grant s ${line} until idle`;

describe('rule 23: a lock that goes from holder to holder', () => {
  it('rule 23: is granted until idle after it was soon wanted by another holder, twice in a row', () => {
    const store = new StoreAlone({ turnMs });
    expect(store.hear('a', acquire(1))).toEqual(['a: grant s #1 1.1']);
    store.hear('a', release([1, 1], 1));
    expect(store.hear('b', acquire(1))).toEqual(['b: grant s #1 1.2']);
    store.hear('b', release([1, 2], 1));
    expect(store.hear('a', acquire(2))).toEqual([granted('a', '#2 1.3')]);
  });

  it('rule 23: is granted as ever when it was held for long, when one holder asks again, and with turnMs 0', () => {
    const slow = passedOn();
    slow.time = 1_000;
    slow.hear('a', release([1, 3], 1));
    expect(slow.hear('b', acquire(2))).toEqual(['b: grant s #2 1.4']);
    const alone = passedOn();
    alone.hear('a', release([1, 3], 1));
    expect(alone.hear('a', acquire(3))).toEqual(['a: grant s #3 1.4']);
    const off = new StoreAlone({ turnMs: 0 });
    for (let n = 1; n < 6; n++) {
      const holder = 'ab'[n % 2]!;
      expect(off.hear(holder, acquire(n))).toEqual([`${holder}: grant s #${n} 1.${n}`]);
      off.hear(holder, release([1, n], 1));
    }
  });

  it('rule 23: is asked back when the turn is over, and not before', () => {
    const store = passedOn();
    store.time = 4;
    expect(store.hear('b', acquire(2))).toEqual([]);
    expect(store.machine.nextDeadline).toBe(turnMs);
    expect(store.wait(5)).toEqual([]);
    expect(store.wait(1)).toEqual(['a: recall s 1.3']);
    expect(store.wait(0), 'once').toEqual([]);
    expect(store.hear('a', release([1, 3], 1))).toEqual([granted('b', '#2 1.4'), 'a: released s 1.3']);
  });

  it('rule 23: is not asked back when it comes back in its turn, or when nobody waits any more', () => {
    const store = passedOn();
    store.hear('b', acquire(2));
    store.hear('a', release([1, 3], 1));
    store.time = 5;
    store.hear('c', acquire(1));
    store.hear('c', cancel(1));
    expect(store.wait(50)).toEqual([]);
  });

  it('rule 23: a turn is shorter when many wait, and when the next one waits for a short time only', () => {
    const store = passedOn({ turnMs: 100 });
    store.hear('b', acquire(2));
    expect(store.machine.nextDeadline).toBe(100);
    store.hear('c', acquire(1));
    store.hear('d', acquire(1));
    store.hear('e', acquire(1));
    expect(store.machine.nextDeadline, 'a round takes 200 ms').toBe(50);
    const short = passedOn({ turnMs: 100 });
    short.hear('b', acquire(2, { waitMs: 80 }));
    expect(short.machine.nextDeadline).toBe(20);
  });

  it('rule 4: a waiter that repeats its request ends the turn, and so does a repeated grant', () => {
    const store = passedOn({ turnMs: 1_000 });
    store.hear('b', acquire(2));
    expect(store.hear('b', acquire(2))).toEqual(['a: recall s 1.3']);
    expect(store.hear('a', acquire(2))).toEqual(['a: grant s #2 1.3 contended until idle']);
  });

  it('rule 23: is asked back at once where it is not passed on, or where the turn is just over', () => {
    const first = new StoreAlone({ turnMs });
    first.hear('a', acquire(1));
    expect(first.hear('b', acquire(1))).toEqual(['a: recall s 1.1']);
    const store = passedOn();
    store.time = turnMs;
    expect(store.hear('b', acquire(2))).toEqual(['a: recall s 1.3']);
  });

  it('rule 23: is granted until idle to the next waiter, too, which is asked back after its turn', () => {
    const store = passedOn();
    store.time = 5;
    store.hear('b', acquire(2));
    store.hear('c', acquire(1));
    expect(store.hear('a', release([1, 3], 1))[0]).toBe(granted('b', '#2 1.4'));
    expect(store.wait(turnMs - 1)).toEqual([]);
    expect(store.wait(1)).toEqual(['b: recall s 1.4']);
  });

  it('rule 23: is not said to be until idle where it is not', () => {
    const store = new StoreAlone({ turnMs });
    store.hear('a', acquire(1));
    expect(store.outputs.messages.get('a.1')![0]).not.toHaveProperty('untilIdle');
  });

  it('rule 23: is passed on at any time of the clock, and the next waiter is asked for its own time', () => {
    const store = passedOn({ turnMs: 100 }, 10_000);
    store.hear('b', acquire(2, { waitMs: 80 }));
    expect(store.machine.nextDeadline).toBe(10_020);
  });

  it('rule 23: each turn ends in its time', () => {
    const store = passedOn();
    store.time = 5;
    const ofT = { session: 't' };
    for (const [n, holder] of ['a', 'b'].entries()) {
      store.hear(holder, acquire(10, ofT));
      store.hear(holder, { ...release([1, n + 4], 1), ...ofT });
    }
    store.hear('a', acquire(11, ofT));
    expect(store.hear('b', acquire(2), acquire(11, ofT))).toEqual([]);
    expect(store.machine.nextDeadline).toBe(turnMs);
    expect(store.wait(turnMs - 5)).toEqual(['a: recall s 1.3']);
    expect(store.machine.nextDeadline).toBe(5 + turnMs);
    expect(store.wait(5)).toEqual(['a: recall t 1.6']);
  });

  it('rule 4: a turn that a repeated request has ended does not end once more', () => {
    const store = passedOn();
    store.hear('b', acquire(2));
    expect(store.hear('b', acquire(2))).toEqual(['a: recall s 1.3']);
    expect(store.machine.nextDeadline).toBeGreaterThan(turnMs);
    expect(store.wait(turnMs)).toEqual([]);
  });
});
