/** The order of tokens and versions (rule 1). */
import { expect, it } from 'vitest';
import { compareTokens, compareVersions, sameToken, type Token, type Version } from './order.js';

it('rule 1: tokens are ordered by the epoch, then by the count of grants in it', () => {
  const tokens: Token[] = [
    [1, 1],
    [1, 2],
    [2, 1],
    [2, 7],
    [10, 3],
  ];
  expect(tokens.toReversed().toSorted(compareTokens)).toEqual(tokens);
  expect([sameToken([1, 2], [1, 2]), sameToken([1, 2], [1, 3]), sameToken([1, 2], [2, 2])]).toEqual([
    ...[true, false, false],
  ]);
  expect(compareTokens([3, 4], [3, 4])).toBe(0);
});

it('rule 1: versions are ordered by the token, then by the change under it', () => {
  const versions: Version[] = [
    [1, 1, 0],
    [1, 1, 5],
    [1, 2, 1],
    [2, 1, 0],
    [10, 1, 0],
  ];
  expect(versions.toReversed().toSorted(compareVersions)).toEqual(versions);
  expect(compareVersions([3, 4, 5], [3, 4, 5])).toBe(0);
});
