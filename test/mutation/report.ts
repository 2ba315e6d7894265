/**
 * What became of each mutant, as lines of JSON, so that a stopped run goes on; the survivors that have a name
 * and a reason; and the scores.
 */
import { appendFileSync, existsSync, readFileSync, truncateSync } from 'node:fs';
import { resolve } from 'node:path';
import { z } from 'zod';
import { WrongUse } from '../../scripts/command-line/command-line.js';
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

type Named = Pick<Mutant, 'file' | 'text' | 'mutation'> & { readonly nth?: number | undefined };

/** The same mutant in another run, also when its line has moved. */
const keyOf = ({ file, text, mutation, nth }: Named) => [file, text, mutation, nth].join('\n');

export class Report {
  private readonly outcomes = new Map<string, Outcome>();

  /** Throws a `WrongUse` when the file is no report, or cannot be written. */
  constructor(private readonly path: string) {
    try {
      appendFileSync(path, '');
      removeUnfinished(path);
    } catch (error) {
      if (error instanceof WrongUse) throw error;
      throw new WrongUse(`the report cannot be used: ${(error as Error).message}`, { cause: error });
    }
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

/** The lines of a file, which may be missing. Throws a `WrongUse` that names the line that is wrong. */
export function linesOf<T extends Named>(path: string): T[] {
  return existsSync(path) ? parsed<T>(path, readFileSync(path, 'utf8')) : [];
}

/**
 * A last line without its end is of a run that was stopped as it wrote it: it goes, and its mutant is judged
 * again. Of a file that is no report nothing goes.
 */
function removeUnfinished(path: string): void {
  const bytes = readFileSync(path);
  const whole = bytes.lastIndexOf('\n') + 1;
  const [lines, rest] = [bytes.subarray(0, whole), bytes.subarray(whole)];
  if (rest.length === 0) return;
  parsed(path, lines.length > 0 ? lines.toString() : rest.toString());
  truncateSync(path, whole);
}

const named = z.looseObject({ file: z.string(), text: z.string(), mutation: z.string() });

function parsed<T extends Named>(path: string, text: string): T[] {
  const found: T[] = [];
  for (const [before, line] of text.split('\n').entries()) {
    if (line === '') continue;
    try {
      found.push(named.parse(JSON.parse(line)) as unknown as T);
    } catch (error) {
      const where = `${resolve(path)}, line ${before + 1}`;
      throw new WrongUse(`${where}, is about no mutant: name another file, or move this one away`, {
        cause: error,
      });
    }
  }
  return found;
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
