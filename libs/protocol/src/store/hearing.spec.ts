/**
 * How far a partition's owner has read its queue: when a deadline has passed for it, and when it sends an
 * echo.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { acquire, StoreAlone, emptyRelease, renew } from '../testing/store-alone.js';
import { Hearing } from './hearing.js';
import { storeRules } from './rules.js';
import { Pair, testParameters } from '../testing/pair.js';

const { leaseMs, recallTimeoutMs, repeatMs } = testParameters;
const at = (mono: number) => ({ mono, wall: mono });
const slowMs = leaseMs / 20;
const longMs = leaseMs / 2;

describe('rule 10: a deadline', () => {
  let hearing: Hearing;
  beforeEach(() => {
    hearing = new Hearing(testParameters, storeRules);
  });

  it('that has not passed by the clock costs nothing', () => {
    expect(hearing.hasPassed(100, at(99))).toBe(false);
    expect(hearing.take()).toBeUndefined();
  });

  it('has passed when an echo has come back that was sent after it', () => {
    expect(hearing.hasPassed(100, at(120))).toBe(false);
    expect(hearing.take()).toBe(120);
    hearing.echoed(120, at(121));
    expect([110, 120, 121].map((deadline) => hearing.hasPassed(deadline, at(121)))).toEqual([
      true,
      true,
      false,
    ]);
    expect(hearing.take()).toBe(121);
  });

  it('has one echo under way, which is sent again when it has not come back for half a lease', () => {
    hearing.hasPassed(100, at(100));
    expect(hearing.take()).toBe(100);
    for (let mono = 101; mono < 100 + longMs; mono += 100) hearing.hasPassed(100, at(mono));
    expect(hearing.take()).toBeUndefined();
    hearing.hasPassed(100, at(100 + longMs));
    expect(hearing.take()).toBe(100 + longMs);
  });

  it('has passed, however slow the path is, when a second echo follows a slow one', () => {
    hearing.hasPassed(100, at(100));
    hearing.take();
    const back = 100 + slowMs + 1;
    hearing.echoed(100, at(back));
    expect(hearing.hasPassed(100, at(back))).toBe(false);
    expect(hearing.take(), 'at once').toBe(back);
    hearing.echoed(back, at(back + slowMs + 1));
    expect(hearing.hasPassed(100, at(back + slowMs + 1))).toBe(true);
    expect(hearing.sparedAt).toBe(-Infinity);
  });

  it('is not shown by an echo from before a slow one: a broker that stood still delivers all of them at once', () => {
    hearing.hasPassed(100, at(100));
    hearing.take();
    hearing.hasPassed(100, at(100 + longMs));
    const repeated = hearing.take()!;
    const back = repeated + 1;
    hearing.echoed(100, at(back));
    expect(hearing.take(), 'the second one').toBe(back);
    hearing.echoed(repeated, at(back));
    expect(hearing.hasPassed(100, at(back))).toBe(false);
    hearing.echoed(back, at(back + 1));
    expect(hearing.hasPassed(100, at(back + 1))).toBe(true);
  });

  it('has a new echo when the last one was lost and no request has waited since', () => {
    hearing.hasPassed(100, at(100));
    hearing.take();
    const later = 100 + 10 * leaseMs;
    hearing.hasPassed(100, at(later));
    expect(hearing.take()).toBe(later);
    hearing.echoed(later, at(later + 1));
    expect(hearing.hasPassed(100, at(later + 1))).toBe(true);
    expect(hearing.sparedAt).toBe(-Infinity);
  });

  it('is moved for all holders by a late echo, once', () => {
    const deaf = (from: number) => {
      hearing.hasPassed(from, at(from));
      hearing.take();
      hearing.echoed(from, at(from + longMs + 1));
      return hearing.sparedAt;
    };
    const spared = 1_000 + longMs + 1;
    expect(deaf(1_000)).toBe(spared);
    expect(deaf(1_000 + recallTimeoutMs)).toBe(spared);
    const again = spared + 3 * (leaseMs + recallTimeoutMs);
    expect(deaf(again)).toBe(again + longMs + 1);
  });

  it('is moved for all holders when a timer fires long after its time', () => {
    hearing.woke(1_000, at(1_000 + longMs));
    expect(hearing.sparedAt).toBe(-Infinity);
    hearing.woke(1_000, at(1_001 + longMs));
    expect(hearing.sparedAt).toBe(1_001 + longMs);
  });

  it('does not pass by an echo that is not pending any more', () => {
    hearing.echoed(500, at(501));
    expect(hearing.hasPassed(400, at(501))).toBe(false);
  });
});

describe('rule 10: a store', () => {
  let store: StoreAlone;
  beforeEach(() => {
    store = new StoreAlone();
    store.hear('a', acquire(1), renew(1));
  });

  it('sends no echo while no request waits, and none while the holder renews its lease', () => {
    store.holdsEchoes = true;
    for (let i = 0; i < 10; i++) store.wait(leaseMs);
    expect(store.echoes).toEqual([]);
    store.hear('a', renew(2));
    store.hear('b', acquire(1, { waitMs: 600_000 }), renew(1));
    for (let i = 0; i < 10; i++) {
      store.wait(recallTimeoutMs / 11);
      store.hear('a', renew(3 + i));
    }
    expect(store.echoes).toEqual([]);
  });

  it('counts no holder as silent before the echo is back, and reads the waiting frames until then', () => {
    store.wait(leaseMs);
    store.holdsEchoes = true;
    expect(store.hear('b', acquire(1))).toEqual(['a: recall s 1.1']);
    expect(store.echoes).toHaveLength(1);
    store.hear('a', renew(2));
    expect(store.echo()).toEqual([]);
    expect(store.hear('a', emptyRelease([1, 1]))).toEqual(['b: grant s #1 1.2', 'a: released s 1.1']);
  });

  it("grants a dead holder's lock when the echo comes back", () => {
    store.wait(leaseMs);
    store.holdsEchoes = true;
    store.hear('b', acquire(1));
    expect(store.echo()).toEqual(['a: revoked s 1.1 lease-over', 'b: grant s #1 1.2']);
  });

  it('whose echo does not come back sends another one, and revokes no lock', () => {
    store.holdsEchoes = true;
    store.hear('b', acquire(1, { waitMs: 600_000 }));
    const step = leaseMs / 10;
    const told: string[] = [];
    for (let ms = 0; ms < 4 * leaseMs; ms += step) told.push(...store.wait(step));
    expect(told).toEqual([]);
    expect(store.echoes.length, 'one for each half a lease').toBe(7);
  });
});

describe('rule 10: the first request in a partition without a frame since a crash', () => {
  function play(silentMs: number) {
    const pair = new Pair();
    const [a, b] = [pair.holder('a'), pair.holder('b')];
    a.want('s', 10_000, { cart: 'x' });
    pair.run();
    a.cutOff = true;
    pair.run(silentMs);
    const before = pair.echoes;
    b.want('s', 60_000);
    const asked = pair.time;
    while (!b.holds('s') && pair.time < asked + 2 * leaseMs) pair.run(1);
    return { before, ms: pair.time - asked, seen: b.sees('s') };
  }

  it('waits for an echo, and not for a lease', () => {
    const { before, ms, seen } = play(4 * leaseMs);
    expect({ before, seen }).toEqual({ before: 0, seen: { cart: 'x' } });
    expect(ms).toBeLessThan(10);
  });

  it('waits for the rest of the lease, when that still runs', () => {
    const { ms } = play(leaseMs - repeatMs);
    expect(ms).toBeGreaterThan(leaseMs / 10);
    expect(ms).toBeLessThan(leaseMs);
  });
});
