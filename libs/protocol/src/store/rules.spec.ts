/**
 * Decisions of the store that are best seen alone: what the epochs of holders show about its own data (rule
 * 13).
 */
import { expect, it } from 'vitest';
import { storeRules } from './rules.js';

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
