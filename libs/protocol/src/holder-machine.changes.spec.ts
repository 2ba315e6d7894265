/** The holder's machine: changes on their way, their answers and their refusals. */
import { beforeEach, describe, expect, it } from 'vitest';
import { AppServer, committed, granted, recall, refusedChange, released } from './app-server.harness.js';
import { changes } from './words.harness.js';

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

  it('rule 6: what is unanswered is repeated as it was, in order, before the next request', () => {
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

  it('rule 6: an ended grant says what was applied; the rest is lost', () => {
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

  it.each(['outcome-unknown', 'too-large', 'wrong-partition', 'unsupported'] as const)(
    'rule 11: %s ends the grant, with every later change',
    (why) => {
      const grant = app.hold();
      for (const cart of ['1', '2', '3']) app.commit(grant, { cart });
      expect(app.hear(refusedChange(why, [1, 1], 1))).toEqual([`lost s 1.1 ${why}`]);
      expect(app.hear(refusedChange('gap', [1, 1], 2, 0), refusedChange('gap', [1, 1], 3, 0))).toEqual([]);
      expect(app.wait(1_000)).toEqual([]);
      expect(app.machine.snapshot()).toEqual({ sessions: 0, unanswered: 0 });
    },
  );

  it('rule 11: what the store still holds to be granted is given back when it asks', () => {
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    app.hear(refusedChange('too-large', [1, 1], 1, 0));
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
    app.hearOf(2, recall([1, 1]));
    expect(app.says).toEqual(['release s 1.1 seq 0']);
  });

  it('the refusal of a change that is acknowledged by now says nothing', () => {
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
