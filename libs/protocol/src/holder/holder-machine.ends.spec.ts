/** The holder's machine: messages that cannot be sent, locks that end, and how the holder leaves. */
import { beforeEach, describe, expect, it } from 'vitest';
import {
  AppServer,
  committed,
  granted,
  recall,
  refusedChange,
  released,
  renewed,
} from '../testing/app-server.js';
import { changes } from '../testing/message-text.js';
import { testParameters } from '../testing/pair.js';
import type { HolderMessage } from '../wire/messages.js';
import type { Token } from '../wire/order.js';
import type { HeldGrant } from './outputs.js';

let app: AppServer;
beforeEach(() => {
  app = new AppServer();
});

const revoked = (token: Token) => ({ kind: 'revoked', session: 's', token, why: 'lease-over' }) as const;

/** Asks again, and is granted the lock under this token. */
function holdNext(request: number, token: Token): HeldGrant {
  app.want();
  app.hear(granted(request, token));
  const [event] = app.events;
  if (event?.kind !== 'granted') throw new Error('not granted');
  return event.grant;
}

describe('a message that cannot be sent', () => {
  const fail = (message: HolderMessage | undefined) => {
    app.machine.unsendable(message!, 0, 'too long', app.now);
    return app.hear();
  };
  const change = (kind: 'commit' | 'release', token: Token, seq: number) =>
    ({ kind, session: 's', token, seq, ...changes() }) as const;

  it('ends its request', () => {
    app.machine.want('s', 10_000, changes().set, app.now);
    expect(fail(app.messages.find(({ kind }) => kind === 'acquire'))).toEqual(['refused s unsupported']);
    expect(app.wait(testParameters.repeatMs)).toEqual([]);
  });

  it('ends the grant of its change, and the lock goes back', () => {
    const grant = app.hold();
    for (const cart of ['1', '2']) app.commit(grant, { cart });
    expect(fail(change('commit', [1, 1], 1)), 'nothing before it is in flight').toEqual([
      'lost s 1.1 unsupported',
    ]);
    expect(app.says).toEqual(['release s 1.1 seq 0']);
    expect(app.wait(testParameters.repeatMs)).toEqual([]);
  });

  it('leaves the outcome of earlier changes unknown', () => {
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    app.release(grant, { cart: '2' });
    expect(fail(change('release', [1, 1], 2))).toEqual(['lost s 1.1 outcome-unknown']);
    expect(app.says).toEqual(['release s 1.1 seq 0']);
  });

  it('says nothing about the changes of an earlier grant', () => {
    app.release(app.hold());
    const grant = holdNext(2, [1, 2]);
    app.commit(grant, { cart: '1' });
    app.hear(committed([1, 2], 1));
    app.commit(grant, { cart: '2' });
    expect(fail(change('commit', [1, 2], 2))).toEqual(['lost s 1.2 unsupported']);
  });

  it('rule 12: is not repeated any more, when it has no answer of its own', () => {
    app.leased = false;
    app.hear(recall([1, 7]));
    app.machine.want('s', 10_000, undefined, app.now);
    app.machine.giveUp('s');
    const said = app.messages.filter(({ kind }) => kind === 'release' || kind === 'cancel');
    const loose = [...new Set(said)];
    expect(loose.map(({ kind }) => kind)).toEqual(['release', 'cancel']);
    expect(app.wait(testParameters.renewMs)).toEqual(['release s 1.7 seq 0', 'cancel s #1']);
    expect(fail(loose[0])).toEqual([]);
    expect(app.wait(testParameters.renewMs)).toEqual(['cancel s #1']);
    expect(fail(loose[1])).toEqual([]);
    expect(app.wait(testParameters.renewMs)).toEqual([]);
  });

  it('rule 6: is replaced by one behind a gap, also when its session is gone meanwhile', () => {
    const instead = app.machine.tooLarge(change('commit', [1, 1], 4));
    app.machine.sendInstead(0, instead);
    expect(app.says).toEqual(['commit s 1.1 seq 6']);
  });
});

describe('a lock is lost', () => {
  const lostOf = () =>
    app.events.flatMap((event) => (event.kind === 'lost' ? [[event.why, event.madeAreLost]] : []));

  it('rule 20: with write-back, what was sent and not answered is lost with it', () => {
    app = new AppServer({ writeBackMs: 1_000 });
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    app.machine.flush(grant, app.now);
    app.hear(refusedChange('unsupported', [1, 1], 1));
    expect(lostOf()).toEqual([['unsupported', true]]);
  });

  it('rule 20: without write-back nobody has built on what is lost', () => {
    app.commit(app.hold(), { cart: '1' });
    app.hear(refusedChange('unsupported', [1, 1], 1));
    expect(lostOf()).toEqual([['unsupported', false]]);
  });

  it('rule 20: with write-back, its buffered changes are not sent any more', () => {
    app = new AppServer({ writeBackMs: 1_000 });
    app.commit(app.hold(), { cart: '1' });
    app.hear(revoked([1, 1]));
    expect(app.machine.unsentSessions().size).toBe(0);
    expect(app.says).toEqual(['release s 1.1 seq 0']);
    expect(app.wait(1_000)).toEqual([]);
  });

  it('rule 6: the release of an earlier grant is in flight, and stays so', () => {
    app = new AppServer({ writeBackMs: 1_000 });
    app.release(app.hold(), { cart: '1' });
    holdNext(2, [1, 2]);
    app.hear(revoked([1, 2]));
    expect(lostOf()).toEqual([['ended', false]]);
    expect(app.says).toEqual(['release s 1.2 seq 0']);
    expect(app.wait(testParameters.repeatMs)).toEqual(['release s 1.1 seq 1 {cart=1}']);
  });

  it('rule 12: the copy of a later grant is still named', () => {
    app.release(app.hold(), { cart: '1' });
    app.release(holdNext(2, [1, 2]), { cart: '2' });
    app.want();
    expect(app.hear(refusedChange('outcome-unknown', [1, 1], 1))).toEqual(['lost s 1.1 outcome-unknown']);
    expect(app.wait(testParameters.repeatMs)).toContain('acquire s #3 knows 1.2.1');
  });

  it('rule 11: no copy is named any more, also not that of an earlier grant', () => {
    app.release(app.hold(), { cart: '1' });
    holdNext(2, [1, 2]);
    app.hear(revoked([1, 2]));
    void app.says;
    expect(app.want()).toContain('acquire s #3');
  });

  it('rule 11: one that was given back meanwhile is not given back twice', () => {
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    app.hear(revoked([1, 1]));
    app.release(grant);
    expect(app.hear(committed([1, 1], 2))).toEqual(['acknowledged s 1.1 through 2']);
    expect(app.says).toEqual([]);
  });

  it('rule 11: its changes are not sent again when their refusal says nothing of what was applied', () => {
    app.commit(app.hold(), { cart: '1' });
    app.hear(revoked([1, 1]));
    app.time += testParameters.repeatMs / 2;
    expect(app.hear(refusedChange('unsupported', [1, 1], 1))).toEqual(['lost s 1.1 unsupported']);
    expect(app.says).toEqual([]);
  });

  it('rule 9: the partition is renewed for the next request, after the answer that ended a revoked lock', () => {
    app.commit(app.hold(), { cart: '1' });
    app.hear(revoked([1, 1]));
    expect(app.hear(committed([1, 1], 1))).toEqual(['acknowledged s 1.1 through 1', 'lost s 1.1 ended']);
    void app.messages;
    app.want();
    app.time += testParameters.renewMs;
    app.machine.tick(app.now);
    expect(app.messages.map(({ kind }) => kind)).toContain('renew');
  });
});

describe('answers', () => {
  it('rule 6: of a grant say nothing about the release of an earlier one', () => {
    app.release(app.hold());
    app.commit(holdNext(2, [1, 2]), { cart: '1' });
    expect(app.hear(released([1, 2])), 'to an empty release').toEqual([]);
  });

  it('rule 6: a late refusal of an acknowledged change says nothing about later ones', () => {
    const grant = app.hold();
    for (const cart of ['1', '2']) app.commit(grant, { cart });
    app.hear(committed([1, 1], 1));
    app.time += testParameters.repeatMs / 2;
    expect(app.hear(refusedChange('gap', [1, 1], 1, 0))).toEqual([]);
    expect(app.says).toEqual([]);
  });

  it('race 7: a store that has forgotten acknowledged changes ends the grant, also when the next is too large', () => {
    const grant = app.hold();
    for (const cart of ['1', '2']) app.commit(grant, { cart });
    app.hear(committed([1, 1], 1));
    app.machine.tooLarge({ kind: 'commit', session: 's', token: [1, 1], seq: 2, ...changes() });
    expect(app.hearOf(2, refusedChange('gap', [1, 1], 4, 0))).toEqual(['lost s 1.1 outcome-unknown']);
    expect(app.says).toContain('release s 1.1 seq 0');
  });

  it('rule 6: to what stands in the place of a change that is too large repeat nothing', () => {
    const grant = app.hold();
    for (const cart of ['1', '2']) app.commit(grant, { cart });
    app.machine.tooLarge({ kind: 'commit', session: 's', token: [1, 1], seq: 2, ...changes() });
    app.time += testParameters.repeatMs / 2;
    expect(app.hear(refusedChange('gap', [1, 1], 4, 0))).toEqual([]);
    expect(app.says).toEqual([]);
  });

  it('rule 8: a question whose grant the store has forgotten leaves the outcome unknown', () => {
    app.machine.confirmHeld(app.hold(), app.now);
    expect(app.hear(refusedChange('outcome-unknown', [1, 1], 1))).toEqual(['lost s 1.1 outcome-unknown']);
  });

  it('rule 12: a grant under another token than that of the held lock is given back', () => {
    app.hold();
    expect(app.hear(granted(1, [1, 2]))).toEqual([]);
    expect(app.says).toEqual(['release s 1.2 seq 0']);
  });

  it('about a session of another partition are ignored', () => {
    app = new AppServer({ partitions: 2 });
    const elsewhere = ['a', 'b', 'c', 'd'].filter((id) => {
      app.machine.want(id, 10_000, undefined, app.now);
      return app.machine.takeMessages().has(1);
    });
    expect(elsewhere.length).toBeGreaterThan(0);
    app.hear({ ...recall([1, 1]), session: elsewhere[0]! });
    expect(app.says).toEqual([]);
  });
});

describe('a grant that the store must confirm', () => {
  beforeEach(() => {
    app.leased = false;
    app.want();
    app.time += testParameters.leaseMs;
  });
  const answer = () => {
    const renewal = app.messages.findLast(({ kind }) => kind === 'renew');
    if (renewal?.kind !== 'renew') throw new Error('not renewed');
    const valid = [['s', [1, 1]]] as const;
    return app.hear({ ...renewed(), n: renewal.n, valid });
  };

  it('rule 8: is asked about at once', () => {
    void app.messages;
    expect(app.hear(granted(1, [1, 1]))).toEqual([]);
    expect(app.messages).toMatchObject([{ kind: 'renew', reclaim: [['s', [1, 1], 0]] }]);
  });

  it('rule 4: is recalled by its own token alone', () => {
    app.hear(granted(1, [1, 1]), recall([1, 9]));
    expect(answer()).toEqual(['granted s 1.1']);
    app.hear(recall([1, 1]));
    expect(app.events.map(({ kind }) => kind)).toEqual(['recalled']);
  });

  it('rule 4: is contended when it was recalled meanwhile', () => {
    app.hear(granted(1, [1, 1]), recall([1, 1]));
    expect(answer()).toEqual(['granted s 1.1 contended']);
  });

  it('rule 2: is not accepted any more when its request was refused meanwhile', () => {
    app.hear(granted(1, [1, 1]));
    app.hear({ kind: 'refused', session: 's', request: 1, why: 'too-many-waiters', detail: '' });
    expect(answer()).toEqual([]);
    expect(app.machine.memory().locks).toBe(0);
  });

  it('rule 11: is not accepted any more when it was revoked meanwhile', () => {
    app.hear(granted(1, [1, 1]));
    const renewal = app.messages.findLast(({ kind }) => kind === 'renew')!;
    app.hear(revoked([1, 1]));
    expect(app.machine.memory().leases[0]).toMatchObject({ locks: 0 });
    expect(app.hear({ ...renewed(), n: 'n' in renewal ? renewal.n : 0, valid: [['s', [1, 1]]] })).toEqual([]);
    expect(app.machine.memory().locks).toBe(0);
  });
});

it('rule 9: the user of a lock in doubt learns that the store has confirmed it', () => {
  app.hold();
  app.machine.connected(app.now);
  void app.messages;
  expect(app.machine.takeEvents().map(({ kind }) => kind)).toEqual(['trusted']);
});

it('rule 8: another grant than the held one is not trusted, also while the lease runs', () => {
  const grant = app.hold();
  expect(app.machine.isTrusted(grant, app.now)).toBe(true);
  expect(app.machine.isTrusted({ ...grant }, app.now)).toBe(false);
  expect(app.machine.isTrusted({ ...grant, session: 'unknown' }, app.now)).toBe(false);
});

it('rule 2: a scope that waits no longer than the others is not told to the store', () => {
  app.want(1_500);
  expect(app.want(1_500)).toEqual([]);
});

it('rule 23: a lock of turns is over when no scope uses it, unless several results wait', () => {
  const grant = app.hold({ untilIdle: true });
  expect([0, 1, 2].map((waiting) => app.machine.isTurnOver(grant, waiting))).toEqual([true, true, false]);
  expect(app.machine.isTurnOver({ ...grant, untilIdle: false }, 0)).toBe(false);
});

it('rule 3: what is buffered is sent before the holder leaves', () => {
  const grant = app.hold();
  app.machine.commit(grant, changes({ cart: '1' }), app.now);
  app.machine.leave(app.now);
  expect(app.says).toEqual(['commit s 1.1 seq 1 {cart=1}', 'leave']);
});

it('rule 20: a release brings the buffered changes and its own', () => {
  app = new AppServer({ writeBackMs: 1_000 });
  const grant = app.hold();
  app.commit(grant, { cart: '1' });
  expect(app.release(grant, { user: 'u' })).toEqual(['release s 1.1 seq 1 {cart=1 user=u}']);
});

it('a change of this turn is sent once, also when the connection is new', () => {
  const grant = app.hold();
  app.machine.commit(grant, changes({ cart: '1' }), app.now);
  app.machine.connected(app.now);
  expect(app.says).toEqual(['commit s 1.1 seq 1 {cart=1}']);
});

it('the machine wants a tick twice in its shortest time', () => {
  expect(app.machine.tickMs).toBe(testParameters.repeatMs / 2);
  expect(new AppServer({ writeBackMs: 300 }).machine.tickMs).toBe(150);
  expect(new AppServer({ writeBackMs: 3_000 }).machine.tickMs).toBe(testParameters.repeatMs / 2);
});

it('an answer is awaited from the start, since the store does not know the queue yet', () => {
  expect(app.machine.awaitsAnswer).toBe(true);
});
