/** How long the pauses between tries are. */
import { expect, it } from 'vitest';
import { backOffMs, keepTrying } from './retry.js';

it('pauses double from the least to the most', () => {
  const delays = [0, 1, 2, 3, 4, 5, 1_000].map((failures) => backOffMs(failures, 100, 1_000, 0));
  expect(delays).toEqual([0, 100, 200, 400, 800, 1_000, 1_000]);
});

it('chance takes off up to a half of a pause', () => {
  expect(backOffMs(1, 100, 1_000, 0.5)).toBe(75);
  expect(backOffMs(1, 100, 1_000, 1)).toBe(50);
});

it('tries until the signal, and tells of failures alone', async () => {
  const signal = new AbortController();
  const outcomes = ['one', undefined, 'two'];
  const told: string[] = [];
  const attempt = async () => {
    if (outcomes.length === 1) setImmediate(() => signal.abort());
    return outcomes.shift();
  };
  await keepTrying(
    { attempt, failed: (reason) => told.push(reason), minMs: 1, maxMs: 1_000_000 },
    signal.signal,
  );
  expect(told).toEqual(['one', 'two']);
});
