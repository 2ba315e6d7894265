/**
 * Races about grants and changes that come late, twice or not at all. Each is played twice: by the rules, and
 * without the one rule that prevents its harm. Then the harm must show. The table of all races is in
 * docs/PROTOCOL.md.
 */
import { describe, expect, it } from 'vitest';
import { holderRules, type HolderRules } from '../holder/rules.js';
import { limits } from '../wire/limits.js';
import { Pair, testParameters, type Machines } from './pair.js';
import { storeRules, type StoreRules } from '../store/rules.js';

const { leaseMs, repeatMs, ttlMs } = testParameters;

function pairOf(machines: Partial<Machines> = {}, rules = testParameters) {
  const pair = new Pair(rules, machines);
  const [a, b] = [pair.holder('a'), pair.holder('b')];
  pair.run(5).told();
  return { pair, a, b };
}

/** Rule 6 off: a change is applied even when an earlier one is missing. */
const noGaps: Partial<StoreRules> = {
  currentGrant: (session, change, holder) => {
    const grant = storeRules.currentGrant(session, change, holder);
    if (grant && change.seq > grant.seq) grant.seq = change.seq - 1;
    return grant;
  },
};

describe('race 3: two owners', () => {
  /** Rule 13 off at the holder: it believes each owner, whatever the epoch. */
  const anyEpoch: Partial<HolderRules> = {
    ownerOf: (epoch, known) => {
      const owner = holderRules.ownerOf(epoch, known);
      return owner === 'stale' ? 'same' : owner;
    },
  };

  function play(machines?: Partial<Machines>) {
    const { pair, a, b } = pairOf(machines);
    const late = pair.holdBack('grant');
    a.want('s', 60_000);
    pair.run();
    // For longer than a lease. Another store takes over meanwhile, and revokes the locks of silent holders.
    a.cutOff = true;
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
    const off = play({ holder: anyEpoch });
    expect(off, 'both use the session').toEqual({ a: true, b: true, dropped: 0 });
  });
});

describe('race 5: the same grant comes again to the holder that returned it', () => {
  /** Rule 12 off: a returned token is accepted again. */
  const forgetful: Partial<HolderRules> = {
    acceptsGrant: (wait, grant) => wait?.request === grant.request,
  };

  function play(machines?: Partial<Machines>) {
    const { pair, a, b } = pairOf(machines);
    a.want('s');
    pair.lose('grant').run(repeatMs - 1);
    b.want('s'); // so that the recall comes just after the repeat of the request
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
    const off = play({ holder: forgetful });
    expect(off, 'both use the session, and the change of one is gone').toMatchObject({
      taken: true,
      both: true,
      lost: ['lost s 1.1 ended'],
    });
  });
});

describe('race 6: the answer to a release is lost, and the next grant is made', () => {
  function play(rules = testParameters) {
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
    const off = play({ ...testParameters, endedGrants: 0 });
    expect(off, 'ended grants are forgotten: three for two').toEqual({
      acknowledged: false,
      stored: { sum: '3' },
    });
  });
});

describe('race 7: a power loss takes back acknowledged changes', () => {
  /** Rule 1 off: after a power loss the owner counts on from the data, in the same epoch. */
  const sameEpoch: Partial<Machines> = {
    epoch: 1,
  };

  function play(machines?: Partial<Machines>) {
    const { pair, a, b } = pairOf(machines);
    a.want('s');
    pair.run();
    a.commit('s', { cart: 'old', user: 'old' });
    pair.run();
    pair.lose('acquire');
    a.release('s').want('s'); // it knows version 1.1.1, which is about to be lost
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
    expect(goOn({ store: noGaps }), 'a cart without its user').toEqual({
      seen: { user: 'u', cart: '1' },
      stored: { cart: '1' },
    });
  });
});

describe('race 9: a create is delivered again after the logout of the session that it made', () => {
  function play(rules = testParameters) {
    const { pair, a, b } = pairOf({}, rules);
    const late = pair.redeliver('acquire');
    a.want('s', 60_000, { user: 'u' });
    pair.run();
    a.destroy('s');
    pair.run(ttlMs / 60);
    late();
    pair.run();
    b.wantKnown('s'); // a browser that still has the cookie
    pair.run();
    return { b: b.happened(), seen: b.holds('s') ? b.sees('s') : undefined };
  }

  it('race 9: the tombstone refuses it, and the old cookie finds no session', () => {
    expect(play()).toEqual({ b: ['refused s unknown-session'], seen: undefined });
    const off = play({ ...testParameters, tombstoneMs: 0 });
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
    a.commit('s', tooMany); // more than the store takes. Applications check that before they send
    a.commit('s', { sum: String(Object.keys(a.sees('s')).length - 1) }); // of the values that it sees there
    pair.run();
    b.want('s');
    pair.run(20);
    return { lost: a.happened().at(-1), stored: pair.stored('s') };
  }

  it('race 10: the refusal ends the grant, and nothing that built on the change is applied', () => {
    const lost = 'lost s 1.1 too-large';
    expect(play()).toEqual({ lost, stored: { sum: '0' } });
    const off = play({ store: noGaps });
    expect(off, 'a sum of what is not there').toEqual({ lost, stored: { sum: String(limits.attributes) } });
  });
});

describe('race 14: the deadline of the first scope drops the request that later ones wait for', () => {
  /** Rule 2 off: the first deadline is never extended. */
  const firstDeadline: Partial<HolderRules> = { deadline: (known) => known };

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
    expect(play({ holder: firstDeadline }), 'dropped in line').toBe(false);
  });
});

describe('race 17: an older copy of the data is put back while a holder lives', () => {
  /** Rule 13 off: a lock is reclaimed by its token alone. */
  const byToken: Partial<StoreRules> = {
    isReclaimed: (grant, holder, [session, token]) =>
      storeRules.isReclaimed(grant, holder, [session, token, 0]),
  };

  function play(machines?: Partial<Machines>) {
    const { pair, a } = pairOf(machines);
    a.want('s');
    pair.run();
    a.commit('s', { cart: '1' });
    pair.run();
    expect(pair.stored('s')).toEqual({ cart: '1' });
    pair.takeOver(1);
    pair.run(2 * repeatMs); // it learns of the new owner, and reclaims its lock
    return { serves: a.uses('s') ? a.sees('s') : undefined, stored: pair.stored('s') };
  }

  it('race 17: a lock under which an acknowledged change is gone is not reclaimed', () => {
    expect(play()).toEqual({ serves: undefined, stored: {} });
    const off = play({ store: byToken });
    expect(off, 'it serves a cart that the store does not have').toEqual({
      serves: { cart: '1' },
      stored: {},
    });
  });
});

describe('race 18: a lost cancel, and another wait that ends after it', () => {
  /** Rule 12 off: the answer to any renewal counts for all messages before it. */
  const anyAnswer: Partial<HolderRules> = { isHeard: (sentWith, answered) => sentWith <= answered };

  /** How long a third holder waits for a session. Another one gave the session up long ago, and dies then. */
  function play(machines?: Partial<Machines>) {
    const { pair, a, b } = pairOf(machines);
    b.want('s').want('t');
    pair.run();
    a.want('held').want('s', 60_000).want('t', 60_000);
    pair.run();
    pair.lose('cancel');
    a.giveUp('s');
    pair.run();
    a.giveUp('t'); // this cancel arrives, and so its renewal is answered
    pair.run(leaseMs);
    a.cutOff = true;
    b.release('s');
    pair.run();
    const c = pair.holder('c').want('s', 60_000);
    const asked = pair.time;
    while (!c.holds('s')) pair.run(1);
    return pair.time - asked;
  }

  it('race 18: the cancel is repeated until it arrives, so no waiter waits for a holder without a request', () => {
    expect(play()).toBeLessThan(20);
    expect(play({ holder: anyAnswer }), 'granted to the dead').toBeGreaterThan(leaseMs / 2);
  });
});
