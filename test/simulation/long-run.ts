/**
 * `npm run sim -- --hours N --report FILE`: seed after seed, for hours. The report is written as it goes, and
 * a run that finds one goes on after its last seed.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { counted, emptyCoverage, unexercised, type Coverage } from './coverage.js';
import { simulate } from './days/scenario.js';

export interface LongRunReport {
  readonly first: number;
  /** The seed that comes next. */
  next: number;
  seconds: number;
  steps: number;
  readonly coverage: Coverage;
  readonly failures: { readonly seed: number; readonly violations: readonly string[] }[];
}

interface LongRun {
  readonly first: number;
  readonly hours: number;
  readonly file: string;
  readonly log: (line: string) => void;
}

const savedEveryMs = 30_000;
/** More failures than anybody reads. */
const maxFailures = 100;

/** Resolves with the whole report, of earlier runs into the same file, too. */
export async function runLong({ first, hours, file, log }: LongRun): Promise<LongRunReport> {
  const report = existsSync(file) ? readReport(file) : emptyReport(first);
  const variant = counted(report.coverage);
  const begin = performance.now();
  const before = report.seconds;
  let saved = begin;
  for (const end = begin + hours * 3_600_000; performance.now() < end; report.next++) {
    const { steps, faultKinds, violations, traced } = await simulate(report.next, variant);
    report.steps += steps;
    const { faults } = report.coverage;
    for (const kind of faultKinds) faults[kind] = (faults[kind] ?? 0) + 1;
    const wrong = [...violations, ...traced];
    if (wrong.length > 0 && report.failures.length < maxFailures) {
      report.failures.push({ seed: report.next, violations: wrong });
      log(
        `seed ${report.next}: ${wrong[0]}; replay: npm run sim -- --first ${report.next} --seeds 1 --trace`,
      );
    }
    report.seconds = before + (performance.now() - begin) / 1_000;
    if (performance.now() - saved < savedEveryMs) continue;
    saved = performance.now();
    save(report, file);
  }
  save(report, file);
  return report;
}

/** The report for people. */
export function longRunText({ first, next, seconds, steps, coverage, failures }: LongRunReport): string {
  const faults = Object.entries(coverage.faults).map(([kind, count]) => `  ${kind}: ${count}`);
  const gaps = unexercised(coverage).map((line) => `  ${line}`);
  const decisions = Object.keys(coverage.decisions).length;
  return [
    `${next - first} seeds from ${first}, ${steps} steps, ${(seconds / 3_600).toFixed(2)} hours`,
    'faults:',
    ...faults,
    gaps.length > 0 ? 'decisions that were not exercised:' : `all ${decisions} decisions were exercised`,
    ...gaps,
    `${failures.length} seeds with violations`,
  ].join('\n');
}

function emptyReport(first: number): LongRunReport {
  return { first, next: first, seconds: 0, steps: 0, coverage: emptyCoverage(), failures: [] };
}

/** Decisions that are new since the report have no answers in it. */
function readReport(file: string): LongRunReport {
  const report = JSON.parse(readFileSync(file, 'utf8')) as LongRunReport;
  const decisions = { ...emptyCoverage().decisions, ...report.coverage.decisions };
  return { ...report, coverage: { ...report.coverage, decisions } };
}

/** A run that is killed meanwhile leaves the report of before. */
function save(report: LongRunReport, file: string): void {
  writeFileSync(`${file}.new`, `${JSON.stringify(report, undefined, 2)}\n`);
  renameSync(`${file}.new`, file);
}
