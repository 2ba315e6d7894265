/** How long what waited: the figures of all waits of one kind. */
import type { Wait } from './session-history.js';

export interface WaitFigures {
  readonly what: Wait['what'];
  readonly count: number;
  /** Those that ended without what they waited for. */
  readonly unserved: number;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly longest: Wait;
}

export function waitFigures(waits: readonly Wait[]): WaitFigures[] {
  return (['scope', 'grant', 'release'] as const).flatMap((what) => {
    const sorted = waits.filter((wait) => wait.what === what).sort((a, b) => a.ms - b.ms);
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
    if (sorted.length === 0) return [];
    return {
      what,
      count: sorted.length,
      unserved: sorted.filter(({ served }) => !served).length,
      medianMs: at(0.5).ms,
      p99Ms: at(0.99).ms,
      longest: sorted.at(-1)!,
    };
  });
}
