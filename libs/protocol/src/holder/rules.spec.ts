/**
 * The decisions of the holder alone, at their borders: among them how long a lease runs, by clocks that
 * disagree. What a decision is needed for is shown by the specs of the machine and by the races.
 */
import { expect, it } from 'vitest';
import { holderRules } from './rules.js';

const leaseMs = 1_000;

it.each([
  ['runs while both clocks are within nine tenths of it', 899, 899, true],
  ['is over after nine tenths of it', 900, 900, false],
  ['is over by the monotonic clock, though the wall clock was set back', 900, -5_000, false],
  ['is over by the wall clock, though the other one stopped while the machine slept', 0, 900, false],
  ['runs by the monotonic clock alone, when the wall clock was set back', 899, -5_000, true],
])('rule 8: a lease %s (%i ms, %i ms)', (_what, mono, wall, runs) => {
  const startedAt = { mono: 50, wall: 1_000_000 };
  const now = { mono: startedAt.mono + mono, wall: startedAt.wall + wall };
  expect(holderRules.leaseRuns(startedAt, leaseMs, now)).toBe(runs);
});

it("rule 2: a request's time is that of the scope that waits longest", () => {
  expect([holderRules.deadline(5, 7), holderRules.deadline(7, 5)]).toEqual([7, 7]);
});

it('rule 2: a scope gives up at its deadline', () => {
  expect([99, 100, 101].map((mono) => holderRules.isTimedOut(100, mono))).toEqual([false, true, true]);
});

it('rule 2: a longer wait is announced when the known one ends within two repeats', () => {
  expect([299, 300, 301].map((known) => holderRules.mustAnnounce(known, 100, 100))).toEqual([
    true,
    false,
    false,
  ]);
});

it('rule 6: an answer covers a change and all before it', () => {
  expect([4, 5, 6].map((seq) => holderRules.isAnswered(seq, 5))).toEqual([true, true, false]);
  expect([4, 5, 6].map((seq) => holderRules.isBefore(seq, 5))).toEqual([true, false, false]);
});

it('rule 6: less than was acknowledged was taken back, and a store that says nothing took nothing', () => {
  const applied = [undefined, 4, 5, 6];
  expect(applied.map((through) => holderRules.isTakenBack(through, 5))).toEqual([false, true, false, false]);
});

it.each([
  [false, true, true, true],
  [true, true, true, false],
  [false, false, true, false],
  [false, true, false, false],
])(
  'rule 8: a lock (revoked: %s, lease runs: %s, confirmed: %s) is trusted: %s',
  (revoked, runs, confirmed, is) => {
    expect(holderRules.isTrusted({ revoked }, runs, confirmed)).toBe(is);
  },
);

it('rule 9: an answer confirms the token that it names, and no other', () => {
  const named = [undefined, [1, 2], [1, 3], [2, 3]] as const;
  const confirmed = named.map((one) => holderRules.isConfirmed([1, 3], one && [...one]));
  expect(confirmed).toEqual([false, false, true, false]);
});

it('rule 9: a full list of revoked locks may lack some', () => {
  expect([99, 100, 101].map((listed) => holderRules.mayHideMore(listed, 100))).toEqual([false, true, true]);
});

it('rule 11: what the store says of a revocation is believed', () => {
  expect(holderRules.believesRevocation()).toBe(true);
});

it.each([
  ['for the outstanding request, when none was returned', { request: 4, returned: undefined }, true],
  ['above the returned one', { request: 4, returned: [1, 2] }, true],
  ['that was returned', { request: 4, returned: [1, 3] }, false],
  ['below the returned one', { request: 4, returned: [2, 1] }, false],
  ['for an earlier request', { request: 5, returned: undefined }, false],
  ['for a later request', { request: 3, returned: undefined }, false],
  ['that nobody asked for', undefined, false],
] as const)('rule 12: a grant %s is accepted, or not', (_which, wait, accepted) => {
  const known = wait && { ...wait, returned: wait.returned && ([...wait.returned] as [number, number]) };
  expect(holderRules.acceptsGrant(known, { request: 4, token: [1, 3] })).toBe(accepted);
});

it('rule 12: the highest returned token is the bound', () => {
  const returned = [undefined, [1, 2], [1, 3], [1, 4]] as const;
  const above = returned.map((one) => holderRules.isAbove([1, 3], one && [...one]));
  expect(above).toEqual([true, true, false, false]);
});

it('rule 12: a bare renewal shows that what came right before it arrived, a full one all before it', () => {
  const answered = 5;
  expect([4, 5, 6].map((sent) => holderRules.isHeard(sent, answered, false))).toEqual([false, true, false]);
  expect([4, 5, 6].map((sent) => holderRules.isHeard(sent, answered, true))).toEqual([true, true, false]);
});

it.each([
  [4, 5, 'stale'],
  [5, 5, 'same'],
  [6, 5, 'new'],
  [6, 0, 'same'],
  [0, 0, 'same'],
] as const)(
  'rule 13: a frame of epoch %i, when %i is known, is of an owner that is %s',
  (epoch, known, owner) => {
    expect(holderRules.ownerOf(epoch, known)).toBe(owner);
  },
);

it('rule 13: the number of partitions never changes', () => {
  expect([holderRules.agrees(64, 64), holderRules.agrees(64, 32)]).toEqual([true, false]);
});

it('rule 15: a use is told when the last report is old enough', () => {
  expect([99, 100, 101].map((sinceMs) => holderRules.isTouchDue(sinceMs, 100))).toEqual([false, true, true]);
});

it('rule 22: an owner that owes an answer for half of the time to a repeat is silent', () => {
  expect([499, 500].map((owesMs) => holderRules.isSilent(owesMs, 1_000))).toEqual([false, true]);
});

it('rule 23: a turn is over while fewer than two results wait for the store', () => {
  expect([0, 1, 2, 3].map((waiting) => holderRules.isTurnOver(waiting))).toEqual([true, true, false, false]);
});
