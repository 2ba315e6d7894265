/**
 * Races about grants and changes that come late, twice or not at all, each played twice: by the rules, and with the one rule switched off that
 * stands against it, where the harm must show. The table of all races is in docs/PROTOCOL.md.
 */
import { describe, expect, it } from 'vitest';
import { HolderMachine } from './holder-machine.js';
import { Leases } from './leases.js';
import { limits } from './limits.js';
import { Pair, testRules, type Machines } from './pair.harness.js';
import { PartitionMachine } from './partition-machine.js';

const { leaseMs, repeatMs, ttlMs } = testRules;

function pairOf(machines: Partial<Machines> = {}, rules = testRules) {
  const pair = new Pair(rules, machines);
  const [a, b] = [pair.holder('a'), pair.holder('b')];
  pair.run(5).told();
  return { pair, a, b };
}

/** Rule 6 off: a change is applied whatever is missing before it. */
class NoGaps extends PartitionMachine {
  protected override currentGrant(...of: Parameters<PartitionMachine['currentGrant']>) {
    const grant = super.currentGrant(...of);
    const [, { seq }] = of;
    if (grant && seq > grant.seq) grant.seq = seq - 1;
    return grant;
  }
}

describe('race 3: two owners', () => {
  /** Rule 13 off at the holder: every owner is believed, whatever its epoch. */
  class AnyEpoch extends Leases {
    override heard(...of: Parameters<Leases['heard']>): 'new' | 'same' | 'stale' {
      const owner = super.heard(...of);
      return owner === 'stale' ? 'same' : owner;
    }
  }

  function play(machines?: Partial<Machines>) {
    const { pair, a, b } = pairOf(machines);
    const late = pair.holdBack('grant');
    a.want('s', 60_000);
    pair.run();
    a.cutOff = true; // for longer than a lease, in which another store takes over, and revokes what nobody answers for
    pair.takeOver();
    b.want('s', 60_000);
    pair.run(3 * leaseMs);
    b.commit('s', { cart: 'new' });
    a.cutOff = false;
    pair.run(2 * repeatMs); // its lease runs again, and its request waits behind the other one
    late();
    return { a: a.uses('s'), b: b.uses('s'), dropped: a.machine.counters.staleFrames };
  }

  it('race 3: a grant of the old owner that comes after the new one revoked it, and renewed the lease, is dropped', () => {
    expect(play()).toEqual({ a: false, b: true, dropped: 1 });
    const off = play({ holder: (rules) => new HolderMachine(rules, new AnyEpoch(rules)) });
    expect(off, 'both use the session').toEqual({ a: true, b: true, dropped: 0 });
  });
});

describe('race 5: the same grant comes again to who has returned it', () => {
  /** Rule 12 off: what was returned is taken again. */
  class Forgetful extends HolderMachine {
    protected override acceptable(...[{ wait }, grant]: Parameters<HolderMachine['acceptable']>): boolean {
      return wait?.request === grant.request;
    }
  }

  function play(machines?: Partial<Machines>) {
    const { pair, a, b } = pairOf(machines);
    a.want('s');
    pair.lose('grant').run(repeatMs - 1);
    b.want('s'); // so that the recall comes just after the request was repeated
    pair.run(2);
    expect(pair.told().slice(3)).toEqual([
      'store → a: recall s 1.1',
      'a: acquire s #1',
      'a: release s 1.1 seq 0',
      'store → a: grant s #1 1.1 contended',
    ]);
    pair.run(1);
    const taken = a.holds('s');
    pair.run();
    const both = [a.uses('s'), b.uses('s')].every(Boolean);
    if (taken) a.release('s', { cart: '1' });
    pair.run();
    return { pair, a, b, taken, both, lost: a.happened().filter((line) => line.startsWith('lost')) };
  }

  it('race 5: it is returned again, and the request is granted anew in its turn', () => {
    const { pair, a, b, taken, both, lost } = play();
    expect({ taken, both, lost, next: b.holds('s') }).toEqual({
      taken: false,
      both: false,
      lost: [],
      next: true,
    });
    b.release('s');
    pair.run(repeatMs + 10);
    expect(a.held('s').token).toEqual([1, 3]);
    const off = play({ holder: (rules) => new Forgetful(rules) });
    expect(off, 'both use the session, and the change of one is gone').toMatchObject({
      taken: true,
      both: true,
      lost: ['lost s 1.1 ended'],
    });
  });
});

describe('race 6: the answer to a release is lost, and the next grant is made', () => {
  function play(rules = testRules) {
    const { pair, a, b } = pairOf({}, rules);
    b.polite = true;
    const add = (holder: typeof a, change: 'commit' | 'release') =>
      holder[change]('s', { sum: String(Number(holder.sees('s')['sum'] ?? 0) + 1) });
    a.want('s');
    pair.run();
    b.want('s');
    pair.run();
    pair.lose('released');
    add(a, 'release');
    pair.run();
    add(b, 'commit');
    pair.run(repeatMs + 10);
    const acknowledged = a.happened().at(-1) === 'acknowledged s 1.1 1';
    if (!acknowledged) {
      a.want('s'); // its caller does it again
      pair.run();
      add(a, 'commit');
      pair.run();
    }
    return { acknowledged, stored: pair.stored('s') };
  }

  it('race 6: the repeated release gets its first answer, so that no caller adds twice', () => {
    expect(play()).toEqual({ acknowledged: true, stored: { sum: '2' } });
    const off = play({ ...testRules, endedGrants: 0 });
    expect(off, 'ended grants are forgotten: three for two').toEqual({
      acknowledged: false,
      stored: { sum: '3' },
    });
  });
});

describe('race 7: a power loss takes back what holders were told is durable', () => {
  /** Rule 1 off: the owner after a power loss counts on from what it finds, in the same epoch. */
  const sameEpoch: Partial<Machines> = {
    store: (partition, _epoch, ...more) => new PartitionMachine(partition, 1, ...more),
  };

  function play(machines?: Partial<Machines>) {
    const { pair, a, b } = pairOf(machines);
    a.want('s');
    pair.run();
    a.commit('s', { cart: 'old', user: 'old' });
    pair.run();
    pair.lose('acquire');
    a.release('s').want('s'); // it knows version 1.1.1, of which nothing is left in a moment
    pair.run();
    pair.takeOver(3);
    expect(pair.stored('s'), 'not even the session').toBeUndefined();
    b.want('s');
    pair.run();
    b.commit('s', { cart: 'new' });
    pair.run();
    b.release('s');
    pair.run(2 * repeatMs);
    const tokens = [a, b].flatMap((holder) => holder.happened().filter((line) => line.startsWith('granted')));
    return { tokens, seen: a.sees('s'), stored: pair.stored('s') };
  }

  it('race 7: no token comes twice, and no copy is taken for current that the store never had', () => {
    expect(play()).toEqual({
      tokens: ['granted s 1.1', 'granted s 2.2', 'granted s 2.1'],
      seen: { cart: 'new' },
      stored: { cart: 'new' },
    });
    expect(play(sameEpoch), 'the same version of two histories').toMatchObject({
      tokens: ['granted s 1.1', 'granted s 1.2', 'granted s 1.1'],
      seen: { cart: 'old' },
      stored: { cart: 'new' },
    });
  });

  function goOn(machines?: Partial<Machines>) {
    const { pair, a } = pairOf(machines);
    a.want('s');
    pair.run();
    a.commit('s', { user: 'u' });
    pair.run();
    pair.takeOver(1);
    a.commit('s', { cart: '1' });
    pair.run();
    return { seen: a.holds('s') ? a.sees('s') : 'lost', stored: pair.stored('s') };
  }

  it('race 7: a grant of which an acknowledged change is gone ends, before another one builds on it', () => {
    expect(goOn()).toEqual({ seen: 'lost', stored: {} });
    expect(goOn({ store: (...of) => new NoGaps(...of) }), 'a cart without its user').toEqual({
      seen: { user: 'u', cart: '1' },
      stored: { cart: '1' },
    });
  });
});

describe('race 9: a create is delivered again after the logout of the session that it made', () => {
  function play(rules = testRules) {
    const { pair, a, b } = pairOf({}, rules);
    const late = pair.redeliver('acquire');
    a.want('s', 60_000, { user: 'u' });
    pair.run();
    a.destroy('s');
    pair.run(ttlMs / 60);
    late();
    pair.run();
    b.wantKnown('s'); // whoever still has the cookie
    pair.run();
    return { b: b.happened(), seen: b.holds('s') ? b.sees('s') : undefined };
  }

  it('race 9: the tombstone turns it away, and whoever comes with the old cookie', () => {
    expect(play()).toEqual({ b: ['refused s destroyed'], seen: undefined });
    const off = play({ ...testRules, tombstoneMs: 0 });
    expect(off, 'without tombstones the session is back').toEqual({
      b: ['granted s 1.3'],
      seen: { user: 'u' },
    });
  });
});

describe('race 10: a change is refused while a later one has seen its effect', () => {
  function play(machines?: Partial<Machines>) {
    const { pair, a, b } = pairOf(machines);
    a.want('s', 10_000, { sum: '0' });
    pair.run();
    const tooMany = Object.fromEntries(
      Array.from({ length: limits.attributes }, (_, i) => [`item${i}`, 'x']),
    );
    a.commit('s', tooMany); // more than the store takes, which is checked elsewhere before anything is sent
    a.commit('s', { sum: String(Object.keys(a.sees('s')).length - 1) }); // of what it sees there
    pair.run();
    b.want('s');
    pair.run(20);
    return { lost: a.happened().at(-1), stored: pair.stored('s') };
  }

  it('race 10: the refusal ends the grant, and nothing that built on the change is applied', () => {
    const lost = 'lost s 1.1 too-large';
    expect(play()).toEqual({ lost, stored: { sum: '0' } });
    const off = play({ store: (...of) => new NoGaps(...of) });
    expect(off, 'a sum of what is not there').toEqual({ lost, stored: { sum: String(limits.attributes) } });
  });
});

describe('race 14: the deadline of the first scope drops the request that later ones wait for', () => {
  /** Rule 2 off: the first deadline stands. */
  class FirstDeadline extends HolderMachine {
    private readonly first = new Map<string, number>();
    override want(...[id, deadline, create, now]: Parameters<HolderMachine['want']>): void {
      const first = this.first.get(id) ?? deadline;
      this.first.set(id, first);
      super.want(id, first, create, now);
    }
  }

  function play(machines?: Partial<Machines>) {
    const { pair, a, b } = pairOf(machines);
    b.want('s');
    pair.run();
    a.want('s', repeatMs / 2).want('s', 5 * repeatMs);
    pair.run(3 * repeatMs);
    b.release('s');
    pair.run();
    return a.holds('s');
  }

  it("race 14: a request's deadline is that of the last scope, and the store is told", () => {
    expect(play()).toBe(true);
    expect(play({ holder: (rules) => new FirstDeadline(rules) }), 'dropped in line').toBe(false);
  });
});
