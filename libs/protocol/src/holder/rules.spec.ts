/**
 * Decisions of the holder that are best seen alone: how long a lease runs, by clocks that disagree (rule 8).
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
