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
  /** The longest, where it is known. */
  readonly max?: number;
  /** Acknowledged changes that were not there in the end. */
  readonly lost: number;
  /** What an operation took of the CPU, in microseconds: what is not known is left out. */
  readonly cpu?: Partial<Record<Role, number>>;
  /** The most memory in MB. */
  readonly memory?: Partial<Record<Role, number>>;
}

/** Who uses CPU and memory: all app servers together, the store, and the server between them or instead. */
export type Role = 'app' | 'store' | 'server';

export type Metric = 'rate' | 'p50' | 'p95' | 'p99' | 'max' | 'ownerChanges' | 'storeMb';

/** NaN where it is not known. */
export const valueOf = (measured: Measured, metric: Metric): number =>
  (metric === 'storeMb' ? measured.memory?.store : measured[metric]) ?? NaN;

/** Median, least and greatest of the rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** What the app servers of one contestant counted: see load.ts. */
export interface Counted {
  readonly operations: number;
  /** With those of the warm-up. */
  readonly total: number;
  readonly seconds: number;
  readonly ownerChanges: number;
  /** Latencies in milliseconds, in any order; a sample where there were very many. */
  readonly samples: readonly number[];
  /** The longest of all. */
  readonly max: number;
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
    max: Math.max(...counted.map((one) => one.max)),
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

/**
 * The exponent of the power of x that y follows best: 0 where y does not depend on x, 1 where it grows in
 * proportion.
 */
export function exponent(points: readonly (readonly [x: number, y: number])[]): number {
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)] as const);
  const mean = (at: 0 | 1) => logs.reduce((sum, log) => sum + log[at], 0) / logs.length;
  const [x, y] = [mean(0), mean(1)];
  const sum = (of: (log: readonly [number, number]) => number) => logs.reduce((all, log) => all + of(log), 0);
  return sum(([a, b]) => (a - x) * (b - y)) / sum(([a]) => (a - x) ** 2);
}

/** Ours as a multiple of the other's, round by round: so a slow moment of the machine counts for both. */
export function ratio(ours: readonly Measured[], others: readonly Measured[], metric: Metric): Spread {
  return spread(ours.map((one, round) => valueOf(one, metric) / valueOf(others[round]!, metric)));
}
