/**
 * The decisions of the store alone, at their borders. What a decision is needed for is shown by the specs of
 * the machine and by the races.
 */
import { describe, expect, it } from 'vitest';
import { acquire, commit, release } from '../testing/store-alone.js';
import type { GrantRecord, SessionRecord } from './record.js';
import { storeRules } from './rules.js';
import { SessionState } from './session-state.js';

const now = 1_795_000_000_000;
const { judgeShownEpoch } = storeRules;
const day = 24 * 3_600_000;

it.each([
  ['none', 0, 'known'],
  ['one from before the last claim', now - 10, 'known'],
  ["the last owner's", now - 5, 'known'],
  ['one that came after it, and is not in the data', now - 4, 'lost'],
  ["the owner's own", now, 'known'],
  ['a higher one', now + 1, 'lost'],
  ['the highest that a clock may be ahead', now + day, 'lost'],
  ['one beyond that', now + day + 1, 'unbelievable'],
  ['the highest number of all', Number.MAX_SAFE_INTEGER, 'unbelievable'],
] as const)('rule 13: %s (%i) is %s', (_what, shown, verdict) => {
  expect(judgeShownEpoch(shown, { previous: now - 5, epoch: now }, now)).toBe(verdict);
});

it('rule 13: an epoch in the data is known, although the clock has gone back by a week since', () => {
  const claimed = { previous: now, epoch: now + 1 };
  expect([now, now + 1].map((shown) => judgeShownEpoch(shown, claimed, now - 7 * day))).toEqual([
    'known',
    'known',
  ]);
});

const yes = () => true;
const no = () => false;

const grantOf = (more: Partial<GrantRecord> = {}): GrantRecord => ({
  token: [1, 3],
  holder: 'a',
  request: 1,
  queue: 'a.1',
  seq: 5,
  revoked: false,
  ...more,
});

function sessionOf(more: Partial<SessionRecord> = {}): SessionState {
  const record: SessionRecord = {
    version: [1, 3, 5],
    grant: grantOf(),
    ended: [],
    touched: 0,
    expiryEntry: undefined,
    destroyed: undefined,
    attributes: new Map(),
  };
  return new SessionState('s', { ...record, ...more });
}

describe('the fence', () => {
  const { currentGrant } = storeRules;
  const session = sessionOf();

  it("rule 1: lets a change through under the holder's own token alone, which is not revoked", () => {
    expect(currentGrant(session, commit([1, 3], 6), 'a')).toBe(session.grant);
    expect(currentGrant(session, commit([1, 3], 6), 'b')).toBe(undefined);
    expect(currentGrant(session, commit([1, 2], 6), 'a')).toBe(undefined);
    expect(currentGrant(session, commit([2, 3], 6), 'a')).toBe(undefined);
    const revoked = sessionOf({ grant: grantOf({ revoked: true }) });
    expect(currentGrant(revoked, commit([1, 3], 6), 'a')).toBe(undefined);
    expect(currentGrant(sessionOf({ grant: undefined }), commit([1, 3], 6), 'a')).toBe(undefined);
  });
});

describe('waiters and requests', () => {
  it.each([
    [4, undefined, 'new'],
    [6, 5, 'new'],
    [5, 5, 'repeated'],
    [4, 5, 'old'],
  ] as const)('rule 2: request %i after %s is %s', (request, newest, age) => {
    expect(storeRules.ageOf(request, newest)).toBe(age);
  });

  it("rule 2: a waiter's time is over at its deadline", () => {
    expect([99, 100, 101].map((mono) => storeRules.isTimedOut(100, mono))).toEqual([false, true, true]);
  });
});

describe('changes', () => {
  it.each([
    [4, 'repeated'],
    [5, 'repeated'],
    [6, 'next'],
    [7, 'gap'],
  ] as const)('rule 6: change %i after 5 is %s', (seq, place) => {
    expect(storeRules.placeOf(seq, 5)).toBe(place);
  });

  it.each([
    ['commit', 5, { seq: 5 }, true],
    ['commit', 6, { seq: 5 }, false],
    ['commit', 1, undefined, false],
    ['release', 6, { seq: 5 }, false],
    ['release', 0, undefined, true],
    ['release', 1, undefined, false],
    ['destroy', 0, undefined, false],
  ] as const)('rule 6: %s %i under an ended grant, %j: it was applied: %s', (kind, seq, ended, applied) => {
    expect(storeRules.wasApplied({ kind, seq }, ended)).toBe(applied);
  });
});

describe('what a renewal is told', () => {
  it('rule 9: only of its own locks, and the revoked ones apart', () => {
    const { isListed } = storeRules;
    const [kept, revoked] = [grantOf(), grantOf({ revoked: true })];
    expect([isListed(kept, 'a', false), isListed(revoked, 'a', true)]).toEqual([true, true]);
    expect([isListed(kept, 'a', true), isListed(revoked, 'a', false)]).toEqual([false, false]);
    expect([isListed(kept, 'b', false), isListed(revoked, 'b', true)]).toEqual([false, false]);
  });

  it('rule 9: a reclaimed lock is valid for its holder, with its token, not revoked, with all that was acknowledged', () => {
    const reclaimed = (grant: GrantRecord | undefined, holder: string, n: number, acknowledged: number) =>
      storeRules.isReclaimed(grant, holder, ['s', [1, n], acknowledged]);
    expect([4, 5, 6].map((seq) => reclaimed(grantOf(), 'a', 3, seq))).toEqual([true, true, false]);
    expect(reclaimed(grantOf(), 'b', 3, 5)).toBe(false);
    expect(reclaimed(grantOf(), 'a', 2, 5)).toBe(false);
    expect(reclaimed(grantOf({ revoked: true }), 'a', 3, 5)).toBe(false);
    expect(reclaimed(undefined, 'a', 3, 5)).toBe(false);
  });
});

describe('revocation', () => {
  it.each([
    ['lease-over', yes, no],
    ['lease-over', yes, yes],
    ['recall-timeout', no, yes],
    [undefined, no, no],
  ])('rule 10: a lock is taken for %s', (reason, hasLapsed, isRecallOver) => {
    expect(storeRules.revocationReason(hasLapsed, isRecallOver)).toBe(reason);
  });

  it.each([
    ['one that has left', { left: true, unreachable: false }, 'wait-for-lease', no, true],
    ['one that is silent', { left: false, unreachable: false }, 'wait-for-lease', yes, true],
    ['one that is silent', { left: false, unreachable: false }, 'revoke', yes, true],
    ['one that is there', { left: false, unreachable: false }, 'revoke', no, false],
    ['one out of reach', { left: false, unreachable: true }, 'wait-for-lease', no, false],
    ['one out of reach', { left: false, unreachable: true }, 'revoke', no, true],
    ['one that is unknown', undefined, 'revoke', no, false],
    ['one that is unknown', undefined, 'wait-for-lease', yes, true],
  ] as const)(
    'rule 10: a holder has lapsed, %s, by the policy %3$s: %5$s',
    (_who, holder, policy, isOver, lapsed) => {
      expect(storeRules.hasLapsed(holder, policy, isOver)).toBe(lapsed);
    },
  );

  it('rule 10: a lease may be as long as an earlier owner granted it, until such a one is over', () => {
    const { leaseMsAfter } = storeRules;
    expect([0, 8_999, 9_000].map((since) => leaseMsAfter(since, 9_000, 5_000))).toEqual([
      9_000, 9_000, 5_000,
    ]);
  });

  it('rule 10: a deadline has passed by the clock when it has come, and by the queue when it was read so far', () => {
    expect([99, 100, 101].map((mono) => storeRules.hasPassedByClock(100, mono))).toEqual([false, true, true]);
    const at = { mono: 500, wall: 500 };
    expect([99, 100, 101].map((through) => storeRules.hasPassed(100, through, at))).toEqual([
      false,
      true,
      true,
    ]);
  });

  it.each([
    [0, 'quick'],
    [50, 'quick'],
    [51, 'slow'],
    [500, 'slow'],
    [501, 'late'],
  ] as const)('rule 10: an echo that takes %i ms is %s, with a lease of 1,000 ms', (tookMs, pace) => {
    expect(storeRules.paceOf(tookMs, 1_000)).toBe(pace);
  });

  it('rule 10: an echo is repeated after half a lease', () => {
    expect([499, 500, 501].map((ms) => storeRules.mustRepeatEcho(ms, 1_000))).toEqual([false, true, true]);
  });

  it('rule 10: holders are spared again after the time that was set', () => {
    expect([99, 100, 101].map((ms) => storeRules.mayBeBlocked(ms, 100))).toEqual([false, true, true]);
  });

  it('rule 10: a revoked grant is out of use when the lease of then is over, or the holder has lapsed', () => {
    expect([99, 100, 101].map((mono) => storeRules.isOutOfUse(100, mono, no))).toEqual([false, true, true]);
    expect([99, 100, 101].map((mono) => storeRules.isOutOfUse(100, mono, yes))).toEqual([true, true, true]);
  });
});

describe('a destroyed session', () => {
  it('rule 14: is one with a tombstone', () => {
    expect(storeRules.isDestroyed(sessionOf({ destroyed: 7 }))).toBe(true);
    expect(storeRules.isDestroyed(sessionOf())).toBe(false);
    expect(storeRules.isDestroyed(new SessionState('s', undefined))).toBe(false);
  });

  const empty = new Map<string, Uint8Array>();
  const values = new Map([['cart', new Uint8Array(1)]]);
  it.each([
    ['soon after', 'may make it', empty, 199, 'destroyed'],
    ['soon after', 'only looks', undefined, 199, 'destroyed'],
    ['later', 'may make it', empty, 200, undefined],
    ['later', 'only looks', undefined, 200, 'unknown-session'],
    ['later', 'brings values of before', values, 200, 'destroyed'],
  ] as const)(
    'rule 14: %s, a request that %s (%j, at %i) is refused as %s',
    (_when, _what, create, wall, why) => {
      const times = { tombstoneMs: 1_000, destroyedNoticeMs: 100 };
      expect(storeRules.refusalOfDestroyed(1_100, acquire(1, { create }), times, wall)).toBe(why);
    },
  );
});

describe('the copy of a holder', () => {
  const ended = [{ token: [1, 2] as [number, number], holder: 'a', seq: 4 }];
  it.each([
    ['of the present version', [1, 3, 5], true],
    ['of a later one', [1, 3, 6], false],
    ['of a later grant', [1, 4, 0], false],
    ['of an ended grant', [1, 2, 3], true],
    ['of the end of an ended grant', [1, 2, 4], true],
    ['that an ended grant never had', [1, 2, 5], false],
    ['of a grant that is forgotten', [1, 1, 1], false],
  ] as const)('rule 12: %s (%j) is continued: %s', (_which, known, trusted) => {
    expect(storeRules.trustsCopy({ version: [1, 3, 5], ended }, [...known])).toBe(trusted);
  });

  it('rule 12: has each attribute that is not newer', () => {
    const { isInCopy } = storeRules;
    const versions = [4, 5, 6].map((seq) => [1, 3, seq] as [number, number, number]);
    expect(versions.map((version) => isInCopy(version, [1, 3, 5]))).toEqual([true, true, false]);
  });
});

it('rule 13: an owner claims again when holders know a higher epoch', () => {
  expect([6, 7, 8].map((shown) => storeRules.mustClaimAbove(shown, 7))).toEqual([false, false, true]);
});

describe('the time of a session', () => {
  it('rule 15: is over when it has come, in the index and at a grant', () => {
    expect([99, 100, 101].map((wall) => storeRules.isDue(100, wall))).toEqual([false, true, true]);
    expect([99, 100, 101].map((wall) => storeRules.isOverAtGrant(100, wall))).toEqual([false, true, true]);
  });

  it('rule 15: is longer by a quarter for a silent holder', () => {
    expect([storeRules.dueAt(1_000, 400, false), storeRules.dueAt(1_000, 400, true)]).toEqual([1_000, 1_100]);
  });

  it('rule 15: goes on from each report of a use', () => {
    expect(storeRules.touchCounts()).toBe(true);
  });

  it('rule 15: begins anew with a commit, and with a release that changes something', () => {
    const { isUse } = storeRules;
    expect(isUse(commit([1, 3], 6))).toBe(true);
    expect(isUse(release([1, 3], 6))).toBe(false);
    expect(isUse(release([1, 3], 6, { cart: 1 }))).toBe(true);
    expect(isUse(release([1, 3], 6, {}, 'cart'))).toBe(true);
  });
});

describe('a session that is to be made', () => {
  const { mayHaveMade } = storeRules;
  const making = acquire(1, { create: new Map([['cart', new Uint8Array(1)]]) });
  const ended = [{ token: [1, 2] as [number, number], holder: 'a', seq: 4 }];

  it('rule 16: may have been made by a holder that has it, or had it', () => {
    expect(mayHaveMade(sessionOf(), making, 'a')).toBe(true);
    expect(mayHaveMade(sessionOf({ grant: grantOf({ holder: 'b' }), ended }), making, 'a')).toBe(true);
    expect(mayHaveMade(sessionOf({ grant: undefined, ended }), making, 'a')).toBe(true);
  });

  it('rule 16: was not made by another, nor when there is none, nor by a request without values', () => {
    expect(mayHaveMade(sessionOf({ ended }), making, 'b')).toBe(false);
    expect(mayHaveMade(new SessionState('s', undefined), making, 'a')).toBe(false);
    expect(mayHaveMade(sessionOf(), acquire(1), 'a')).toBe(false);
    expect(mayHaveMade(sessionOf(), acquire(1, { create: undefined }), 'a')).toBe(false);
  });
});

describe("the acquire of a knock, in the session's own queue", () => {
  const queue = { taken: 5, isEmpty: false, lostAt: -Infinity, openMs: 1_000 };
  const must = (request: number, ageMs: number, more: Partial<typeof queue> = {}) =>
    storeRules.mustPutAgain({ request, ageMs }, { ...queue, ...more }, 10_000);

  it('rule 21: comes no more when it was taken, unless a newer one was', () => {
    expect([4, 5, 6].map((request) => must(request, 0))).toEqual([false, true, false]);
    expect(must(4, 1_000, { isEmpty: true, lostAt: 10_000 })).toBe(false);
  });

  it('rule 21: comes no more when it was put there before the queue was lost', () => {
    expect([2_999, 3_000, 3_001].map((ageMs) => must(6, ageMs, { lostAt: 7_000 }))).toEqual([
      false,
      true,
      true,
    ]);
  });

  it('rule 21: comes no more when the queue is empty, and both had their time', () => {
    const isEmpty = true;
    expect([249, 250].map((ageMs) => must(6, ageMs, { isEmpty }))).toEqual([false, true]);
    expect([249, 250].map((openMs) => must(6, 1_000, { isEmpty, openMs }))).toEqual([false, true]);
    expect(must(6, 1_000)).toBe(false);
  });
});

describe("the queue of a holder whose frame did not come through the partition's queue", () => {
  it('rule 22: stays as the partition has been told, and is told by that frame when it has not', () => {
    expect(storeRules.keepsQueue('told before')).toBe(true);
    expect(storeRules.keepsQueue(undefined)).toBe(false);
  });
});

it('rule 23: passes count up to a bound, go back by one for the same holder, and end with a lock held for long', () => {
  const soon = (passes: number) => storeRules.passesAfter(passes, false, 99);
  expect([0, 1].map(soon)).toEqual([1, 2]);
  const most = soon(1_000);
  expect(soon(most)).toBe(most);
  expect([0, 1, 3].map((passes) => storeRules.passesAfter(passes, true, 0))).toEqual([0, 0, 2]);
  expect(storeRules.passesAfter(1, false, 100)).toBe(0);
});
