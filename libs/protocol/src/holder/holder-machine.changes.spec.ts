/** The holder's machine: changes in flight, their answers and their refusals. */
import { beforeEach, describe, expect, it } from 'vitest';
import { AppServer, committed, granted, recall, refusedChange, released } from '../testing/app-server.js';
import type { HeldGrant } from './outputs.js';
import { asText, changes } from '../testing/message-text.js';

let app: AppServer;
beforeEach(() => {
  app = new AppServer();
});

describe('changing', () => {
  it('rule 6: seq counts from 1 within the grant, without gaps, the release too', () => {
    const grant = app.hold();
    expect(app.commit(grant, { cart: '1' }, 'user')).toEqual(['commit s 1.1 seq 1 {cart=1} delete user']);
    expect(app.commit(grant, { cart: '2' })).toEqual(['commit s 1.1 seq 2 {cart=2}']);
    expect(app.release(grant, { cart: '3' })).toEqual(['release s 1.1 seq 3 {cart=3}']);
  });

  it('rule 20: the changes of one turn are one commit, and its seq is theirs', () => {
    const grant = app.hold({ set: changes({ user: 'u' }).set });
    const { machine, now } = app;
    expect(machine.commit(grant, changes({ cart: '1' }), now)).toBe(1);
    expect(machine.commit(grant, changes({ cart: '2', seen: '1' }), now)).toBe(1);
    expect(machine.commit(grant, changes({}, ['user', 'seen']), now)).toBe(1);
    expect(machine.awaitsAnswer).toBe(true);
    expect(app.says).toEqual(['commit s 1.1 seq 1 {cart=2} delete user seen']);
    expect(app.commit(grant, { cart: '3' })).toEqual(['commit s 1.1 seq 2 {cart=3}']);
    expect([...grant.attributes].map(([name, { seq }]) => [name, seq])).toEqual([['cart', 2]]);
  });

  it('rule 20: changes of the turn in which the lock is given back are in the release', () => {
    const grant = app.hold();
    app.machine.commit(grant, changes({ cart: '1' }), app.now);
    app.hear(recall([1, 1]));
    expect(app.release(grant)).toEqual(['release s 1.1 seq 1 {cart=1}']);
    expect(app.hear(released([1, 1]))).toEqual(['acknowledged s 1.1 through 1']);
  });

  it('rule 6: a commit that was sent before is not changed any more, also when it is repeated', () => {
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    app.machine.connected(app.now);
    const lines = app.commit(grant, { cart: '2' });
    expect(lines).toEqual(['commit s 1.1 seq 1 {cart=1}', 'commit s 1.1 seq 2 {cart=2}']);
  });

  it('what the broker would take in two messages is not put into one', () => {
    const grant = app.hold();
    const large = 'x'.repeat(40_000);
    for (const name of ['a', 'b', 'c']) app.machine.commit(grant, changes({ [name]: large }), app.now);
    const seqs = app.messages.flatMap((message) => (message.kind === 'commit' ? [message.seq] : []));
    expect(seqs).toEqual([1, 2, 3]);
  });

  it('changes are in the copy at once, with the seq that made them', () => {
    const grant = app.hold({ set: changes({ cart: '0', user: 'u' }).set });
    app.commit(grant, { cart: '1' }, 'user');
    expect([...grant.attributes].map(([name, { seq }]) => [name, seq])).toEqual([['cart', 1]]);
    expect(grant).toMatchObject({ seq: 1, acknowledged: 0 });
  });

  it('rule 6: changes are acknowledged in order, many by one answer', () => {
    const grant = app.hold();
    for (const cart of ['1', '2', '3']) app.commit(grant, { cart });
    expect(app.hear(committed([1, 1], 2))).toEqual(['acknowledged s 1.1 through 2']);
    expect(app.hear(committed([1, 1], 1), committed([1, 1], 2))).toEqual([]);
    expect(app.hear(committed([1, 1], 3))).toEqual(['acknowledged s 1.1 through 3']);
  });

  it('released acknowledges everything sent under the grant', () => {
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    app.release(grant);
    expect(app.hear(released([1, 1]))).toEqual(['acknowledged s 1.1 through 2']);
    expect(app.machine.snapshot()).toEqual({ sessions: 0, unanswered: 0 });
  });

  it('released acknowledges nothing of a grant that was not released: it answers an empty release', () => {
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    expect(app.hear(released([1, 1]))).toEqual([]);
    expect(app.wait(1_000)).toEqual(['commit s 1.1 seq 1 {cart=1}']);
    expect(app.hear(refusedChange('ended', [1, 1], 1, 0))).toEqual(['lost s 1.1 ended']);
  });

  it('rule 6: unanswered changes are repeated unchanged, in order, before the next request', () => {
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    app.release(grant);
    app.want();
    const again = ['commit s 1.1 seq 1 {cart=1}', 'release s 1.1 seq 2', 'acquire s #2 knows 1.1.1'];
    expect(app.wait(1_000)).toEqual(again);
    app.hear(committed([1, 1], 1));
    expect(app.wait(1_000)).toEqual(again.slice(1));
    app.hear(released([1, 1]));
    expect(app.wait(1_000)).toEqual(again.slice(2));
  });

  it('rule 6: changes of the last grant may still be unanswered when the next one is here', () => {
    app.release(app.hold(), { cart: '1' });
    app.want();
    app.hear(granted(2, [1, 2], { cart: '1' }));
    const [event] = app.events;
    if (event?.kind !== 'granted') throw new Error('not granted');
    app.commit(event.grant, { cart: '2' });
    expect(app.wait(1_000)).toEqual(['release s 1.1 seq 1 {cart=1}', 'commit s 1.2 seq 1 {cart=2}']);
    expect(app.hear(committed([1, 2], 1))).toEqual(['acknowledged s 1.2 through 1']);
    expect(app.hear(refusedChange('outcome-unknown', [1, 1], 1)), 'of the old grant').toEqual([
      'lost s 1.1 outcome-unknown',
    ]);
    expect(app.says).toEqual(['release s 1.1 seq 0']);
    expect(app.commit(event.grant, { cart: '3' }), 'the new one is untouched').toEqual([
      'commit s 1.2 seq 2 {cart=3}',
    ]);
  });

  it('a grant that is over takes no changes', () => {
    const grant = app.hold();
    app.release(grant);
    expect(() => app.commit(grant, { cart: '1' })).toThrow('the grant of s is over');
    expect(() => app.release(grant)).toThrow('the grant of s is over');
  });
});

describe('refused changes', () => {
  it('rule 6: after a gap everything from there on is sent again, at most once in repeatMs / 4', () => {
    const grant = app.hold();
    for (const cart of ['1', '2', '3']) app.commit(grant, { cart });
    app.time = 250;
    app.hear(refusedChange('gap', [1, 1], 2, 0));
    expect(app.says).toEqual([
      'commit s 1.1 seq 1 {cart=1}',
      'commit s 1.1 seq 2 {cart=2}',
      'commit s 1.1 seq 3 {cart=3}',
    ]);
    app.hear(refusedChange('gap', [1, 1], 3, 0));
    expect(app.says, 'sent again already').toEqual([]);
    app.time = 500;
    expect(app.hear(refusedChange('gap', [1, 1], 3, 1))).toEqual(['acknowledged s 1.1 through 1']);
    expect(app.says).toEqual(['commit s 1.1 seq 2 {cart=2}', 'commit s 1.1 seq 3 {cart=3}']);
  });

  it('rule 6: the refusal of an ended grant names the last applied change, and later ones are lost', () => {
    const grant = app.hold();
    for (const cart of ['1', '2']) app.commit(grant, { cart });
    expect(app.hear(refusedChange('ended', [1, 1], 2, 1))).toEqual([
      'acknowledged s 1.1 through 1',
      'lost s 1.1 ended',
    ]);
    expect(grant.acknowledged).toBe(1);
    expect(app.says, 'the store learns that it is out of use').toEqual(['release s 1.1 seq 0']);
    expect(app.wait(1_000), 'nothing is repeated').toEqual([]);
    expect(() => app.commit(grant, {})).toThrow('is over');
  });

  it.each([
    ['outcome-unknown', ['release s 1.1 seq 0']],
    ['too-large', ['release s 1.1 seq 0']],
    ['wrong-partition', []],
    ['unsupported', []],
  ] as const)(
    'rule 11: %s ends the grant, with every later change; a lock that the store may still count is given back',
    (why, said) => {
      const grant = app.hold();
      for (const cart of ['1', '2', '3']) app.commit(grant, { cart });
      expect(app.hear(refusedChange(why, [1, 1], 1))).toEqual([`lost s 1.1 ${why}`]);
      expect(app.hear(refusedChange('gap', [1, 1], 2, 0), refusedChange('gap', [1, 1], 3, 0))).toEqual([]);
      expect(app.says).toEqual(said);
      expect(app.machine.snapshot()).toEqual({ sessions: 0, unanswered: 0 });
    },
  );

  it('rule 11: a release without changes that the store does not remember has lost nothing, if all before it is acknowledged', () => {
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    app.hear(committed([1, 1], 1));
    app.release(grant);
    expect(app.hear(refusedChange('outcome-unknown', [1, 1], 2))).toEqual(['acknowledged s 1.1 through 2']);
    expect(app.machine.snapshot()).toEqual({ sessions: 0, unanswered: 0 });
  });

  it.each([
    ['that brings changes', { user: 'u' }, 1],
    ['behind a change without an answer', {}, 0],
  ])('rule 11: a release %s and that the store does not remember is lost', (_what, set, through) => {
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    app.hear(committed([1, 1], through));
    app.release(grant, set);
    expect(app.hear(refusedChange('outcome-unknown', [1, 1], 2))).toEqual(['lost s 1.1 outcome-unknown']);
  });

  it('rule 12: a lock that ended as too-large is given back at once, and again when the store asks', () => {
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    app.hear(refusedChange('too-large', [1, 1], 1, 0));
    expect(app.says).toEqual(['release s 1.1 seq 0']);
    app.hear(recall([1, 1]));
    expect(app.says).toEqual(['release s 1.1 seq 0']);
  });

  it('race 7: a store that has forgotten acknowledged changes ends the grant: it would refuse the next for ever', () => {
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    app.commit(grant, { cart: '2' });
    app.hear(committed([1, 1], 2));
    app.release(grant, { cart: '3' });
    expect(app.hearOf(2, refusedChange('gap', [1, 1], 3, 1))).toEqual(['lost s 1.1 outcome-unknown']);
    expect(app.says).toContain('release s 1.1 seq 0');
    app.hearOf(2, recall([1, 1]));
    expect(app.says).toEqual(['release s 1.1 seq 0']);
  });

  it('the refusal of a change that is acknowledged by now is ignored', () => {
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    app.commit(grant, { cart: '2' });
    app.hear(committed([1, 1], 2));
    expect(app.hear(refusedChange('gap', [1, 1], 2, 0))).toEqual([]);
    expect(app.commit(grant, { cart: '3' })).toEqual(['commit s 1.1 seq 3 {cart=3}']);
  });

  it('a grant that the store took away is lost', () => {
    app.hold();
    expect(app.hear({ kind: 'revoked', session: 's', token: [1, 1], why: 'lease-over' })).toEqual([
      'lost s 1.1 ended',
    ]);
    expect(app.hear({ kind: 'revoked', session: 's', token: [1, 1], why: 'lease-over' })).toEqual([]);
  });
});

describe('a change that the broker does not let through', () => {
  const tooLarge = (seq: number) =>
    asText(app.machine.tooLarge({ kind: 'commit', session: 's', token: [1, 1], seq, ...changes() }));

  it('rule 6: is lost with all later ones when the answer to a gap shows that all earlier ones are applied', () => {
    const grant = app.hold();
    for (const cart of ['1', '2', '3']) app.commit(grant, { cart });
    expect(tooLarge(2), 'a seq that can never be the next one').toBe('commit s 1.1 seq 5');
    expect(app.hear(refusedChange('gap', [1, 1], 5, 0)), 'the first is under way').toEqual([]);
    expect(app.hear(committed([1, 1], 1))).toEqual(['acknowledged s 1.1 through 1']);
    expect(app.hear(refusedChange('gap', [1, 1], 5, 1))).toEqual(['lost s 1.1 too-large']);
    expect(app.says.at(-1), 'nobody waits for a lock that is of no use').toBe('release s 1.1 seq 0');
    expect(app.machine.snapshot()).toEqual({ sessions: 0, unanswered: 0 });
  });

  it('rule 6: is acknowledged when it had been applied by another way before', () => {
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    tooLarge(1);
    expect(app.hear(refusedChange('gap', [1, 1], 3, 1))).toEqual(['acknowledged s 1.1 through 1']);
    expect(app.commit(grant, { cart: '2' })).toEqual(['commit s 1.1 seq 2 {cart=2}']);
  });
});

describe('write-back', () => {
  const writeBackMs = 500;
  let grant: HeldGrant;
  beforeEach(() => {
    app = new AppServer({ writeBackMs });
    grant = app.hold();
  });

  it('rule 20: changes are buffered, and sent as one when their time is over', () => {
    expect(app.commit(grant, { cart: '1', user: 'ann' })).toEqual([]);
    expect(app.commit(grant, { cart: '2' })).toEqual([]);
    expect(app.wait(writeBackMs - 1)).toEqual([]);
    expect(app.wait(1)).toEqual(['commit s 1.1 seq 1 {cart=2 user=ann}']);
  });

  it('rule 20: an attribute that is removed after it was set stays removed', () => {
    app.commit(grant, { cart: '1' });
    app.commit(grant, {}, 'cart');
    expect(app.wait(writeBackMs)).toEqual(['commit s 1.1 seq 1 delete cart']);
  });

  it('rule 20: a recall sends buffered changes at once', () => {
    app.commit(grant, { cart: '1' });
    app.hear(recall([1, 1]));
    expect(app.says).toEqual(['commit s 1.1 seq 1 {cart=1}']);
  });
});
