/**
 * `npm run sim -- --hours N --report FILE`: seed after seed, for hours. The report is written as it goes, and
 * a run that finds one goes on after its last seed.
 */
import { setImmediate } from 'node:timers/promises';
import { z } from 'zod';
import { openReport, saveReport } from '../../scripts/command-line/report-file.js';
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
  /** Ends the run after the seed that runs. */
  readonly stop?: AbortSignal;
}

const counts = z.record(z.string(), z.number());
const reportSchema = z.object({
  first: z.number(),
  next: z.number(),
  seconds: z.number(),
  steps: z.number(),
  coverage: z.object({ faults: counts, decisions: z.record(z.string(), counts) }),
  failures: z.array(z.object({ seed: z.number(), violations: z.array(z.string()) })),
});

const savedEveryMs = 30_000;
/** More failures than anybody reads. */
const maxFailures = 100;

/**
 * Resolves with the whole report, of earlier runs into the same file, too. Throws a `WrongUse` when the file
 * is no such report, or cannot be written.
 */
export async function runLong({ first, hours, file, log, stop }: LongRun): Promise<LongRunReport> {
  const report = readReport(file, first);
  if (report.next > report.first) log(`${file} has seeds up to ${report.next - 1}: going on after them`);
  const variant = counted(report.coverage);
  const begin = performance.now();
  const before = report.seconds;
  let saved = begin;
  const end = begin + hours * 3_600_000;
  while (performance.now() < end && !stop?.aborted) {
    const seed = report.next;
    const { steps, faultKinds, violations, traced } = await simulate(seed, variant);
    report.steps += steps;
    const { faults } = report.coverage;
    for (const kind of faultKinds) faults[kind] = (faults[kind] ?? 0) + 1;
    const wrong = [...violations, ...traced];
    if (wrong.length > 0 && report.failures.length < maxFailures) {
      report.failures.push({ seed, violations: wrong });
      log(`seed ${seed}: ${wrong[0]}; replay: npm run sim -- --first ${seed} --seeds 1 --trace`);
    }
    report.next++;
    report.seconds = before + (performance.now() - begin) / 1_000;
    await setImmediate(); // a Ctrl-C is heard
    if (performance.now() - saved < savedEveryMs) continue;
    saved = performance.now();
    saveReport(file, report);
  }
  saveReport(file, report);
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
function readReport(file: string, first: number): LongRunReport {
  const report = openReport(file, reportSchema, emptyReport(first));
  const decisions = { ...emptyCoverage().decisions, ...report.coverage.decisions };
  return { ...report, coverage: { ...report.coverage, decisions } };
}
