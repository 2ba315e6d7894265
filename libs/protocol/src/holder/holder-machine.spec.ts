/**
 * The holder's machine: its requests, repeats and grants, and its memory. It is one file, since it follows
 * one machine from the first request to the last release.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import {
  AppServer,
  committed,
  granted,
  recall,
  refusedChange,
  released,
  renewed,
  told,
} from '../testing/app-server.js';
import { HolderMachine } from './holder-machine.js';
import { limits } from '../wire/limits.js';
import { testParameters } from '../testing/pair.js';
import { asText, asTexts, changes } from '../testing/message-text.js';
import { partitionOf } from '../wire/session-id.js';

let app: AppServer;
beforeEach(() => {
  app = new AppServer();
});

describe('asking', () => {
  it('rule 2: any number of waiting scopes make one request for a session', () => {
    expect(app.want()).toEqual(['acquire s #1']);
    expect(app.want()).toEqual([]);
  });

  it('a request is repeated every repeatMs with the same number until it is answered', () => {
    app.want();
    expect(app.wait(999)).toEqual([]);
    expect(app.wait(1)).toEqual(['acquire s #1']);
    expect(app.wait(999)).toEqual([]);
    expect(app.wait(1)).toEqual(['acquire s #1']);
    app.hear(granted(1, [1, 1]));
    expect(app.wait(5_000)).toEqual([]);
    expect(app.machine.counters.repeats).toBe(2);
  });

  it('a request is not repeated after its deadline', () => {
    app.want(1_500);
    expect(app.wait(1_000)).toEqual(['acquire s #1']);
    expect(app.wait(1_000)).toEqual([]);
  });

  it('rule 2: a later deadline reaches the store in time (race 14)', () => {
    const waitMs = () => app.messages.flatMap((message) => ('waitMs' in message ? [message.waitMs] : []));
    app.machine.want('s', 1_500, undefined, app.now);
    expect(waitMs()).toEqual([1_500]);
    app.machine.want('s', 9_000, undefined, app.now);
    expect(waitMs(), 'at once: the next repeat might come too late').toEqual([9_000]);
    app.machine.want('s', 9_500, undefined, app.now);
    app.machine.want('s', 3_000, undefined, app.now);
    expect(waitMs(), 'time enough').toEqual([]);
    app.time = 1_000;
    app.machine.tick(app.now);
    expect(waitMs().at(-1), 'the latest of all').toBe(8_500);
  });

  it('rule 2: no wait is announced that is longer than the protocol allows', () => {
    app.machine.want('s', Infinity, undefined, app.now);
    expect(app.messages.at(-1)).toMatchObject({ waitMs: limits.waitMs });
    app.machine.want('t', 2 * limits.waitMs, undefined, app.now);
    expect(app.messages.at(-1)).toMatchObject({ waitMs: limits.waitMs });
  });

  it('giving up cancels the request; the next one has another number', () => {
    app.want();
    app.machine.giveUp('s');
    expect(app.says).toEqual(['cancel s #1']);
    expect(app.want()).toEqual(['acquire s #2']);
  });

  it('rule 12: messages without an answer of their own are repeated with each renewal until one is answered', () => {
    app.want();
    app.machine.giveUp('s');
    app.hear(recall([1, 1]));
    const loose = ['cancel s #1', 'release s 1.1 seq 0'];
    app.leased = false;
    expect(app.messages.map(asText)).toEqual([loose[0], 'renew 2', loose[1], 'renew 3']);
    expect(app.wait(2_000)).toEqual(loose);
    app.hear({ ...renewed(), n: 2 });
    expect(app.wait(2_000), 'sent before renewal 2, which is answered').toEqual(loose.slice(1));
    expect(app.machine.busy).toBe(true);
    app.hear({ ...renewed(), n: 4 });
    expect(app.wait(2_000)).toEqual([]);
    expect(app.machine.busy).toBe(false);
  });

  it('giving up a session without a request, or a held one, does nothing', () => {
    app.machine.giveUp('s');
    app.hold();
    app.machine.giveUp('s');
    expect(app.says).toEqual([]);
    expect(app.machine.snapshot().sessions).toBe(1);
  });

  it('a request for a held session does nothing', () => {
    app.hold();
    expect(app.want()).toEqual([]);
  });

  it('a refused request is over', () => {
    app.want();
    const refused = { kind: 'refused', session: 's', request: 1, why: 'too-many-waiters' } as const;
    expect(app.hear(refused)).toEqual(['refused s too-many-waiters']);
    expect(app.hear(refused)).toEqual([]);
    expect(app.machine.snapshot().sessions).toBe(0);
  });

  it('the refusal of an earlier request does not end this one', () => {
    app.want();
    app.machine.giveUp('s');
    app.want();
    expect(app.hear({ kind: 'refused', session: 's', request: 1, why: 'unknown-session' })).toEqual([]);
    expect(app.wait(1_000)).toEqual(['acquire s #2']);
  });
});

describe('being granted', () => {
  it('has the state in the grant', () => {
    const grant = app.hold({ set: changes({ cart: '1', user: 'u' }).set });
    expect(asTexts([...grant.attributes].map(([name, { bytes }]) => [name, bytes]))).toEqual({
      cart: '1',
      user: 'u',
    });
    expect(grant).toMatchObject({ token: [1, 1], seq: 0, acknowledged: 0, recalled: false });
  });

  it('rule 16: the first attributes of a new session are seq 1, and durable', () => {
    expect(app.hold({ seq: 1 })).toMatchObject({ seq: 1, acknowledged: 1 });
  });

  it('rule 4: a contended grant is recalled from the start', () => {
    app.want();
    expect(app.hear({ ...granted(1, [1, 1]), contended: true })).toEqual(['granted s 1.1 contended']);
    expect(app.hear(recall([1, 1]))).toEqual([]);
  });

  it('a grant that comes twice is one grant', () => {
    app.hold();
    expect(app.hear(granted(1, [1, 1]))).toEqual([]);
    expect(app.says).toEqual([]);
  });

  it('rule 4: a repeated grant that is contended now is a recall', () => {
    app.hold();
    expect(app.hear({ ...granted(1, [1, 1]), contended: true })).toEqual(['recalled s 1.1']);
  });

  it.each([
    ['nobody wants the session', () => {}],
    ['the request was given up', () => (app.want(), app.machine.giveUp('s'))],
    ['another request is outstanding', () => (app.want(), app.machine.giveUp('s'), app.want())],
  ])('rule 12: is given back by an empty release when %s', (_when, before) => {
    before();
    app.machine.takeMessages();
    expect(app.hear(granted(1, [1, 1]))).toEqual([]);
    expect(app.says).toEqual(['release s 1.1 seq 0']);
    expect(app.machine.counters.returns).toBe(1);
  });

  it('rule 12: a grant of a token returned before is given back (race 5)', () => {
    app.want();
    expect(app.hear(recall([1, 1])), 'of a grant that was lost').toEqual([]);
    expect(app.says).toEqual(['release s 1.1 seq 0']);
    expect(app.hear(granted(1, [1, 1])), 'said again before that release was handled').toEqual([]);
    expect(app.says).toEqual(['release s 1.1 seq 0']);
    expect(app.hear(granted(1, [1, 2]))).toEqual(['granted s 1.2']);
  });

  it('rule 12: the highest token returned counts', () => {
    app.want();
    app.hear(recall([1, 5]), recall([1, 3]));
    expect(app.hear(granted(1, [1, 4]))).toEqual([]);
    expect(app.hear(granted(1, [1, 6]))).toEqual(['granted s 1.6']);
  });
});

describe('known copies', () => {
  const wanting = () => {
    const grant = app.hold({ set: changes({ cart: '1', user: 'u' }).set });
    app.commit(grant, { cart: '2' });
    app.release(grant);
    return app.want();
  };

  it('a request names the version of the copy that the last grant left here', () => {
    expect(wanting()).toEqual(['acquire s #2 knows 1.1.1']);
  });

  it('a grant keeps the attributes of the copy that it names, and no others', () => {
    wanting();
    app.hear(granted(2, [1, 3], { other: 'x' }, ['cart']));
    const [event] = app.events;
    const attributes = event?.kind === 'granted' ? event.grant.attributes : new Map();
    expect(asTexts([...attributes].map(([name, { bytes }]) => [name, bytes]))).toEqual({
      cart: '2',
      other: 'x',
    });
    expect(
      [...attributes.values()].map(({ seq }) => seq),
      'older than the grant',
    ).toEqual([0, 0]);
  });

  it('a grant that keeps an attribute that is not here is given back', () => {
    wanting();
    expect(app.hear(granted(2, [1, 3], {}, ['cart', 'gone']))).toEqual([]);
    expect(app.says).toEqual(['release s 1.3 seq 0']);
  });

  it('rule 12: a grant that waits to be confirmed is not given back when it is repeated without its copy', () => {
    wanting();
    app.leased = false;
    app.wait(10_000);
    const again = granted(2, [1, 2], {}, ['cart']);
    expect(app.hear(again), 'no lease runs').toEqual([]);
    expect(app.hear(refusedChange('ended', [1, 1], 2, 1))).toContain('lost s 1.1 ended');
    app.messages.splice(0);
    expect(app.hear(again)).toEqual([]);
    expect(app.says).toEqual([]);
    app.leased = true;
    app.wait(testParameters.renewMs);
    expect(app.machine.takeEvents().map(told)).toEqual(['granted s 1.2']);
  });

  it('rule 11: the copy of a lost grant is not named any more', () => {
    wanting();
    app.hear(refusedChange('ended', [1, 1], 1, 0));
    expect(app.says, 'the store learns that it is out of use').toEqual(['release s 1.1 seq 0']);
    expect(app.wait(1_000)).toEqual(['acquire s #2']);
    expect(app.hear(granted(2, [1, 3], {}, ['cart']))).toEqual([]);
  });

  it('a copy is kept only while something of the session is under way', () => {
    app.release(app.hold());
    app.hear(released([1, 1]));
    expect(app.machine.snapshot().sessions).toBe(0);
    expect(app.want()).toEqual(['acquire s #2']);
  });

  it('a commit that deletes counts for the version, one that changes nothing does not', () => {
    const grant = app.hold({ version: [1, 0, 7] });
    app.commit(grant, {});
    app.machine.release(grant, changes(), app.now);
    expect(app.want().at(-1)).toBe('acquire s #2 knows 1.0.7');
    app.hear(granted(2, [1, 2]));
    const [event] = app.events;
    if (event?.kind !== 'granted') throw new Error('not granted');
    app.commit(event.grant, {}, 'x');
    app.release(event.grant);
    expect(app.want()).toEqual(['acquire s #3 knows 1.2.1']);
  });
});

describe('recalls', () => {
  it('rule 4: lead to one event, however often they come', () => {
    app.hold();
    expect(app.hear(recall([1, 1]))).toEqual(['recalled s 1.1']);
    expect(app.hear(recall([1, 1]), renewed(['s', [1, 1]]))).toEqual([]);
    expect(app.machine.counters.recalls).toBe(1);
  });

  it('a store with another number of partitions leads to one event', () => {
    const other = { ...renewed(), partitions: 5 };
    expect(app.hear(other)).toEqual(['5 partitions']);
    expect(app.hear(other)).toEqual([]);
    expect(app.hear(renewed())).toEqual([`${testParameters.partitions} partitions`]);
  });

  it('rule 4: come with renewals too', () => {
    app.hold();
    expect(app.hear(renewed(['s', [1, 1]]))).toEqual(['recalled s 1.1']);
  });

  it('rule 12: of a token that is unknown here are answered by an empty release', () => {
    app.hold();
    expect(app.hear(recall([1, 0]))).toEqual([]);
    expect(app.says).toEqual(['release s 1.0 seq 0']);
    expect(app.hear({ ...recall([1, 9]), session: 'never heard of' })).toEqual([]);
    expect(app.says).toEqual(['release never heard of 1.9 seq 0']);
  });

  it('rule 12: of a token whose real release is on its way are not answered', () => {
    app.release(app.hold(), { cart: '1' });
    app.hear(recall([1, 1]), renewed(['s', [1, 1]]));
    expect(app.says).toEqual([]);
  });
});

describe('epochs', () => {
  it('rule 13: frames of a lower epoch are dropped', () => {
    app.want();
    app.hearOf(3, renewed());
    expect(app.hearOf(2, granted(1, [2, 1]))).toEqual([]);
    expect(app.says, 'not even given back').toEqual([]);
    expect(app.machine.counters.staleFrames).toBe(1);
    expect(app.hearOf(3, granted(1, [2, 1]))).toEqual(['granted s 2.1']);
  });

  it('rule 13: epochs are counted for each partition', () => {
    const two = new AppServer({ partitions: 2 });
    two.leased = false;
    const [zero, one] = [0, 1].map((wanted) =>
      ['s1', 's2', 's3', 's4', 's5'].find((id) => partitionOf(id, 2) === wanted)!,
    );
    two.want(1_000, zero);
    two.want(1_000, one);
    const grantOf = (partition: number, epoch: number, request: number, session: string) => {
      const messages = [
        { ...renewed(), partitions: 2 },
        { ...granted(request, [epoch, 1]), session },
      ];
      two.machine.receive({ partition, epoch, messages }, two.now);
    };
    grantOf(1, 9, 2, one!);
    grantOf(0, 2, 1, zero!);
    expect(two.machine.takeEvents().map(told)).toEqual([`granted ${one} 9.1`, `granted ${zero} 2.1`]);
  });
});

describe('connections and renewals', () => {
  const renewals = (messages = app.messages) =>
    messages.flatMap((message) => (message.kind === 'renew' ? [message.n] : []));

  it('a new connection repeats all unanswered messages and renews, whatever their age', () => {
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    app.want(10_000, 't');
    app.machine.connected(app.now);
    expect(app.messages.map(asText)).toEqual(['renew 2', 'commit s 1.1 seq 1 {cart=1}', 'acquire t #2']);
  });

  it('each partition that was ever asked learns a new connection, so that a late grant finds its holder', () => {
    app.release(app.hold());
    app.hear(released([1, 1]));
    expect(app.machine.busy).toBe(false);
    app.leased = false;
    app.machine.connected(app.now);
    expect(renewals()).toEqual([2]);
    app.time = 2_000;
    app.machine.tick(app.now);
    expect(renewals(), 'until it answers').toEqual([3]);
    app.hear({ ...renewed(), n: 3 });
    expect(app.machine.busy).toBe(false);
  });

  it('renews every renewMs where it holds or waits, and nowhere else', () => {
    app.time = 5_000;
    app.hold();
    expect(app.machine.tick(app.now), 'it asked for the lease with the lock').toBeUndefined();
    expect(renewals()).toEqual([]);
    app.time += testParameters.renewMs - 1;
    app.machine.tick(app.now);
    expect(renewals()).toEqual([]);
    app.time += 1;
    app.machine.tick(app.now);
    expect(renewals()).toEqual([2]);
  });

  it('rule 8: renews three times in a lease, even when renewMs is longer', () => {
    app.hold();
    app.hear({ ...renewed(), leaseMs: 900 });
    app.time += 299;
    app.machine.tick(app.now);
    expect(renewals()).toEqual([]);
    app.time += 1;
    app.machine.tick(app.now);
    expect(renewals()).toEqual([2]);
  });

  it('asks partition 0 until the store has answered once, so that a missing store is noticed', () => {
    const machine = new HolderMachine(testParameters);
    expect(machine.busy).toBe(true);
    machine.tick({ mono: 2_000, wall: 0 });
    machine.connected({ mono: 2_000, wall: 0 });
    expect(renewals([...machine.takeMessages().get(0)!])).toEqual([1, 2]);
    machine.receive({ partition: 0, epoch: 1, messages: [renewed()] }, { mono: 2_001, wall: 0 });
    expect(machine.busy).toBe(false);
    machine.tick({ mono: 9_000, wall: 0 });
    expect(machine.takeMessages().size).toBe(0);
  });
});

describe('forgetting', () => {
  it('a session is forgotten when nothing is held, asked or unanswered', () => {
    const sizes = () => app.machine.snapshot();
    const grant = app.hold();
    expect(sizes()).toEqual({ sessions: 1, unanswered: 0 });
    app.commit(grant, { cart: '1' });
    expect(sizes()).toEqual({ sessions: 1, unanswered: 1 });
    app.hear(committed([1, 1], 1));
    app.release(grant);
    expect(sizes()).toEqual({ sessions: 1, unanswered: 1 });
    app.hear(released([1, 1]));
    expect(sizes()).toEqual({ sessions: 0, unanswered: 0 });
    expect(app.machine.busy).toBe(false);
    app.time = 60_000;
    app.machine.tick(app.now);
    expect(app.messages, 'no partition is renewed for nothing').toEqual([]);
  });

  it('a partition is renewed until its last session is forgotten', () => {
    app.want(10_000, 's');
    app.want(10_000, 't');
    const refused = { kind: 'refused', why: 'too-many-waiters' } as const;
    app.hear({ ...refused, session: 's', request: 1 });
    expect(app.machine.busy).toBe(true);
    app.hear({ ...refused, session: 't', request: 2 });
    expect(app.machine.busy).toBe(false);
    expect(app.want(10_000, 't')).toEqual(['acquire t #3']);
    expect(app.machine.busy).toBe(true);
  });
});

describe('one frame with several messages', () => {
  it('the effects of the first are complete before the second changes the same session', () => {
    const grant = app.hold();
    const frame = { partition: 0, epoch: 1 } as const;
    const revoked = { kind: 'revoked', session: 's', token: [1, 1], why: 'lease-over' } as const;
    const happened: string[] = [];
    app.machine.receive({ ...frame, messages: [recall([1, 1]), revoked] }, app.now, () => {
      for (const event of app.machine.takeEvents()) {
        happened.push(event.kind);
        if (event.kind === 'recalled') app.machine.release(grant, { set: new Map(), removed: [] }, app.now);
      }
    });
    expect(happened).toEqual(['recalled']);
    expect(app.says, 'its answer tells what was applied').toContain('release s 1.1 seq 1');
  });

  it('rule 11: a revoked lock waits for the answers to its changes', () => {
    const grant = app.hold();
    app.commit(grant, { cart: '1' });
    const revoked = { kind: 'revoked', session: 's', token: [1, 1], why: 'lease-over' } as const;
    app.time += testParameters.repeatMs;
    expect(app.hear(revoked)).toEqual([]);
    expect(app.says).toEqual(['commit s 1.1 seq 1 {cart=1}']);
    expect(app.hear(refusedChange('ended', [1, 1], 1, 1))).toEqual([
      'acknowledged s 1.1 through 1',
      'lost s 1.1 ended',
    ]);
  });
});
