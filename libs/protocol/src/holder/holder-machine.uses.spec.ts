/** The holder's machine: which uses of its sessions it reports to the store, and when (rule 15). */
import { beforeEach, expect, it } from 'vitest';
import { AppServer, granted } from '../testing/app-server.js';
import { limits } from '../wire/limits.js';
import type { HeldGrant } from './outputs.js';

/** An eighth of the time to live that the store names. */
const touchMs = 3_600_000 / 8;

let app: AppServer;
beforeEach(() => {
  app = new AppServer();
});

/** The sessions that the renewals since the last call report, a list for each. */
const reported = () =>
  app.messages.flatMap((message) => {
    const touches = message.kind === 'renew' ? message.touches : undefined;
    return touches ? [touches.map(([session]) => session).join(' ')] : [];
  });
const reportedAt = (time: number) => {
  app.time = time;
  app.machine.tick(app.now);
  return reported();
};

/** Holds all of these sessions. */
function holdAll(...sessions: string[]): HeldGrant[] {
  return sessions.map((session, place) => {
    app.want(10_000, session);
    app.hear({ ...granted(place + 1, [1, place + 1]), session });
    const [event] = app.events;
    if (event?.kind !== 'granted') throw new Error('not granted');
    return event.grant;
  });
}

it('rule 15: the sessions that were used since the last report are in the next one, eight times in a lifetime', () => {
  const [first, second] = holdAll('a', 'b', 'c') as [HeldGrant, HeldGrant];
  first.used = second.used = true;
  expect(reportedAt(touchMs - 1)).toEqual([]);
  expect(reportedAt(touchMs)).toEqual(['a b']);
  first.used = true;
  expect(reportedAt(touchMs + 1), 'too early').toEqual([]);
  expect(reportedAt(2 * touchMs)).toEqual(['a']);
  expect(reportedAt(3 * touchMs), 'not used since').toEqual([]);
});

it('rule 15: a session counts as used for as long as a scope is inside', () => {
  const [grant] = holdAll('s') as [HeldGrant];
  Object.assign(grant, { used: true, inside: 1 });
  expect([reportedAt(touchMs), reportedAt(2 * touchMs)]).toEqual([['s'], ['s']]);
  grant.inside = 0;
  expect([reportedAt(3 * touchMs), reportedAt(4 * touchMs)]).toEqual([['s'], []]);
});

it('rule 15: as many uses as a renewal may list are one renewal', () => {
  const sessions = Array.from({ length: limits.listed }, (_, place) => `s${place}`);
  for (const grant of holdAll(...sessions)) grant.used = true;
  expect(reportedAt(touchMs)).toEqual([sessions.join(' ')]);
});

it('rule 15: before a release the store learns of a use, if the one that it knows is long ago', () => {
  const releasedAt = (time: number, used: boolean, play?: (grant: HeldGrant) => void) => {
    app = new AppServer();
    const [grant] = holdAll('s') as [HeldGrant];
    play?.(grant);
    app.time = time;
    grant.used = used;
    app.machine.release(grant, { set: new Map(), removed: [] }, app.now);
    return reported();
  };
  expect(releasedAt(touchMs, true)).toEqual(['s']);
  expect(releasedAt(touchMs - 1, true), 'not long ago').toEqual([]);
  expect(releasedAt(touchMs, false), 'not used').toEqual([]);
  const reportedBefore = (grant: HeldGrant) => {
    grant.used = true;
    expect(reportedAt(touchMs)).toEqual(['s']);
  };
  expect(releasedAt(touchMs + 1, true, reportedBefore), 'reported just now').toEqual([]);
  const changedBefore = (grant: HeldGrant) => {
    app.time = touchMs - 1;
    app.commit(grant, { cart: '1' });
  };
  expect(releasedAt(touchMs, true, changedBefore), 'a change is a use').toEqual([]);
});

it('rule 15: before it leaves, the holder reports the uses that the store does not know', () => {
  const [used, changed] = holdAll('used', 'changed', 'unused') as [HeldGrant, HeldGrant];
  app.time = touchMs;
  app.commit(changed, { cart: '1' });
  used.used = changed.used = true;
  app.machine.leave(app.now);
  const said = app.messages.slice(-2);
  expect(said).toMatchObject([{ kind: 'renew', touches: [['used', 0]] }, { kind: 'leave' }]);
});
