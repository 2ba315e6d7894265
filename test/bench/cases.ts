/** What a row of the benchmarks is made of: see rows.ts. */
import type { ContestSettings } from './contest.js';
import type { ContestantName } from './contestants/contestants.js';
import type { Metric } from './figures.js';
import type { Load } from './load.js';

export interface Case {
  readonly name: string;
  readonly load: Load;
  readonly settings?: ContestSettings;
  /** The first one is compared with all others. */
  readonly contestants: readonly ContestantName[];
  readonly metric: Metric;
  readonly targets?: readonly Target[];
  /**
   * With `handoff` two app servers change one session in turn, and nothing else happens. With `takeover` the
   * store is killed again and again under the load.
   */
  readonly drive?: 'load' | 'handoff' | 'takeover';
  /** Whether every acknowledged change is looked for in the end. */
  readonly isCounted?: boolean;
  /** What the app servers share is started anew for each round, so that its memory is that of one round. */
  readonly fresh?: boolean;
  /** Memory is told so long after the load, in milliseconds. */
  readonly settleMs?: number;
  /** Of `handoff`: how long nobody asks between two changes, in milliseconds. */
  readonly pauseMs?: number;
  /** How many times longer than others it runs, and its most rounds. */
  readonly lasts?: number;
  readonly maxRounds?: number;
  /** The curve that this case is a point of. */
  readonly on?: { readonly curve: string; readonly x: number };
}

/**
 * The first contestant's figure: as a multiple of another one's (of several, the best one's), as a multiple
 * of its own in another case of the row, or as it is. The metric is the case's unless one stands here.
 */
export interface Target {
  readonly metric?: Metric;
  readonly against?: ContestantName | readonly ContestantName[];
  readonly inCase?: string;
  readonly atMost?: number;
  readonly atLeast?: number;
}

export interface Row {
  readonly what: string;
  /** Whether `--quick` runs it. */
  readonly quick?: boolean;
  readonly cases: readonly Case[];
}
