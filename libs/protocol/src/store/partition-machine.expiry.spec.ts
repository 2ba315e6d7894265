/**
 * The store's machine: a recall because of a session's expiry, and the case that the session is used after
 * all (rules 10 and 15).
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { acquire, commit, StoreAlone, emptyRelease, renew } from '../testing/store-alone.js';
import { Pair, testParameters } from '../testing/pair.js';

const rules = { ttlMs: 20_000, leaseMs: 1_000, recallTimeoutMs: 5_000 };

let store: StoreAlone;
beforeEach(() => {
  store = new StoreAlone(rules);
  store.hear('a', acquire(1), renew(1));
});

/** The index names the session, and the machine looks. */
function due(): string[] {
  const { time } = store;
  store.machine.due([{ session: 's', expires: rules.ttlMs }], { mono: time, wall: time });
  return store.wait(0);
}

/** Time passes while the holder renews its lease. No message names the session. */
function passes(ms: number): string[] {
  const told: string[] = [];
  for (const end = store.time + ms; store.time < end;) {
    told.push(...store.wait(Math.min(end - store.time, rules.leaseMs / 10)));
    told.push(...store.hear('a', renew(store.time)).filter((line) => !line.includes('renewed')));
  }
  return told;
}

describe('rule 10: a recall because the session was due', () => {
  it('does not count for a waiter when the session was used since: its holder is asked anew and has its time', () => {
    passes(rules.ttlMs);
    expect(due()).toEqual(['a: recall s 1.1']);
    store.hear('a', commit([1, 1], 1, { cart: '1' })); // it did not receive the recall
    passes(rules.recallTimeoutMs);
    expect(store.hear('b', acquire(1, { waitMs: 60_000 }))).toEqual(['a: recall s 1.1']);
    expect(passes(rules.recallTimeoutMs - 1)).toEqual([]);
    expect(store.hear('a', emptyRelease([1, 1]))).toContain('b: grant s #1 1.2 {cart=1}');
  });

  it('does not count either when a touch has shown that the session is in use', () => {
    passes(rules.ttlMs);
    due();
    store.hear('a', { kind: 'renew', n: 2, touches: [['s', 0]] });
    passes(rules.recallTimeoutMs);
    expect(store.hear('b', acquire(1, { waitMs: 60_000 }))).toEqual(['a: recall s 1.1']);
    expect(passes(rules.recallTimeoutMs - 1)).toEqual([]);
  });

  it('does not count either when its holder was silent for a while and came back within the grace', () => {
    store.time = rules.ttlMs;
    due();
    store.time += 100;
    store.hear('a', { kind: 'renew', n: 2, touches: [['s', 0]] });
    passes(rules.recallTimeoutMs);
    expect(store.hear('b', acquire(1, { waitMs: 60_000 }))).toEqual(['a: recall s 1.1']);
    expect(passes(rules.recallTimeoutMs - 1)).toEqual([]);
  });

  it('is repeated with each renewal, and counts from the first time while the session is due', () => {
    passes(rules.ttlMs);
    expect(due()).toEqual(['a: recall s 1.1']);
    passes(rules.recallTimeoutMs - 1_000);
    expect(due(), 'by no look at the index').toEqual([]);
    store.hear('a', renew(2));
    expect([...store.outputs.messages.values()].flat()).toMatchObject([{ recalled: [['s', [1, 1]]] }]);
    expect(passes(999)).toEqual([]);
    expect(store.wait(1)).toContain('a: revoked s 1.1 recall-timeout');
  });

  it('is sent once to a holder whose session has waiters, too', () => {
    passes(rules.ttlMs);
    store.hear('b', acquire(1, { waitMs: 60_000 }));
    due();
    store.hear('a', renew(2));
    expect([...store.outputs.messages.values()].flat()).toMatchObject([{ recalled: [['s', [1, 1]]] }]);
  });

  it('gives its time anew when the session is due again', () => {
    passes(rules.ttlMs);
    due();
    store.hear('a', commit([1, 1], 1));
    passes(rules.ttlMs);
    expect(due()).toEqual(['a: recall s 1.1']);
    expect(passes(rules.recallTimeoutMs - 1)).toEqual([]);
  });
});

describe('rule 15: a session that ends with the release of its holder', () => {
  it('is not reported as lost when the answer to a release without changes is lost', () => {
    const ttlMs = 4_000;
    const pair = new Pair({ ...testParameters, ttlMs });
    const a = pair.holder('a');
    a.want('s').polite = true;
    pair.run();
    a.commit('s', { cart: '1' });
    pair.run();
    a.happened();
    pair.lose('released');
    pair.run(2 * ttlMs);
    expect(pair.stored('s')).toBeUndefined();
    expect(a.happened()).toEqual(['recalled s 1.1', 'acknowledged s 1.1 2']);
    expect(a.machine.snapshot()).toEqual({ sessions: 0, unanswered: 0 });
  });
});

describe('rule 15: a session that its holder leaves behind', () => {
  it('is kept for its time from the last use, although no touch had reported that yet', () => {
    const ttlMs = 80_000;
    const pair = new Pair({ ...testParameters, ttlMs });
    const [a, b] = [pair.holder('a'), pair.holder('b')];
    a.want('s');
    pair.run(ttlMs - 5_000);
    expect(a.uses('s')).toBe(true);
    pair.run();
    a.leave();
    pair.run(ttlMs / 2);
    b.wantKnown('s');
    pair.run();
    expect(b.happened()).toEqual(['granted s 1.2']);
  });
});

describe('the entry in the expiry index', () => {
  it("of a session that is made anew is its own, and not that of its predecessor's grace", () => {
    store.time = rules.ttlMs;
    store.holdsEchoes = true;
    store.hear('b', acquire(1, { create: undefined, waitMs: 60_000 }));
    const [echo] = store.echoes.splice(0);
    store.machine.echoed(echo!, { mono: store.time, wall: store.time });
    expect(due()).toContain('b: refused s #1 unknown-session');
    expect(store.outputs.writes.at(-1)).toMatchObject({ record: undefined });
    store.time += 10;
    store.hear('c', acquire(1));
    expect(store.outputs.writes).toMatchObject([{ expires: { is: store.time + rules.ttlMs } }]);
  });
});
