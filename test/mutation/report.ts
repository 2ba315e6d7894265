/**
 * What became of each mutant, as lines of JSON, so that a stopped run goes on; the survivors that have a name
 * and a reason; and the scores.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { Mutant } from './mutants.js';

export interface Outcome {
  readonly file: string;
  readonly line: number;
  readonly text: string;
  readonly mutation: string;
  readonly nth: number;
  /** `unreached`: no test reaches it. It survives, too. */
  readonly outcome: 'killed' | 'survived' | 'unreached';
  readonly by?: string | undefined;
  readonly ms: number;
}

/** A survivor that does no harm. Without `nth` all of its text and mutation are meant. */
export interface Accepted {
  readonly file: string;
  readonly text: string;
  readonly mutation: string;
  readonly nth?: number;
  readonly reason: string;
}

type Named = Pick<Mutant, 'file' | 'text' | 'mutation' | 'nth'>;

/** The same mutant in another run, also when its line has moved. */
const keyOf = ({ file, text, mutation, nth }: Named) => [file, text, mutation, nth].join('\n');

export class Report {
  private readonly outcomes = new Map<string, Outcome>();

  constructor(private readonly path: string) {
    for (const outcome of linesOf<Outcome>(path)) this.outcomes.set(keyOf(outcome), outcome);
  }

  of(mutant: Named): Outcome | undefined {
    return this.outcomes.get(keyOf(mutant));
  }

  add(mutant: Mutant, judged: Pick<Outcome, 'outcome' | 'by' | 'ms'>): void {
    const { file, line, text, mutation, nth } = mutant;
    const outcome = { file, line, text, mutation, nth, ...judged, ms: Math.round(judged.ms) };
    this.outcomes.set(keyOf(outcome), outcome);
    appendFileSync(this.path, `${JSON.stringify(outcome)}\n`);
  }
}

export function linesOf<T>(path: string): T[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as T);
}

export interface Score {
  readonly file: string;
  readonly mutants: number;
  readonly killed: number;
  readonly accepted: number;
  readonly survivors: readonly Mutant[];
}

const names = (accepted: Accepted, mutant: Named) =>
  keyOf({ ...accepted, nth: accepted.nth ?? mutant.nth }) === keyOf(mutant);

/** The score of each file, and the accepted survivors that are none any more. */
export function scoresOf(mutants: readonly Mutant[], report: Report, accepted: readonly Accepted[]) {
  const files = [...new Set(mutants.map(({ file }) => file))];
  const scores = files.map((file): Score => {
    const own = mutants.filter((mutant) => mutant.file === file);
    const alive = own.filter((mutant) => report.of(mutant)?.outcome !== 'killed');
    const survivors = alive.filter((mutant) => !accepted.some((one) => names(one, mutant)));
    return {
      file,
      mutants: own.length,
      killed: own.length - alive.length,
      accepted: alive.length - survivors.length,
      survivors,
    };
  });
  const stale = accepted
    .filter(({ file }) => files.includes(file))
    .filter(
      (one) => !mutants.some((mutant) => names(one, mutant) && report.of(mutant)?.outcome !== 'killed'),
    );
  return { scores, stale };
}

const percent = (part: number, of: number) => `${((100 * part) / Math.max(of, 1)).toFixed(1)} %`;

/** A line for each file, each survivor without a name below it, and the sum. */
export function textOf(scores: readonly Score[], stale: readonly Accepted[]): string {
  const sum = (pick: (score: Score) => number) => scores.reduce((total, score) => total + pick(score), 0);
  const line = (name: string, mutants: number, killed: number, accepted: number) =>
    `${name}: ${killed} of ${mutants} killed (${percent(killed, mutants)}), ` +
    `${accepted} named as harmless, ${mutants - killed - accepted} survive`;
  return [
    ...scores.flatMap(({ file, mutants, killed, accepted, survivors }) => [
      line(file, mutants, killed, accepted),
      ...survivors.map((mutant) => `  ${mutant.line}: ${mutant.mutation}   in: ${mutant.text}`),
    ]),
    ...stale.map(({ file, mutation }) => `${file}: is named, and no survivor: ${mutation}`),
    line(
      'all',
      sum(({ mutants }) => mutants),
      sum(({ killed }) => killed),
      sum(({ accepted }) => accepted),
    ),
  ].join('\n');
}
