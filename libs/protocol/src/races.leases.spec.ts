/**
 * Races about leases, each played twice: by the rules, and with the one rule switched off that stands against it, where the harm must show. The
 * table of all races is in docs/PROTOCOL.md.
 */
import { describe, expect, it } from 'vitest';
import { HolderMachine } from './holder-machine.js';
import { Holders } from './holders.js';
import { Leases, type Verdict } from './leases.js';
import { Pair, testRules, type Machines } from './pair.harness.js';
import { PartitionMachine } from './partition-machine.js';

const { leaseMs, recallTimeoutMs, repeatMs } = testRules;

function pairOf(machines: Partial<Machines> = {}, rules = testRules) {
  const pair = new Pair(rules, machines);
  const [a, b] = [pair.holder('a'), pair.holder('b')];
  pair.run(5);
  /** Lets time pass. How long both used the session at once, without asking: never, by the rules. */
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

const store = (variant: typeof PartitionMachine): Partial<Machines> => ({
  store: (...of) => new variant(...of),
});
const storeWith = (variant: typeof Holders): Partial<Machines> => ({
  store: (partition, epoch, rules, ownership) =>
    new PartitionMachine(partition, epoch, rules, ownership, new variant(rules, ownership)),
});
const holderWith = (variant: typeof Leases): Partial<Machines> => ({
  holder: (rules) => new HolderMachine(rules, new variant(rules)),
});

describe('race 1: the recall and the revocation are lost', () => {
  /** Rules 4 and 10 without their repeats: a renewal is answered by a lease and nothing more. */
  class SaysOnce extends PartitionMachine {
    protected override tokensOf(): [string, [number, number]][] {
      return [];
    }
  }
  /** Rule 9 off: a new lease is as good as an old one, for every lock. */
  class NoDoubt extends Leases {
    override trusts(...[partition, , now]: Parameters<Leases['trusts']>): boolean {
      return this.runs(partition, now);
    }
    override answered(...of: Parameters<Leases['answered']>): Verdict {
      super.answered(...of);
      return { confirmed: [], lost: [] };
    }
  }

  function connected(machines?: Partial<Machines>) {
    const { pair, a, b, shared } = pairOf(machines);
    a.want('s');
    pair.run();
    pair.lose('recall', 1_000).lose('revoked', 1_000);
    b.want('s', 60_000);
    return { both: shared(recallTimeoutMs + 4 * leaseMs), a, b };
  }

  it('race 1: every answered renewal says both again, and the holder lets go before the next one is in', () => {
    const { both, a, b } = connected();
    expect(a.happened()).toEqual(['granted s 1.1', 'recalled s 1.1', 'lost s 1.1 ended']);
    expect({ both, b: b.uses('s') }).toEqual({ both: 0, b: true });
    expect(connected(store(SaysOnce)).both, 'told once only').toBeGreaterThan(leaseMs);
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
    expect(cut(holderWith(NoDoubt)).both, 'the lease alone decides').toBeGreaterThan(leaseMs);
  });
});

describe('race 2: a live holder is revoked while it still trusts its lease', () => {
  /** Rule 10 without limbo: who was revoked is out at once. */
  class NoLimbo extends PartitionMachine {
    protected override isOutOfUse(): boolean {
      return true;
    }
  }

  function play(machines?: Partial<Machines>) {
    const { pair, a, b, shared } = pairOf(machines);
    a.want('s');
    pair.run();
    pair.lose('recall', 1_000);
    b.want('s', 60_000);
    const before = shared(recallTimeoutMs - 10);
    a.cutOff = true; // just now: its lease runs on beyond the time-out, and it hears nothing of that
    const trusted = a.uses('s');
    const both = before + shared(2 * leaseMs);
    return { both, trusted, revocations: pair.store.counters.revocations, b };
  }

  it('race 2: nobody gets in before its lease, as of the revocation, is over', () => {
    const { both, trusted, revocations, b } = play();
    expect({ both, trusted, revocations, b: b.holds('s') }).toEqual({
      both: 0,
      trusted: true,
      revocations: 1,
      b: true,
    });
    expect(play(store(NoLimbo)).both, 'the revocation alone decides').toBeGreaterThan(leaseMs / 2);
  });
});

describe('race 4: a grant is delayed past the lease that the store counted', () => {
  /** Rule 8 off: a lock is good from when it comes. */
  class Eternal extends Leases {
    override hold(...of: Parameters<Leases['hold']>): boolean {
      super.hold(...of);
      return true;
    }
    override trusts(): boolean {
      return true;
    }
    override answered(...of: Parameters<Leases['answered']>): Verdict {
      super.answered(...of);
      return { confirmed: [], lost: [] };
    }
  }

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
    expect(play(holderWith(Eternal)).both, 'it counts from when it comes').toBe(leaseMs);
  });
});

describe('race 11: expiry, of who is dead and of who only reads', () => {
  /** Rule 10 off: nobody is ever taken for gone, nor loses a lock that was recalled long ago. */
  class Immortals extends Holders {
    override hasLapsed(): boolean {
      return false;
    }
  }
  class Patient extends PartitionMachine {
    protected override revocable(): undefined {
      return undefined;
    }
  }
  const immortals: Machines['store'] = (partition, epoch, of, ownership) =>
    new Patient(partition, epoch, of, ownership, new Immortals(of, ownership));
  /** Rule 15 without touches. */
  class Silent extends HolderMachine {
    protected override touch(): void {}
  }
  const rules = { ...testRules, ttlMs: 60_000 };

  function dead(machines?: Partial<Machines>) {
    const { pair, a, b } = pairOf(machines, rules);
    a.want('s', 10_000, { cart: 'x' });
    pair.run();
    a.cutOff = true;
    b.want('other'); // the store hears of somebody, and so knows that it is not deaf itself
    const goOn = (ms: number) => {
      for (let i = 0; i < 10; i++) {
        pair.run(ms / 10);
        b.uses('other');
      }
      return pair.stored('s');
    };
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
    expect(reading({ holder: (of) => new Silent(of) }), 'never touched').toMatchObject({
      stored: undefined,
      expired: 1,
    });
  });
});

describe('race 15: timers fire before the renewals are read that waited for longer than a lease', () => {
  /** Rule 10 off: whoever was not heard is gone, whatever the reason. */
  class HearsAll extends Holders {
    protected override isDeaf(): boolean {
      return false;
    }
  }

  type Pause = (pair: Pair) => () => void;
  const ofStore: Pause = (pair) => (pair.pauseStore(), () => pair.resumeStore());
  const ofBroker: Pause = (pair) => {
    pair.holdUp();
    return () => pair.letThrough();
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
  ])('race 15: a pause of the %s revokes nobody', (_whose, pause) => {
    expect(play(pause)).toEqual({ stillHeld: true, revocations: 0, seen: { cart: 'kept' } });
    expect(play(pause, storeWith(HearsAll)), 'a living holder is revoked').toEqual({
      stillHeld: false,
      revocations: 1,
      seen: {},
    });
  });
});
