/** The arithmetic of the benchmarks. */
import { describe, expect, it } from 'vitest';
import { exponent, measured, percentile, ratio, spread, type Measured } from './figures.js';

const counted = (operations: number, samples: number[], more = {}) => ({
  operations,
  total: operations,
  seconds: 2,
  ownerChanges: 0,
  samples,
  max: Math.max(...samples),
  changes: operations,
  ...more,
});

describe('figures', () => {
  it('adds up the rates of all app servers and takes percentiles of all samples', () => {
    const both = measured([counted(10, [1, 3], { ownerChanges: 4 }), counted(30, [2, 4])], 0);
    expect(both).toEqual({ rate: 20, p50: 2, p95: 4, p99: 4, max: 4, ownerChanges: 2, lost: 0 });
  });

  it('a percentile is the smallest value that so many do not exceed', () => {
    const sorted = Array.from({ length: 100 }, (_, at) => at + 1);
    expect([0.5, 0.95, 0.99, 1].map((share) => percentile(sorted, share))).toEqual([50, 95, 99, 100]);
    expect(percentile([7], 0.5)).toBe(7);
    expect(percentile([], 0.5)).toBeNaN();
  });

  it('a spread has the median, also of an even number of rounds', () => {
    expect(spread([3, 1, 2])).toEqual({ median: 2, min: 1, max: 3 });
    expect(spread([4, 1, 2, 3])).toEqual({ median: 2.5, min: 1, max: 4 });
    expect(() => spread([])).toThrow('a spread needs a value');
  });

  it('finds the power of x that y follows', () => {
    const points = (of: (x: number) => number) => [1, 10, 100].map((x) => [x, of(x)] as const);
    expect(exponent(points((x) => 7 / x))).toBeCloseTo(-1);
    expect(exponent(points(() => 3))).toBeCloseTo(0);
    expect(exponent(points((x) => x ** 2))).toBeCloseTo(2);
  });

  it('compares round by round, so that a slow moment counts for both', () => {
    const rounds = (...rates: number[]) => rates.map((rate) => ({ rate }) as Measured);
    expect(ratio(rounds(10, 1), rounds(20, 2), 'rate')).toEqual({ median: 0.5, min: 0.5, max: 0.5 });
  });
});
