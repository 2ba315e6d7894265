/** The holder's machine alone, told what the store says: what it sends, repeats, accepts and tells its user. */
import { beforeEach, describe, expect, it } from 'vitest';
import { HolderMachine, type HeldGrant, type HolderEvent, type HolderRules } from './holder-machine.js';
import { limits } from './limits.js';
import type { Grant, Refused, StoreMessage } from './messages.js';
import type { Token, Version } from './order.js';
import { asText, changes, shown, testRules } from './pair.harness.js';
import { partitionOf } from './session-id.js';

/** A machine in a process: the test speaks as the store, and as what runs in the process. */
class Process {
  readonly machine: HolderMachine;
  time = 0;
  /** Of the last call of `hear`. */
  events: readonly HolderEvent[] = [];

  constructor(rules: Partial<HolderRules> = {}) {
    this.machine = new HolderMachine({ ...testRules, ...rules });
    this.hear({ kind: 'renewed', n: 0, leaseMs: 5_000, recalled: [], revoked: [] });
  }

  get now() {
    return { mono: this.time, wall: 0 };
  }

  /** What is sent since the last call, without renewals. */
  get says(): string[] {
    return this.messages.map(shown).filter((line) => !line.startsWith('renew'));
  }

  get messages() {
    return [...this.machine.takeMessages().values()].flat();
  }

  want(waitMs = 10_000, id = 's'): string[] {
    this.machine.want(id, this.time + waitMs, changes().set, this.now);
    return this.says;
  }

  /** A frame of an epoch: what happens, as text. */
  hearOf(epoch: number, ...messages: StoreMessage[]): string[] {
    this.machine.receive({ version: 1, partition: 0, epoch, messages }, this.now);
    this.events = this.machine.takeEvents();
    return this.events.map(told);
  }

  hear(...messages: StoreMessage[]): string[] {
    return this.hearOf(1, ...messages);
  }

  /** Asks for the lock and is granted it. */
  hold(grant: Partial<Grant> = {}): HeldGrant {
    this.want();
    this.hear({ ...granted(1, [1, 1]), ...grant });
    const [event] = this.events;
    if (event?.kind !== 'granted') throw new Error('not granted');
    return event.grant;
  }

  commit(grant: HeldGrant, set: Record<string, string>, ...removed: string[]): string[] {
    this.machine.commit(grant, changes(set, removed), this.now);
    return this.says;
  }

  release(grant: HeldGrant, set: Record<string, string> = {}): string[] {
    this.machine.release(grant, changes(set), this.now);
    return this.says;
  }

  wait(ms: number): string[] {
    this.time += ms;
    this.machine.tick(this.now);
    return this.says;
  }
}

function told(event: HolderEvent): string {
  if (event.kind === 'refused') return `refused ${event.session} ${event.why}`;
  const { session, token, acknowledged } = event.grant;
  const line = `${event.kind} ${session} ${token.join('.')}`;
  if (event.kind === 'granted') return event.contended ? `${line} contended` : line;
  if (event.kind === 'acknowledged') return `${line} through ${acknowledged}`;
  return event.kind === 'lost' ? `${line} ${event.why}` : line;
}

const granted = (
  request: number,
  token: Token,
  set: Record<string, string> = {},
  keep: string[] = [],
): Grant => {
  const version: Version = [...token, 0];
  const more = { mode: 'exclusive', version, seq: 0, keep, contended: false } as const;
  return { kind: 'grant', session: 's', request, token, set: changes(set).set, ...more };
};
const recall = (token: Token) => ({ kind: 'recall', session: 's', token }) as const;
const committed = (token: Token, seq: number) => ({ kind: 'committed', session: 's', token, seq }) as const;
const released = (token: Token) => ({ kind: 'released', session: 's', token }) as const;
const refusedChange = (why: Refused['why'], token: Token, seq: number, appliedThrough?: number): Refused => ({
  kind: 'refused',
  session: 's',
  why,
  token,
  seq,
  appliedThrough,
});
const renewed = (...recalled: [string, Token][]) =>
  ({ kind: 'renewed', n: 1, leaseMs: 5_000, recalled, revoked: [] }) as const;

let process: Process;
beforeEach(() => {
  process = new Process();
});

describe('asking', () => {
  it('rule 2: one request for a session, however many want it', () => {
    expect(process.want()).toEqual(['acquire s #1']);
    expect(process.want()).toEqual([]);
  });

  it('a request is repeated every repeatMs with the same number until it is answered', () => {
    process.want();
    expect(process.wait(999)).toEqual([]);
    expect(process.wait(1)).toEqual(['acquire s #1']);
    expect(process.wait(999)).toEqual([]);
    expect(process.wait(1)).toEqual(['acquire s #1']);
    process.hear(granted(1, [1, 1]));
    expect(process.wait(5_000)).toEqual([]);
    expect(process.machine.counters.repeats).toBe(2);
  });

  it('a request is not repeated after its deadline', () => {
    process.want(1_500);
    expect(process.wait(1_000)).toEqual(['acquire s #1']);
    expect(process.wait(1_000)).toEqual([]);
  });

  it('rule 2: a later deadline reaches the store in time (race 14)', () => {
    const waitMs = () => process.messages.map((message) => 'waitMs' in message && message.waitMs);
    process.machine.want('s', 1_500, undefined, process.now);
    expect(waitMs()).toEqual([1_500]);
    process.machine.want('s', 9_000, undefined, process.now);
    expect(waitMs(), 'at once: the next repeat might come too late').toEqual([9_000]);
    process.machine.want('s', 9_500, undefined, process.now);
    process.machine.want('s', 3_000, undefined, process.now);
    expect(waitMs(), 'time enough').toEqual([]);
    process.time = 1_000;
    process.machine.tick(process.now);
    expect(waitMs().at(-1), 'the latest of all').toBe(8_500);
  });

  it('rule 2: no wait is announced that is longer than the protocol allows', () => {
    process.machine.want('s', Infinity, undefined, process.now);
    expect(process.messages).toMatchObject([{ waitMs: limits.waitMs }]);
    process.machine.want('t', 2 * limits.waitMs, undefined, process.now);
    expect(process.messages).toMatchObject([{ waitMs: limits.waitMs }]);
  });

  it('giving up cancels the request; the next one has another number', () => {
    process.want();
    process.machine.giveUp('s');
    expect(process.says).toEqual(['cancel s #1']);
    expect(process.wait(5_000)).toEqual([]);
    expect(process.want()).toEqual(['acquire s #2']);
  });

  it('giving up what nobody asked for, or what is held, does nothing', () => {
    process.machine.giveUp('s');
    process.hold();
    process.machine.giveUp('s');
    expect(process.says).toEqual([]);
    expect(process.machine.snapshot().sessions).toBe(1);
  });

  it('wanting what is held does nothing', () => {
    process.hold();
    expect(process.want()).toEqual([]);
  });

  it('a refused request is over', () => {
    process.want();
    const refused = { kind: 'refused', session: 's', request: 1, why: 'too-many-waiters' } as const;
    expect(process.hear(refused)).toEqual(['refused s too-many-waiters']);
    expect(process.hear(refused)).toEqual([]);
    expect(process.machine.snapshot().sessions).toBe(0);
  });

  it('the refusal of an earlier request says nothing about this one', () => {
    process.want();
    process.machine.giveUp('s');
    process.want();
    expect(process.hear({ kind: 'refused', session: 's', request: 1, why: 'unknown-session' })).toEqual([]);
    expect(process.wait(1_000)).toEqual(['acquire s #2']);
  });
});

describe('being granted', () => {
  it('has the state that the grant brings', () => {
    const grant = process.hold({ set: changes({ cart: '1', user: 'u' }).set });
    expect(asText([...grant.attributes].map(([name, { bytes }]) => [name, bytes]))).toEqual({
      cart: '1',
      user: 'u',
    });
    expect(grant).toMatchObject({ token: [1, 1], seq: 0, acknowledged: 0, recalled: false });
  });

  it('rule 16: what the request made is seq 1 already, and durable', () => {
    expect(process.hold({ seq: 1 })).toMatchObject({ seq: 1, acknowledged: 1 });
  });

  it('rule 4: a contended grant is recalled from the start', () => {
    process.want();
    expect(process.hear({ ...granted(1, [1, 1]), contended: true })).toEqual(['granted s 1.1 contended']);
    expect(process.hear(recall([1, 1]))).toEqual([]);
  });

  it('a grant that comes twice is one grant', () => {
    process.hold();
    expect(process.hear(granted(1, [1, 1]))).toEqual([]);
    expect(process.says).toEqual([]);
  });

  it('rule 4: a grant said again, contended now, recalls', () => {
    process.hold();
    expect(process.hear({ ...granted(1, [1, 1]), contended: true })).toEqual(['recalled s 1.1']);
  });

  it.each([
    ['nobody wants the session', () => {}],
    ['the request was given up', () => (process.want(), process.machine.giveUp('s'))],
    ['another request is outstanding', () => (process.want(), process.machine.giveUp('s'), process.want())],
  ])('rule 12: is given back by an empty release when %s', (_when, before) => {
    before();
    process.machine.takeMessages();
    expect(process.hear(granted(1, [1, 1]))).toEqual([]);
    expect(process.says).toEqual(['release s 1.1 seq 0']);
    expect(process.machine.counters.returns).toBe(1);
  });

  it('rule 12: a grant of a token returned before is given back (race 5)', () => {
    process.want();
    expect(process.hear(recall([1, 1])), 'of a grant that was lost').toEqual([]);
    expect(process.says).toEqual(['release s 1.1 seq 0']);
    expect(process.hear(granted(1, [1, 1])), 'said again before that release was handled').toEqual([]);
    expect(process.says).toEqual(['release s 1.1 seq 0']);
    expect(process.hear(granted(1, [1, 2]))).toEqual(['granted s 1.2']);
  });

  it('rule 12: the highest token returned counts', () => {
    process.want();
    process.hear(recall([1, 5]), recall([1, 3]));
    expect(process.hear(granted(1, [1, 4]))).toEqual([]);
    expect(process.hear(granted(1, [1, 6]))).toEqual(['granted s 1.6']);
  });
});

describe('known copies', () => {
  const wanting = () => {
    const grant = process.hold({ set: changes({ cart: '1', user: 'u' }).set });
    process.commit(grant, { cart: '2' });
    process.release(grant);
    return process.want();
  };

  it('a request names the version of the copy that the last grant left here', () => {
    expect(wanting()).toEqual(['acquire s #2 knows 1.1.1']);
  });

  it('a grant keeps attributes of it, and drops what it does not name', () => {
    wanting();
    process.hear(granted(2, [1, 3], { other: 'x' }, ['cart']));
    const [event] = process.events;
    const attributes = event?.kind === 'granted' ? event.grant.attributes : new Map();
    expect(asText([...attributes].map(([name, { bytes }]) => [name, bytes]))).toEqual({
      cart: '2',
      other: 'x',
    });
    expect(
      [...attributes.values()].map(({ seq }) => seq),
      'older than the grant',
    ).toEqual([0, 0]);
  });

  it('a grant that keeps what is not here is given back', () => {
    wanting();
    expect(process.hear(granted(2, [1, 3], {}, ['cart', 'gone']))).toEqual([]);
    expect(process.says).toEqual(['release s 1.3 seq 0']);
  });

  it('rule 11: the copy of a lost grant is not named any more', () => {
    wanting();
    process.hear(refusedChange('ended', [1, 1], 1, 0));
    expect(process.wait(1_000)).toEqual(['acquire s #2']);
    expect(process.hear(granted(2, [1, 3], {}, ['cart']))).toEqual([]);
  });

  it('a copy is kept only while something of the session is under way', () => {
    process.release(process.hold());
    process.hear(released([1, 1]));
    expect(process.machine.snapshot().sessions).toBe(0);
    expect(process.want()).toEqual(['acquire s #2']);
  });

  it('a commit that deletes counts for the version, one that changes nothing does not', () => {
    const grant = process.hold({ version: [1, 0, 7] });
    process.commit(grant, {});
    process.machine.release(grant, changes(), process.now);
    expect(process.want().at(-1)).toBe('acquire s #2 knows 1.0.7');
    process.hear(granted(2, [1, 2]));
    const [event] = process.events;
    if (event?.kind !== 'granted') throw new Error('not granted');
    process.commit(event.grant, {}, 'x');
    process.release(event.grant);
    expect(process.want()).toEqual(['acquire s #3 knows 1.2.1']);
  });
});

describe('recalls', () => {
  it('rule 4: are told once, however often they come', () => {
    process.hold();
    expect(process.hear(recall([1, 1]))).toEqual(['recalled s 1.1']);
    expect(process.hear(recall([1, 1]), renewed(['s', [1, 1]]))).toEqual([]);
    expect(process.machine.counters.recalls).toBe(1);
  });

  it('rule 4: come with renewals too', () => {
    process.hold();
    expect(process.hear(renewed(['s', [1, 1]]))).toEqual(['recalled s 1.1']);
  });

  it('rule 12: of a token that is unknown here are answered by an empty release', () => {
    process.hold();
    expect(process.hear(recall([1, 0]))).toEqual([]);
    expect(process.says).toEqual(['release s 1.0 seq 0']);
    expect(process.hear({ ...recall([1, 9]), session: 'never heard of' })).toEqual([]);
    expect(process.says).toEqual(['release never heard of 1.9 seq 0']);
  });

  it('rule 12: of a token whose real release is on its way are not answered', () => {
    process.release(process.hold(), { cart: '1' });
    process.hear(recall([1, 1]), renewed(['s', [1, 1]]));
    expect(process.says).toEqual([]);
  });
});

describe('changing', () => {
  it('rule 6: seq counts from 1 within the grant, without gaps, the release too', () => {
    const grant = process.hold();
    expect(process.commit(grant, { cart: '1' }, 'user')).toEqual(['commit s 1.1 seq 1 {cart=1} delete user']);
    expect(process.commit(grant, { cart: '2' })).toEqual(['commit s 1.1 seq 2 {cart=2}']);
    expect(process.release(grant, { cart: '3' })).toEqual(['release s 1.1 seq 3 {cart=3}']);
  });

  it('changes are in the copy at once, with the seq that made them', () => {
    const grant = process.hold({ set: changes({ cart: '0', user: 'u' }).set });
    process.commit(grant, { cart: '1' }, 'user');
    expect([...grant.attributes].map(([name, { seq }]) => [name, seq])).toEqual([['cart', 1]]);
    expect(grant).toMatchObject({ seq: 1, acknowledged: 0 });
  });

  it('rule 6: changes are acknowledged in order, many by one answer', () => {
    const grant = process.hold();
    for (const cart of ['1', '2', '3']) process.commit(grant, { cart });
    expect(process.hear(committed([1, 1], 2))).toEqual(['acknowledged s 1.1 through 2']);
    expect(process.hear(committed([1, 1], 1), committed([1, 1], 2))).toEqual([]);
    expect(process.hear(committed([1, 1], 3))).toEqual(['acknowledged s 1.1 through 3']);
  });

  it('released acknowledges everything sent under the grant', () => {
    const grant = process.hold();
    process.commit(grant, { cart: '1' });
    process.release(grant);
    expect(process.hear(released([1, 1]))).toEqual(['acknowledged s 1.1 through 2']);
    expect(process.machine.snapshot()).toEqual({ sessions: 0, unanswered: 0 });
  });

  it('rule 6: what is unanswered is repeated as it was, in order, before the next request', () => {
    const grant = process.hold();
    process.commit(grant, { cart: '1' });
    process.release(grant);
    process.want();
    const again = ['commit s 1.1 seq 1 {cart=1}', 'release s 1.1 seq 2', 'acquire s #2 knows 1.1.1'];
    expect(process.wait(1_000)).toEqual(again);
    process.hear(committed([1, 1], 1));
    expect(process.wait(1_000)).toEqual(again.slice(1));
    process.hear(released([1, 1]));
    expect(process.wait(1_000)).toEqual(again.slice(2));
  });

  it('rule 6: changes of the last grant may still be unanswered when the next one is here', () => {
    process.release(process.hold(), { cart: '1' });
    process.want();
    process.hear(granted(2, [1, 2], { cart: '1' }));
    const [event] = process.events;
    if (event?.kind !== 'granted') throw new Error('not granted');
    process.commit(event.grant, { cart: '2' });
    expect(process.wait(1_000)).toEqual(['release s 1.1 seq 1 {cart=1}', 'commit s 1.2 seq 1 {cart=2}']);
    expect(process.hear(committed([1, 2], 1))).toEqual(['acknowledged s 1.2 through 1']);
    expect(process.hear(refusedChange('outcome-unknown', [1, 1], 1)), 'of the old grant').toEqual([
      'lost s 1.1 outcome-unknown',
    ]);
    expect(process.commit(event.grant, { cart: '3' }), 'the new one is untouched').toEqual([
      'commit s 1.2 seq 2 {cart=3}',
    ]);
  });

  it('a grant that is over takes no changes', () => {
    const grant = process.hold();
    process.release(grant);
    expect(() => process.commit(grant, { cart: '1' })).toThrow('the grant of s is over');
    expect(() => process.release(grant)).toThrow('the grant of s is over');
  });
});

describe('refused changes', () => {
  it('rule 6: after a gap everything from there on is sent again, at most once in repeatMs / 4', () => {
    const grant = process.hold();
    for (const cart of ['1', '2', '3']) process.commit(grant, { cart });
    process.time = 250;
    process.hear(refusedChange('gap', [1, 1], 2, 0));
    expect(process.says).toEqual([
      'commit s 1.1 seq 1 {cart=1}',
      'commit s 1.1 seq 2 {cart=2}',
      'commit s 1.1 seq 3 {cart=3}',
    ]);
    process.hear(refusedChange('gap', [1, 1], 3, 0));
    expect(process.says, 'sent again already').toEqual([]);
    process.time = 500;
    expect(process.hear(refusedChange('gap', [1, 1], 3, 1))).toEqual(['acknowledged s 1.1 through 1']);
    expect(process.says).toEqual(['commit s 1.1 seq 2 {cart=2}', 'commit s 1.1 seq 3 {cart=3}']);
  });

  it('rule 6: an ended grant says what was applied; the rest is lost', () => {
    const grant = process.hold();
    for (const cart of ['1', '2']) process.commit(grant, { cart });
    expect(process.hear(refusedChange('ended', [1, 1], 2, 1))).toEqual([
      'acknowledged s 1.1 through 1',
      'lost s 1.1 ended',
    ]);
    expect(grant.acknowledged).toBe(1);
    expect(process.wait(1_000), 'nothing is repeated').toEqual([]);
    expect(() => process.commit(grant, {})).toThrow('is over');
  });

  it.each(['outcome-unknown', 'too-large', 'wrong-partition', 'unsupported'] as const)(
    'rule 11: %s ends the grant, with every later change',
    (why) => {
      const grant = process.hold();
      for (const cart of ['1', '2', '3']) process.commit(grant, { cart });
      expect(process.hear(refusedChange(why, [1, 1], 1))).toEqual([`lost s 1.1 ${why}`]);
      expect(process.hear(refusedChange('gap', [1, 1], 2, 0), refusedChange('gap', [1, 1], 3, 0))).toEqual(
        [],
      );
      expect(process.wait(1_000)).toEqual([]);
      expect(process.machine.snapshot()).toEqual({ sessions: 0, unanswered: 0 });
    },
  );

  it('rule 11: what the store still holds to be granted is given back when it asks', () => {
    const grant = process.hold();
    process.commit(grant, { cart: '1' });
    process.hear(refusedChange('too-large', [1, 1], 1, 0));
    process.hear(recall([1, 1]));
    expect(process.says).toEqual(['release s 1.1 seq 0']);
  });

  it('race 7: a store that has forgotten acknowledged changes ends the grant: it would refuse the next for ever', () => {
    const grant = process.hold();
    process.commit(grant, { cart: '1' });
    process.commit(grant, { cart: '2' });
    process.hear(committed([1, 1], 2));
    process.release(grant, { cart: '3' });
    expect(process.hearOf(2, refusedChange('gap', [1, 1], 3, 1))).toEqual(['lost s 1.1 outcome-unknown']);
    process.hearOf(2, recall([1, 1]));
    expect(process.says).toEqual(['release s 1.1 seq 0']);
  });

  it('the refusal of a change that is acknowledged by now says nothing', () => {
    const grant = process.hold();
    process.commit(grant, { cart: '1' });
    process.commit(grant, { cart: '2' });
    process.hear(committed([1, 1], 2));
    expect(process.hear(refusedChange('gap', [1, 1], 2, 0))).toEqual([]);
    expect(process.commit(grant, { cart: '3' })).toEqual(['commit s 1.1 seq 3 {cart=3}']);
  });

  it('a grant that the store took away is lost', () => {
    process.hold();
    expect(process.hear({ kind: 'revoked', session: 's', token: [1, 1], why: 'test' })).toEqual([
      'lost s 1.1 ended',
    ]);
    expect(process.hear({ kind: 'revoked', session: 's', token: [1, 1], why: 'test' })).toEqual([]);
  });
});

describe('epochs', () => {
  it('rule 13: frames of a lower epoch are dropped', () => {
    process.want();
    process.hearOf(3, renewed());
    expect(process.hearOf(2, granted(1, [2, 1]))).toEqual([]);
    expect(process.says, 'not even given back').toEqual([]);
    expect(process.machine.counters.staleFrames).toBe(1);
    expect(process.hearOf(3, granted(1, [2, 1]))).toEqual(['granted s 2.1']);
  });

  it('rule 13: epochs are counted for each partition', () => {
    const two = new Process({ partitions: 2 });
    const [zero, one] = [0, 1].map((wanted) =>
      ['p', 'q', 'r', 's', 't'].find((id) => partitionOf(id, 2) === wanted)!,
    );
    two.want(1_000, zero);
    two.want(1_000, one);
    two.machine.receive(
      { version: 1, partition: 1, epoch: 9, messages: [{ ...granted(2, [9, 1]), session: one! }] },
      two.now,
    );
    two.machine.receive(
      { version: 1, partition: 0, epoch: 2, messages: [{ ...granted(1, [2, 1]), session: zero! }] },
      two.now,
    );
    expect(two.machine.takeEvents().map(told)).toEqual([`granted ${one} 9.1`, `granted ${zero} 2.1`]);
  });
});

describe('connections and renewals', () => {
  const renewals = (messages = process.messages) =>
    messages.flatMap((message) => (message.kind === 'renew' ? [message.n] : []));

  it('a new connection repeats what is unanswered, and renews, whatever their age', () => {
    const grant = process.hold();
    process.commit(grant, { cart: '1' });
    process.want(10_000, 't');
    process.machine.connected(process.now);
    expect(process.messages.map(shown)).toEqual(['commit s 1.1 seq 1 {cart=1}', 'acquire t #2', 'renew 1']);
  });

  it('a new connection is shown to every partition that was ever asked: a late grant must not go astray', () => {
    process.want();
    process.machine.giveUp('s');
    expect(process.machine.busy).toBe(false);
    process.machine.takeMessages();
    process.machine.connected(process.now);
    expect(renewals()).toEqual([1]);
  });

  it('renews every renewMs where it has something, and nowhere else', () => {
    process.time = 5_000;
    process.hold();
    process.machine.tick(process.now);
    expect(renewals()).toEqual([1]);
    process.time += 1_999;
    process.machine.tick(process.now);
    expect(renewals()).toEqual([]);
    process.time += 1;
    process.machine.tick(process.now);
    expect(renewals()).toEqual([2]);
  });

  it('asks partition 0 until the store has answered once, so that a missing store is noticed', () => {
    const machine = new HolderMachine(testRules);
    expect(machine.busy).toBe(true);
    machine.tick({ mono: 2_000, wall: 0 });
    machine.connected({ mono: 2_000, wall: 0 });
    expect(renewals([...machine.takeMessages().get(0)!])).toEqual([1, 2]);
    machine.receive({ version: 1, partition: 0, epoch: 1, messages: [renewed()] }, { mono: 2_001, wall: 0 });
    expect(machine.busy).toBe(false);
    machine.tick({ mono: 9_000, wall: 0 });
    expect(machine.takeMessages().size).toBe(0);
  });
});

describe('forgetting', () => {
  it('a session is forgotten when nothing is held, asked or unanswered', () => {
    const sizes = () => process.machine.snapshot();
    const grant = process.hold();
    expect(sizes()).toEqual({ sessions: 1, unanswered: 0 });
    process.commit(grant, { cart: '1' });
    expect(sizes()).toEqual({ sessions: 1, unanswered: 1 });
    process.hear(committed([1, 1], 1));
    process.release(grant);
    expect(sizes()).toEqual({ sessions: 1, unanswered: 1 });
    process.hear(released([1, 1]));
    expect(sizes()).toEqual({ sessions: 0, unanswered: 0 });
    expect(process.machine.busy).toBe(false);
    process.time = 60_000;
    process.machine.tick(process.now);
    expect(process.messages, 'no partition is renewed for nothing').toEqual([]);
  });

  it('a partition is renewed until its last session is forgotten', () => {
    process.want(10_000, 's');
    process.want(10_000, 't');
    process.machine.giveUp('s');
    expect(process.machine.busy).toBe(true);
    process.machine.giveUp('t');
    expect(process.machine.busy).toBe(false);
    expect(process.want(10_000, 't')).toEqual(['acquire t #3']);
    expect(process.machine.busy).toBe(true);
  });
});
