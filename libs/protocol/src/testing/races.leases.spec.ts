/**
 * Races about leases. Each is played twice: by the rules, and without the one rule that prevents its harm.
 * Then the harm must show. The table of all races is in docs/PROTOCOL.md.
 */
import { describe, expect, it } from 'vitest';
import type { HolderRules } from '../holder/rules.js';
import { Pair, testParameters, type Machines } from './pair.js';
import type { StoreRules } from '../store/rules.js';

const { leaseMs, recallTimeoutMs, repeatMs } = testParameters;

function pairOf(machines: Partial<Machines> = {}, rules = testParameters) {
  const pair = new Pair(rules, machines);
  const [a, b] = [pair.holder('a'), pair.holder('b')];
  pair.run(5);
  /**
   * Lets time pass. Returns for how long both used the session at once, without a question to the store. By
   * the rules that never happens.
   */
  const shared = (ms: number): number => {
    let sum = 0;
    for (let i = 0; i < ms; i++) {
      pair.run(1);
      const both = [a.uses('s'), b.uses('s')];
      if (both.every(Boolean)) sum++;
    }
    return sum;
  };
  return { pair, a, b, shared };
}

describe('race 1: the recall and the revocation are lost', () => {
  /** Rules 4 and 10 without their repeats: the answer to a renewal has a lease and nothing more. */
  const saysOnce: Partial<StoreRules> = { isListed: () => false };
  /** Rule 9 off: a new lease is as good as an old one, for each lock. */
  const noDoubt: Partial<HolderRules> = { isTrusted: (_lock, runs) => runs, isConfirmed: () => true };

  function connected(machines?: Partial<Machines>) {
    const { pair, a, b, shared } = pairOf(machines);
    a.want('s');
    pair.run();
    pair.lose('recall', 1_000).lose('revoked', 1_000);
    b.want('s', 60_000);
    return { both: shared(recallTimeoutMs + 4 * leaseMs), a, b };
  }

  it('race 1: each answer to a renewal repeats both, and the holder releases before the next one is granted', () => {
    const { both, a, b } = connected();
    expect(a.happened()).toEqual(['granted s 1.1', 'recalled s 1.1', 'lost s 1.1 ended']);
    expect({ both, b: b.uses('s') }).toEqual({ both: 0, b: true });
    expect(connected({ store: saysOnce }).both, 'told once only').toBeGreaterThan(leaseMs);
  });

  function cut(machines?: Partial<Machines>) {
    const { pair, a, b, shared } = pairOf(machines);
    a.want('s');
    pair.run();
    a.cutOff = true;
    b.want('s', 60_000);
    pair.run(2 * leaseMs);
    b.commit('s', { cart: 'new' });
    a.cutOff = false;
    return { both: shared(3 * leaseMs), a };
  }

  it('race 1: a lock from before the silence is reclaimed by its token before it is used again', () => {
    const { both, a } = cut();
    expect(a.happened().at(-1)).toBe('lost s 1.1 ended');
    expect(both).toBe(0);
    expect(cut({ holder: noDoubt }).both, 'the lease alone decides').toBeGreaterThan(leaseMs);
  });
});

describe('race 2: a live holder is revoked while it still trusts its lease', () => {
  /** Rule 10 off: a revoked grant is out of use at once. */
  const noLimbo: Partial<StoreRules> = { isOutOfUse: () => true };

  function play(machines?: Partial<Machines>) {
    const { pair, a, b, shared } = pairOf(machines);
    a.want('s');
    pair.run();
    pair.lose('recall', 1_000);
    b.want('s', 60_000);
    const before = shared(recallTimeoutMs - 10);
    a.cutOff = true; // just now, so its lease runs on beyond the time-out. It does not receive the recall
    const trusted = a.uses('s');
    const both = before + shared(2 * leaseMs);
    return { both, trusted, revocations: pair.store.counters.revocations, b };
  }

  it('race 2: no other holder is granted before its lease, as of the revocation, is over', () => {
    const { both, trusted, revocations, b } = play();
    expect({ both, trusted, revocations, b: b.holds('s') }).toEqual({
      both: 0,
      trusted: true,
      revocations: 1,
      b: true,
    });
    expect(play({ store: noLimbo }).both, 'the revocation alone decides').toBeGreaterThan(leaseMs / 2);
  });
});

describe('race 16: the store revokes a lock while the answer to a change under it is lost', () => {
  /** Rule 11 off: a revoked lock is trusted until the answer has come. */
  const unimpressed: Partial<HolderRules> = { believesRevocation: () => false };

  function play(machines?: Partial<Machines>) {
    const { pair, a, b, shared } = pairOf(machines);
    a.want('s');
    pair.run();
    pair.lose('recall', 1_000).lose('committed', 1_000);
    b.want('s', 60_000);
    let both = shared(recallTimeoutMs - 10);
    a.commit('s', { cart: 'x' });
    both += shared(repeatMs + 500); // it is revoked, learns of that, and renews
    const trusted = a.uses('s');
    a.cutOff = true;
    both += shared(2 * leaseMs);
    return { both, trusted, b: b.sees('s') };
  }

  it('race 16: the lock is not trusted from that moment on, and no renewal brings it back', () => {
    expect(play()).toEqual({ both: 0, trusted: false, b: { cart: 'x' } });
    const { both, trusted } = play({ holder: unimpressed });
    expect({ trusted, isShared: both > leaseMs / 10 }, 'the answer decides').toEqual({
      trusted: true,
      isShared: true,
    });
  });
});

describe('race 4: a grant is delayed past the lease that the store counted', () => {
  /** Rule 8 off: a lock is trusted as soon as it comes. */
  const eternal: Partial<HolderRules> = {
    leaseRuns: () => true,
    isTrusted: () => true,
    isConfirmed: () => true,
  };

  function play(machines?: Partial<Machines>) {
    const { pair, a, b, shared } = pairOf(machines);
    a.want('s', 60_000);
    a.pause(); // the grant waits in the process that stands still
    pair.lose('revoked').run();
    b.want('s', 60_000);
    pair.run(2 * leaseMs);
    expect(b.commit('s', { cart: 'new' }).uses('s')).toBe(true);
    a.resume();
    return { both: shared(leaseMs), a, b };
  }

  it('race 4: without a running lease the grant counts only when the store confirms it', () => {
    const { both, a, b } = play();
    expect({ both, a: a.holds('s'), b: b.uses('s') }).toEqual({ both: 0, a: false, b: true });
    expect(play({ holder: eternal }).both, 'it counts from when it comes').toBe(leaseMs);
  });
});

describe('race 11: expiry under a dead holder and under one that only reads', () => {
  /** Rule 10 off: no holder counts as gone, or loses a lock that was recalled long ago. */
  const immortals: Partial<StoreRules> = { hasLapsed: () => false, revocationReason: () => undefined };
  /** Rule 15 without touches. */
  const silent: Partial<HolderRules> = { isTouchDue: () => false };
  const rules = { ...testParameters, ttlMs: 60_000 };

  function dead(machines?: Partial<Machines>) {
    const { pair, a } = pairOf(machines, rules);
    a.want('s', 10_000, { cart: 'x' });
    pair.run();
    a.cutOff = true;
    const goOn = (ms: number) => pair.run(ms).stored('s');
    return { before: goOn(rules.ttlMs + leaseMs), after: goOn(rules.ttlMs / 4) };
  }

  it('race 11: the session of a dead holder expires, with a grace for touches under way', () => {
    expect(dead()).toEqual({ before: { cart: 'x' }, after: undefined });
    expect(dead({ store: immortals }).after, 'kept for ever').toEqual({ cart: 'x' });
  });

  function reading(machines?: Partial<Machines>) {
    const { pair, a } = pairOf(machines, rules);
    a.polite = true;
    a.want('s', 10_000, { cart: 'x' });
    let reads = 0;
    for (let i = 0; i < 30; i++) {
      pair.run(rules.ttlMs / 10);
      if (a.uses('s')) reads++;
    }
    return { reads, stored: pair.stored('s'), expired: pair.store.counters.expired };
  }

  it('race 11: the session of a live reader does not, though no read sends a message', () => {
    expect(reading()).toEqual({ reads: 30, stored: { cart: 'x' }, expired: 0 });
    expect(reading({ holder: silent }), 'never touched').toMatchObject({
      stored: undefined,
      expired: 1,
    });
  });
});

describe('race 15: timers fire before the renewals are read that waited for longer than a lease', () => {
  /** Rule 10 off: a silent holder counts as gone, whatever the reason. */
  const hearsAll: Partial<StoreRules> = {
    hasPassed: (deadline, _heardThrough, now) => deadline <= now.mono,
    mayBeBlocked: () => false,
  };

  type Pause = (pair: Pair) => () => void;
  const ofStore: Pause = (pair) => (pair.pauseStore(), () => pair.resumeStore());
  const ofBroker: Pause = (pair) => {
    pair.holdUp();
    return () => pair.letThrough();
  };
  const withEchoesFirst: Pause = (pair) => {
    pair.holdUp();
    return () => pair.letThrough(true);
  };

  function play(pause: Pause, machines?: Partial<Machines>) {
    const { pair, a, b } = pairOf(machines);
    a.want('s');
    pair.run();
    b.want('s', 60_000);
    pair.run(repeatMs);
    const goOn = pause(pair);
    pair.run(leaseMs + repeatMs);
    goOn();
    pair.run(repeatMs);
    const stillHeld = a.holds('s');
    if (stillHeld) a.release('s', { cart: 'kept' });
    pair.run();
    return { stillHeld, revocations: pair.store.counters.revocations, seen: b.sees('s') };
  }

  it.each([
    ['store', ofStore],
    ['broker', ofBroker],
    ['broker that hands the echo over first', withEchoesFirst],
  ])('race 15: a pause of the %s revokes nobody', (_whose, pause) => {
    expect(play(pause)).toEqual({ stillHeld: true, revocations: 0, seen: { cart: 'kept' } });
    expect(play(pause, { store: hearsAll }), 'a living holder is revoked').toEqual({
      stillHeld: false,
      revocations: 1,
      seen: {},
    });
  });

  it('race 15: a second pause of the broker revokes no lock either, although all holders were just spared', () => {
    const { pair, a, b } = pairOf({}, { ...testParameters, recallTimeoutMs: 60_000 });
    a.want('s');
    pair.run();
    b.want('s', 600_000);
    for (let i = 0; i < 2; i++) {
      pair.run(repeatMs);
      const goOn = withEchoesFirst(pair);
      pair.run(2 * leaseMs);
      goOn();
    }
    pair.run(repeatMs);
    expect({ held: a.holds('s'), revocations: pair.store.counters.revocations }).toEqual({
      held: true,
      revocations: 0,
    });
  });

  function answered(machines?: Partial<Machines>) {
    const short = { ...testParameters, recallTimeoutMs: 1_000 };
    const { pair, a, b } = pairOf(machines, short);
    a.want('s');
    pair.run();
    b.want('s', 60_000);
    pair.run(3);
    pair.pauseStore();
    a.release('s', { cart: 'kept' });
    pair.run(short.recallTimeoutMs + 200);
    pair.resumeStore();
    pair.run(repeatMs);
    return { revocations: pair.store.counters.revocations, seen: b.sees('s') };
  }

  it('race 15: a release while the store stood still keeps its changes', () => {
    expect(answered()).toEqual({ revocations: 0, seen: { cart: 'kept' } });
    expect(answered({ store: hearsAll }), 'the clock decides').toEqual({ revocations: 1, seen: {} });
  });
});
