/** Pure figures: what one contest measured, and how two contestants compare over the rounds. */

/** What one contestant did in one round. */
export interface Measured {
  /** Operations a second, of all its app servers together. */
  readonly rate: number;
  /** How long one operation took, in milliseconds. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  /** How often a second another app server changed the session than before. */
  readonly ownerChanges: number;
  /** Acknowledged changes that were not there in the end. */
  readonly lost: number;
}

export type Metric = 'rate' | 'p50' | 'p99' | 'ownerChanges';

/** Median, least and greatest of the rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** What the app servers of one contestant counted: see load.ts. */
export interface Counted {
  readonly operations: number;
  readonly seconds: number;
  readonly ownerChanges: number;
  /** Latencies in milliseconds, in any order; a sample where there were very many. */
  readonly samples: readonly number[];
  /** How many changes were acknowledged, the warm-up included. */
  readonly changes: number;
}

export function measured(counted: readonly Counted[], lost: number): Measured {
  const samples = counted.flatMap((one) => one.samples).sort((a, b) => a - b);
  const perSecond = (of: (one: Counted) => number) =>
    counted.reduce((sum, one) => sum + of(one) / one.seconds, 0);
  return {
    rate: perSecond((one) => one.operations),
    p50: percentile(samples, 0.5),
    p95: percentile(samples, 0.95),
    p99: percentile(samples, 0.99),
    ownerChanges: perSecond((one) => one.ownerChanges),
    lost,
  };
}

/** The smallest value that at least `share` of `sorted` do not exceed. NaN of nothing. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted.length === 0 ? NaN : sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)]!;
}

/** Throws without values. */
export function spread(values: readonly number[]): Spread {
  if (values.length === 0) throw new Error('a spread needs a value');
  const sorted = values.toSorted((a, b) => a - b);
  const half = sorted.length / 2;
  const median = half % 1 === 0 ? (sorted[half - 1]! + sorted[half]!) / 2 : sorted[Math.floor(half)]!;
  return { median, min: sorted[0]!, max: sorted.at(-1)! };
}

/** Ours as a multiple of the other's, round by round: so a slow moment of the machine counts for both. */
export function ratio(ours: readonly Measured[], others: readonly Measured[], metric: Metric): Spread {
  return spread(ours.map((one, round) => one[metric] / others[round]![metric]));
}
