/** The holder's leases: what a renewal says, what its answer changes, and when it is due. */
import { beforeEach, expect, it } from 'vitest';
import { testParameters } from '../testing/pair.js';
import { limits } from '../wire/limits.js';
import type { Cancel, Renew, Renewed, SessionToken } from '../wire/messages.js';
import { Leases, type LeasedLock } from './leases.js';
import { holderRules } from './rules.js';

const { leaseMs, renewMs, repeatMs } = testParameters;

let leases: Leases;
let time: number;
beforeEach(() => {
  time = 0;
  leases = new Leases(testParameters, holderRules);
  leases.received(0, 1);
});

const now = () => ({ mono: time, wall: time });
const memory = () => leases.memory()[0]!;
const cancel = (request: number): Cancel => ({ kind: 'cancel', session: 's', request });
const renew = () => leases.renewal(0, now()).filter((message): message is Renew => message.kind === 'renew');

function held(session: string): LeasedLock {
  const lock = { session, token: [1, 1], acknowledged: 0, confirmed: -1, revoked: false };
  leases.hold(0, lock as unknown as LeasedLock, now());
  return lock as unknown as LeasedLock;
}

function answer({ n, reclaim = [] }: Renew, more: Partial<Renewed> = {}) {
  const valid = reclaim.map(([session, token]): SessionToken => [session, token]);
  const head = { kind: 'renewed', n, leaseMs, ttlMs: 60_000, partitions: 1 } as const;
  return leases.answered(0, { ...head, recalled: [], revoked: [], valid, ...more }, now());
}

it('rule 12: a thousand messages are repeated, and the oldest beyond them is dropped', () => {
  for (let request = 0; request < 1_000; request++) leases.repeatUntilHeard(0, cancel(request));
  expect(memory().repeated).toBe(1_000);
  leases.repeatUntilHeard(0, cancel(1_000));
  expect(memory().repeated).toBe(1_000);
  expect(leases.renewal(0, now())[0]).toEqual(cancel(1));
});

it('rule 12: a message that cannot be sent is repeated no more', () => {
  const [first, second] = [cancel(1), cancel(2)];
  leases.repeatUntilHeard(0, first);
  leases.repeatUntilHeard(0, second);
  leases.dropRepeated(0, first);
  expect(leases.renewal(0, now())).toEqual([second, { kind: 'renew', n: 1, touches: undefined }]);
});

it('rule 8: answers count for the latest sixteen renewals, and end the wait for earlier ones', () => {
  const sent = Array.from({ length: 20 }, () => renew()[0]!);
  expect(memory().pending).toBe(16);
  answer(sent[3]!);
  expect(leases.runs(0, now())).toBe(false);
  answer(sent[4]!);
  expect([leases.runs(0, now()), memory().pending]).toEqual([true, 15]);
  answer(sent[18]!);
  expect(memory().pending).toBe(1);
});

it('rule 9: a renewal without doubts reclaims nothing, and one after a lease that ran out does', () => {
  answer(renew()[0]!);
  const lock = held('s');
  expect(renew()[0]).not.toHaveProperty('reclaim');
  time += leaseMs;
  expect(renew()[0]!.reclaim).toEqual([['s', [1, 1], 0]]);
  lock.revoked = true;
  expect(renew()[0], 'a revoked lock').not.toHaveProperty('reclaim');
});

it('rule 9: a lock that was confirmed is not reclaimed with those that came later', () => {
  held('early');
  const [renewal] = renew();
  held('late');
  answer(renewal!);
  expect(renew()[0]!.reclaim).toEqual([['late', [1, 1], 0]]);
});

it('rule 9: a list that is just full is one renewal, and only the first of several reports uses', () => {
  for (let i = 0; i < limits.listed; i++) held(`s${i}`);
  expect(renew()).toHaveLength(1);
  held('one more');
  const parts = leases.renewal(0, now(), [['s1', 0]]);
  expect(parts.map((part) => part.kind === 'renew' && part.touches)).toEqual([[['s1', 0]], undefined]);
});

it('rule 9: a lock that is not named is lost, unless it was given back or revoked meanwhile', () => {
  const [kept, gone, dropped, revoked] = ['a', 'b', 'c', 'd'].map(held) as [
    LeasedLock,
    LeasedLock,
    LeasedLock,
    LeasedLock,
  ];
  const [renewal] = renew();
  leases.drop(0, dropped);
  revoked.revoked = true;
  const valid: SessionToken[] = ['a', 'c', 'd'].map((session) => [session, [1, 1]]);
  expect(answer(renewal!, { valid })).toEqual({ confirmed: [kept], lost: [gone] });
});

it('rule 8: an answer that comes after its lease confirms nothing, and loses nothing', () => {
  held('s');
  const [renewal] = renew();
  time += leaseMs;
  expect(answer(renewal!, { valid: [] })).toEqual({ confirmed: [], lost: [] });
  expect(leases.runs(0, now())).toBe(false);
});

it('rule 9: the store is asked about a doubt at once, and again after a while', () => {
  leases.connected();
  expect(leases.shouldAsk(0, now())).toBe(true);
  time = 7;
  renew();
  const asks = [0, repeatMs - 1, repeatMs].map((ms) => leases.shouldAsk(0, { mono: 7 + ms, wall: 0 }));
  expect(asks).toEqual([false, false, true]);
  time = 8;
  leases.connected();
  expect(leases.shouldAsk(0, now()), 'another doubt').toBe(true);
});

it('rule 8: a lease is renewed in time, and sooner while it does not run or a lock is in doubt', () => {
  const dueAfter = () => {
    const from = time;
    while (leases.due(now()).length === 0) time += 50;
    return time - from;
  };
  leases.count(0, 1);
  answer(renew()[0]!);
  expect(dueAfter()).toBe(renewMs);
  leases.connected();
  renew();
  expect(dueAfter(), 'no lease').toBe(repeatMs);
  answer(renew()[0]!);
  held('s');
  answer(renew()[0]!, { revoked: Array.from({ length: limits.listed }, (_, i) => [`t${i}`, [1, 2]]) });
  expect([leases.runs(0, now()), dueAfter()], 'a doubt').toEqual([true, repeatMs]);
});

it('rule 13: a frame of an earlier owner does not show that this one knows the queue', () => {
  expect(leases.awaitAnswer).toBe(false);
  leases.received(0, 5);
  leases.connected();
  expect([leases.received(0, 3), leases.awaitAnswer]).toEqual(['stale', true]);
  expect([leases.received(0, 5), leases.awaitAnswer]).toEqual(['same', false]);
  expect([leases.epochOf(0), leases.epochOf(9), leases.received(9, 7)]).toEqual([5, 0, 'stale']);
});

it('rule 12: an answer is awaited while a message is repeated', () => {
  leases.repeatUntilHeard(0, cancel(1));
  expect(leases.awaitAnswer).toBe(true);
  answer(renew()[0]!);
  expect(leases.awaitAnswer).toBe(false);
});

it('the shortest time is that of the shortest lease, and not below the least', () => {
  expect(leases.shortestMs).toBe(repeatMs);
  answer(renew()[0]!, { leaseMs: 600 });
  expect(leases.shortestMs).toBe(200);
  answer(renew()[0]!, { leaseMs: 3 });
  expect(leases.shortestMs).toBe(30);
});
