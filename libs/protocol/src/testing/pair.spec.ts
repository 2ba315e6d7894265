/**
 * Both machines together, over a wire that loses, doubles and delays: scripted scenes, and random ones. The
 * numbered races are in races.*.spec.ts. It is one file, since its scenes and its properties use one wire.
 */
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { Pair, testParameters } from './pair.js';
import type { TestHolder } from './test-holder.js';

// Properties take longer on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const pairOf = (polite: readonly string[] = [], rules = testParameters) => {
  const pair = new Pair(rules);
  for (const name of ['a', 'b', 'c']) pair.holder(name).polite = polite.includes(name);
  pair.run(5).told();
  return { pair, a: pair.holder('a'), b: pair.holder('b'), c: pair.holder('c') };
};

describe('a handoff', () => {
  it('takes four messages from the request to the grant', () => {
    const { pair, a, b } = pairOf();
    a.want('s');
    pair.run();
    a.commit('s', { cart: '1' });
    pair.run().told();
    b.want('s');
    pair.run();
    a.release('s', { cart: '2' });
    pair.run();
    expect(pair.told()).toEqual([
      'b: acquire s #1',
      'store → a: recall s 1.1',
      'a: release s 1.1 seq 2 {cart=2}',
      'store → b: grant s #1 1.2 {cart=2}',
      'store → a: released s 1.1',
    ]);
    expect(b.sees('s')).toEqual({ cart: '2' });
  });

  it('rule 5: a holder that asks again after its release waits behind the other waiters', () => {
    const { pair, a, b } = pairOf();
    a.want('s');
    pair.run();
    b.want('s');
    pair.run().told();
    a.release('s', { cart: '1' }).want('s');
    pair.run();
    expect(pair.told()).toEqual([
      'a: release s 1.1 seq 1 {cart=1}',
      'a: acquire s #2 knows 1.1.1',
      'store → b: grant s #1 1.2 {cart=1}',
      'store → a: released s 1.1',
      'store → b: recall s 1.2',
    ]);
    b.release('s', { user: 'u' });
    pair.run();
    expect(pair.told().at(-2)).toBe('store → a: grant s #2 1.3 {user=u} keep cart');
    expect(a.sees('s')).toEqual({ cart: '1', user: 'u' });
  });
});

describe('loss', () => {
  it('a lost request is repeated', () => {
    const { pair, a } = pairOf();
    pair.lose('acquire');
    a.want('s');
    pair.run(testParameters.repeatMs - 1);
    expect(a.holds('s')).toBe(false);
    pair.run();
    expect(a.holds('s')).toBe(true);
  });

  it('rule 12: a lost grant is repeated for its request', () => {
    const { pair, a } = pairOf();
    pair.lose('grant');
    a.want('s');
    pair.run(2_000);
    expect(pair.told()).toEqual([
      'a: acquire s #1',
      'store → a: grant s #1 1.1',
      'a: acquire s #1',
      'store → a: grant s #1 1.1',
    ]);
    expect(a.holds('s')).toBe(true);
  });

  it('rule 4: a lost recall is repeated when the waiter repeats its request', () => {
    const { pair, a, b } = pairOf(['a']);
    a.want('s');
    pair.run();
    pair.lose('recall');
    b.want('s');
    pair.run(testParameters.repeatMs + 10);
    expect(b.holds('s')).toBe(true);
  });

  it('rule 4: a lost recall is repeated with the answer to a renewal', () => {
    const { pair, a, b } = pairOf(['a']);
    a.want('s');
    pair.run();
    pair.lose('recall').lose('recall').lose('recall');
    b.want('s');
    pair.run(testParameters.renewMs + 10);
    expect(b.holds('s')).toBe(true);
  });

  it('rule 6: a lost commit and the later ones are sent again, in order', () => {
    const { pair, a } = pairOf();
    a.want('s');
    pair.run();
    pair.lose('commit');
    a.commit('s', { cart: '1' }).commit('s', { cart: '2' });
    pair.run(2_000);
    expect(a.held('s')).toMatchObject({ seq: 2, acknowledged: 2 });
    expect(pair.stored('s')).toEqual({ cart: '2' });
    expect(pair.store.counters.commits).toBe(2);
  });

  it('a lost cancel: the late grant comes back, and goes to the next', () => {
    const { pair, a, b, c } = pairOf();
    a.want('s');
    pair.run();
    b.want('s');
    pair.run();
    c.want('s');
    pair.lose('cancel');
    b.giveUp('s');
    pair.run();
    a.release('s');
    pair.run();
    expect(pair.told().slice(-5)).toEqual([
      'store → b: grant s #1 1.2 contended',
      'store → a: released s 1.1',
      'b: release s 1.2 seq 0',
      'store → c: grant s #1 1.3',
      'store → b: released s 1.2',
    ]);
  });

  it.each(['cancel', 'release'] as const)(
    'rule 12: no session stays locked when a grant and its %s are lost',
    (kind) => {
      const { pair, a, c } = pairOf();
      const grant = pair.holdBack('grant');
      a.want('s');
      pair.run().lose('cancel');
      if (kind === 'release') pair.lose('release');
      a.giveUp('s');
      pair.run();
      if (kind === 'release') grant(); // it is given back, but the release is lost
      pair.run();
      a.reconnect();
      pair.run().takeOver(); // by a store that knows only the old queue
      c.want('s');
      pair.run();
      expect(c.holds('s')).toBe(true);
    },
  );

  it('a new connection repeats everything at once, and is granted there', () => {
    const { pair, a } = pairOf();
    a.want('s');
    pair.lose('grant').run();
    a.reconnect();
    pair.run();
    expect(a.holds('s')).toBe(true);
    expect(pair.time).toBeLessThan(testParameters.repeatMs);
  });
});

describe('races', () => {
  it('rule 12: a grant that was returned is not taken when a new connection repeats its request', () => {
    const { pair, a, b } = pairOf();
    a.want('s');
    pair.lose('grant').run();
    const recalled = pair.holdBack('release');
    b.want('s');
    pair.run();
    expect(pair.told().slice(-2)).toEqual(['store → a: recall s 1.1', 'a: release s 1.1 seq 0']);
    a.reconnect(); // its request is repeated, and answered by the same grant
    pair.run();
    expect(a.holds('s'), 'what was returned is not taken').toBe(false);
    recalled();
    pair.run();
    expect(b.holds('s')).toBe(true);
    b.release('s');
    pair.run(testParameters.repeatMs + 10);
    expect(a.held('s').token).toEqual([1, 3]);
  });

  it('the grant and the cancel of its request cross: the lock goes to the next at once', () => {
    const { pair, a, b } = pairOf();
    const late = pair.holdBack('grant');
    a.want('s');
    b.want('s');
    pair.run();
    a.giveUp('s');
    pair.run();
    expect(b.holds('s')).toBe(true);
    late();
    pair.run();
    expect(pair.told().slice(-2)).toEqual(['a: release s 1.1 seq 0', 'store → a: released s 1.1']);
    expect(b.commit('s', { cart: '1' }).held('s').seq).toBe(1);
    pair.run();
    expect(b.held('s').acknowledged).toBe(1);
  });

  it('the next request overtakes the release, and its holder does not wait for itself', () => {
    const { pair, a } = pairOf();
    a.want('s');
    pair.run();
    const release = pair.holdBack('release');
    a.release('s', { cart: '1' }).want('s');
    pair.run();
    expect(a.holds('s')).toBe(false);
    release();
    pair.run();
    expect(a.held('s').token).toEqual([1, 2]);
    expect(a.sees('s')).toEqual({ cart: '1' });
  });

  it('rule 2: a request of an old connection arrives after the one that followed it', () => {
    const { pair, a, b, c } = pairOf();
    a.want('s');
    pair.run();
    const late = pair.holdBack('acquire');
    b.want('s').giveUp('s');
    b.want('s');
    pair.run();
    c.want('s');
    pair.run();
    late();
    pair.run();
    a.release('s');
    pair.run();
    expect(b.held('s').token, 'its place is kept').toEqual([1, 2]);
  });

  it('rule 13: another store takes over, waiters keep their places and holders their locks', () => {
    const { pair, a, b, c } = pairOf();
    a.want('s');
    pair.run();
    b.want('s');
    pair.run();
    c.want('s');
    a.commit('s', { cart: '1' });
    pair.run();
    pair.takeOver();
    pair.run();
    expect(a.happened()).toContain('recalled s 1.1');
    a.release('s', { cart: '2' });
    pair.run();
    expect(b.held('s').token).toEqual([2, 1]);
    b.release('s');
    pair.run();
    expect(c.held('s').token).toEqual([2, 2]);
    expect(c.sees('s')).toEqual({ cart: '2' });
  });

  it('rule 13: a grant of the old owner after a frame of the new one is dropped, and the new one repeats it', () => {
    const { pair, a } = pairOf();
    a.want('other');
    pair.run();
    const late = pair.holdBack('grant');
    a.want('s');
    pair.run();
    pair.takeOver();
    a.commit('other', { x: '1' });
    pair.run();
    late();
    pair.run();
    expect(a.holds('s')).toBe(false);
    expect(a.machine.counters.staleFrames).toBe(1);
    pair.run(testParameters.repeatMs);
    expect(a.held('s').token).toEqual([1, 2]);
  });

  it('rule 1: a copy with changes that a power loss took back is not mixed into the next grant', () => {
    const { pair, a, b } = pairOf();
    a.want('s');
    pair.run();
    a.commit('s', { cart: '1' });
    pair.run();
    b.want('s');
    pair.run();
    a.commit('s', { cart: '2' }).release('s');
    pair.lose('grant').lose('acquire');
    a.want('s');
    pair.run();
    expect(a.happened().at(-1)).toBe('acknowledged s 1.1 3');
    pair.takeOver(2); // cart=2 and the release are gone
    pair.run(testParameters.repeatMs);
    b.commit('s', { user: 'u' }).release('s');
    pair.run();
    expect(pair.stored('s')).toEqual({ cart: '1', user: 'u' });
    expect(a.sees('s')).toEqual({ cart: '1', user: 'u' });
  });
});

describe('at random', () => {
  const sessions = ['s', 't'];
  const names = ['a', 'b', 'c'];
  const kinds = [
    'acquire',
    'cancel',
    'commit',
    'release',
    'grant',
    'recall',
    'committed',
    'released',
  ] as const;
  const who = fc.constantFrom(...names);
  const session = fc.constantFrom(...sessions);
  const kind = fc.constantFrom(...kinds);
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ what: fc.constant('want'), who, session }) },
    { weight: 6, arbitrary: fc.record({ what: fc.constant('add'), who, session }) },
    { weight: 4, arbitrary: fc.record({ what: fc.constant('release'), who, session }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('giveUp'), who, session }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constant('reconnect'), who }) },
    { weight: 1, arbitrary: fc.record({ what: fc.constantFrom('takeOver', 'evict') }) },
    { weight: 3, arbitrary: fc.record({ what: fc.constantFrom('lose', 'double', 'holdBack'), kind }) },
    { weight: 5, arbitrary: fc.record({ what: fc.constant('run'), ms: fc.integer({ min: 1, max: 20 }) }) },
    {
      weight: 1,
      arbitrary: fc.record({ what: fc.constant('run'), ms: fc.integer({ min: 500, max: 2_500 }) }),
    },
  );
  type Step = { what: string; who?: string; session?: string; kind?: (typeof kinds)[number]; ms?: number };

  /** One day of three holders. Each adds one to the sum that it sees. */
  class Day {
    readonly pair: Pair;
    private readonly added = new Map(sessions.map((id) => [id, 0]));
    private readonly late: (() => void)[] = [];

    constructor() {
      this.pair = pairOf([], { ...testParameters, endedGrants: 100 }).pair;
    }

    step({ what, who: name = '', session: id = '', kind: of = 'grant', ms = 0 }: Step): void {
      const { pair } = this;
      const holder = pair.holder(name || 'a');
      if (what === 'want') holder.want(id);
      else if (what === 'giveUp') holder.giveUp(id);
      else if (what === 'add' && holder.holds(id)) this.add(holder, id);
      else if (what === 'release' && holder.holds(id)) holder.release(id);
      else if (what === 'reconnect') holder.reconnect();
      else if (what === 'takeOver') pair.takeOver();
      else if (what === 'evict') pair.store.evict(0);
      else if (what === 'lose') pair.lose(of);
      else if (what === 'double') pair.double(of);
      else if (what === 'holdBack') this.late.push(pair.holdBack(of));
      else if (what === 'run') pair.run(ms);
    }

    /** From now on no frame is lost. Frames that were held back arrive. Each holder gets a last turn. */
    end(): void {
      const { pair } = this;
      pair.heal();
      for (const arrive of this.late) arrive();
      const holders = names.map((name) => pair.holder(name));
      for (const holder of holders) holder.polite = true;
      for (const holder of holders) for (const id of sessions) if (holder.holds(id)) holder.release(id);
      pair.run(3 * testParameters.repeatMs);
      for (const holder of holders) {
        for (const id of sessions) {
          holder.want(id);
          pair.run(3 * testParameters.repeatMs);
          expect(holder.holds(id), `${holder.name} gets its turn`).toBe(true);
          this.add(holder, id);
          holder.release(id);
        }
      }
      pair.run(3 * testParameters.repeatMs);
      for (const id of sessions) expect(pair.stored(id)).toEqual({ sum: String(this.added.get(id)) });
      for (const holder of holders) {
        expect(holder.machine.snapshot()).toEqual({ sessions: 0, unanswered: 0 });
        expect(holder.happened().filter((line) => line.startsWith('lost'))).toEqual([]);
      }
      expect(pair.store.snapshot()).toMatchObject({ waiting: 0, contended: 0 });
      expect(pair.unsettledFrames).toBe(0);
    }

    private add(holder: TestHolder, id: string): void {
      const sum = Number(holder.sees(id)['sum'] ?? 0) + 1;
      expect(sum, `${holder.name} sees every addition, once`).toBe(this.added.get(id)! + 1);
      this.added.set(id, sum);
      holder.commit(id, { sum: String(sum) });
    }
  }

  it('a session has one holder at a time, no addition is lost or doubled, and all messages come to an end', () => {
    fc.assert(
      fc.property(fc.array(step as fc.Arbitrary<Step>, { minLength: 5, maxLength: 80 }), (steps) => {
        const day = new Day();
        for (const one of steps) day.step(one);
        day.end();
      }),
      { numRuns: Number(process.env['PAIR_RUNS'] ?? 100) },
    );
  }, 600_000);
});
