/** The counts of a meter, by route and by key. Their number is bounded, whatever paths clients ask for. */
import { otherKeys, otherRoutes, placeOf, reportOf, type MeterReport } from './report.js';
import type { Verdict, VerdictKind } from './verdict.js';

/** Most characters of a route or key that are kept. */
const maxNameChars = 200;

type Counts = Record<'saves' | VerdictKind, number>;

/** One save, from when it was handed to the store. Without a verdict it is unknown. */
export interface CountedSave {
  judged(verdict: Verdict): void;
  /** The store did not take it, so it overwrote nothing. */
  failed(): void;
}

export class Tally {
  private readonly routes = new Map<string, Counts>();
  private readonly keys = new Map<string, number>();

  constructor(private readonly limits: { readonly maxRoutes: number; readonly maxKeys: number }) {}

  save(route: string): CountedSave {
    const counts = this.countsOf(nameOf(route));
    counts.saves += 1;
    return {
      judged: ({ kind, keys }) => {
        counts[kind] += 1;
        for (const key of keys) this.overwritten(nameOf(key));
      },
      failed: () => void (counts.saves -= 1),
    };
  }

  report(): MeterReport {
    const routes = [...this.routes].map(([route, { clean, ...counts }]) => {
      const { saves, lost, same, revived } = counts;
      return [route, { ...counts, unknown: saves - clean - lost - same - revived }] as const;
    });
    return reportOf(new Map(routes), this.keys);
  }

  private countsOf(route: string): Counts {
    const name = placeOf(route, this.routes, this.limits.maxRoutes, otherRoutes);
    const counts = this.routes.get(name) ?? { saves: 0, clean: 0, lost: 0, same: 0, revived: 0 };
    this.routes.set(name, counts);
    return counts;
  }

  private overwritten(key: string): void {
    const name = placeOf(key, this.keys, this.limits.maxKeys, otherKeys);
    this.keys.set(name, (this.keys.get(name) ?? 0) + 1);
  }
}

/** On one line, since it is printed in a table. */
const nameOf = (text: string): string => text.slice(0, maxNameChars).replace(/[^ -~\u00a1-\uffff]/g, '?');
