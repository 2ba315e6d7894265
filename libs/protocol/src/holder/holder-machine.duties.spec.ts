/** The holder's machine: what it folds into one message, what it counts, and whether it waits. */
import { beforeEach, expect, it } from 'vitest';
import { AppServer, committed, granted, recall, released, renewed } from '../testing/app-server.js';
import { changes } from '../testing/message-text.js';
import type { HeldGrant } from './outputs.js';

const foldedBytes = 64 * 1024;

let app: AppServer;
beforeEach(() => {
  app = new AppServer();
});

const ofSize = (name: string, bytes: number) => ({
  set: new Map([[name, new Uint8Array(bytes)]]),
  removed: [],
});
const commits = (grant: HeldGrant, ...made: Parameters<typeof app.machine.commit>[1][]) => {
  for (const one of made) app.machine.commit(grant, one, app.now);
  return app.messages.filter(({ kind }) => kind === 'commit').length;
};

it('rule 6: the changes of a turn are one message, up to 64 KiB', () => {
  const grant = app.hold();
  const part = foldedBytes / 4;
  expect(commits(grant, ofSize('a', part), ofSize('b', part), ofSize('c', 2 * part))).toBe(1);
  expect(commits(grant, ofSize('a', part), ofSize('b', part), ofSize('c', 2 * part + 1))).toBe(2);
  expect(commits(grant, ofSize('a', foldedBytes + 1)), 'alone').toBe(1);
});

it('rule 6: and up to a thousand names', () => {
  const names = (from: number, count: number) => Array.from({ length: count }, (_, i) => `n${from + i}`);
  const sets = (from: number, count: number) =>
    changes(Object.fromEntries(names(from, count).map((name) => [name, ''])));
  const removes = (from: number, count: number) => changes({}, names(from, count));
  const grant = app.hold();
  expect(commits(grant, sets(0, 300), removes(300, 300), sets(600, 200), removes(800, 200))).toBe(1);
  expect(commits(grant, sets(0, 300), removes(300, 300), sets(600, 200), removes(800, 201))).toBe(2);
  expect(commits(grant, sets(0, 300), removes(300, 300), sets(600, 401))).toBe(2);
});

it('rule 20: with write-back all changes are one message, whatever their size', () => {
  app = new AppServer({ writeBackMs: 1_000 });
  const grant = app.hold();
  expect(commits(grant, ofSize('a', foldedBytes), ofSize('b', foldedBytes))).toBe(0);
  app.machine.flush(grant, app.now);
  expect(commits(grant)).toBe(1);
  app.machine.flush(grant, app.now);
  expect(commits(grant), 'nothing is left to flush').toBe(0);
});

it('rule 20: changes are sent when they were buffered for as long as they may be', () => {
  app = new AppServer({ writeBackMs: 300 });
  app.time = 500;
  const grant = app.hold();
  app.commit(grant, { cart: '1' });
  expect([app.wait(299), app.wait(1)]).toEqual([[], ['commit s 1.1 seq 1 {cart=1}']]);
});

it('rule 20: a result is lost with a lock only when its changes were not acknowledged', () => {
  const lostOf = (writeBackMs: number, play: (grant: HeldGrant) => void) => {
    app = new AppServer({ writeBackMs });
    play(app.hold());
    app.hear({ kind: 'revoked', session: 's', token: [1, 1], why: 'lease-over' });
    return app.events.flatMap((event) => (event.kind === 'lost' ? [event.madeAreLost] : []));
  };
  const buffered = (grant: HeldGrant) => void app.machine.commit(grant, changes({ cart: '1' }), app.now);
  expect(lostOf(1_000, buffered)).toEqual([true]);
  expect(lostOf(1_000, () => {})).toEqual([false]);
  expect(lostOf(0, () => {})).toEqual([false]);
});

it('rule 6: a destroy takes the place of changes that are not sent, and is repeated', () => {
  const grant = app.hold();
  app.machine.commit(grant, changes({ cart: '1' }), app.now);
  app.machine.destroy(grant, app.now);
  expect(app.says).toEqual(['destroy s 1.1 seq 1']);
  expect(app.machine.unacknowledged).toBe(1);
  expect(app.wait(1_000)).toEqual(['destroy s 1.1 seq 1']);
  expect(app.hear(released([1, 1]))).toEqual(['acknowledged s 1.1 through 1']);
  expect(app.machine.snapshot()).toEqual({ sessions: 0, unanswered: 0 });
});

it('rule 6: a change is repeated when it was in flight for long, and not because an earlier one was', () => {
  const grant = app.hold();
  app.commit(grant, { cart: '1' });
  app.hear(committed([1, 1], 1));
  app.time = 900;
  app.commit(grant, { cart: '2' });
  app.time = 1_000;
  app.commit(grant, { cart: '3' });
  expect(app.wait(100)).toEqual([]);
  expect(app.wait(800)).toEqual(['commit s 1.1 seq 2 {cart=2}', 'commit s 1.1 seq 3 {cart=3}']);
});

it('rule 6: changes, and not a release without any, count as not acknowledged', () => {
  const grant = app.hold();
  expect(app.machine.unacknowledged).toBe(0);
  app.machine.commit(grant, changes({}, ['cart']), app.now);
  expect(app.machine.unacknowledged, 'not sent').toBe(1);
  expect(app.says).toEqual(['commit s 1.1 seq 1 delete cart']);
  expect(app.machine.unacknowledged, 'sent').toBe(1);
  app.hear(committed([1, 1], 1));
  app.release(grant);
  expect(app.machine.unacknowledged).toBe(0);
});

it('an answer is awaited while a change leaves or is in flight', () => {
  app.hear(renewed());
  expect(app.machine.awaitsAnswer).toBe(false);
  const grant = app.hold();
  app.hear();
  expect(app.machine.awaitsAnswer).toBe(false);
  app.machine.commit(grant, changes({ cart: '1' }), app.now);
  expect(app.machine.awaitsAnswer, 'it leaves').toBe(true);
  expect(app.says).toEqual(['commit s 1.1 seq 1 {cart=1}']);
  expect(app.machine.awaitsAnswer, 'it is in flight').toBe(true);
  app.hear(committed([1, 1], 1));
  expect(app.machine.awaitsAnswer).toBe(false);
});

it('rule 8: a lock that is not trusted is asked about, once for a while', () => {
  const grant = app.hold();
  expect(app.machine.trusts(grant, app.now)).toBe(true);
  app.leased = false;
  app.machine.connected(app.now);
  expect(app.messages.map(({ kind }) => kind)).toEqual(['renew']);
  expect(app.machine.trusts(grant, app.now)).toBe(false);
  expect(app.messages).toEqual([]);
  app.time += 1_000;
  expect(app.machine.trusts(grant, app.now)).toBe(false);
  expect(app.messages).toMatchObject([{ kind: 'renew', reclaim: [['s', [1, 1], 0]] }]);
  expect(app.machine.trusts({ ...grant }, app.now), 'another grant').toBe(false);
});

it('rule 4: what is said of another token recalls and loses nothing here', () => {
  const grant = app.hold();
  expect(app.hear(recall([1, 9]))).toEqual([]);
  expect(app.hear({ kind: 'revoked', session: 's', token: [1, 9], why: 'lease-over' })).toEqual([]);
  expect(app.machine.trusts(grant, app.now)).toBe(true);
  expect(app.says).toEqual(['release s 1.9 seq 0', 'release s 1.9 seq 0']);
  expect(() => app.machine.release({ ...grant, token: [1, 9] }, changes(), app.now)).toThrow('is over');
});

it('each thing that the holder does is counted once', () => {
  const grant = app.hold();
  app.hear(recall([1, 1]), recall([1, 1]));
  app.commit(grant, { cart: '1' });
  app.wait(1_000);
  app.hear(committed([1, 1], 1));
  app.release(grant);
  app.hear(released([1, 1]), granted(9, [1, 7]));
  expect(app.machine.counters).toEqual({
    grants: 1,
    recalls: 1,
    commits: 1,
    releases: 1,
    returns: 1,
    repeats: 1,
    staleFrames: 0,
  });
});
