/**
 * `npm run fault -- --hours N --report FILE`: runs of ten minutes with seed after seed, in both layouts by
 * turns. The report is written after each run, and the next command goes on after the last run in it.
 */
import { z } from 'zod';
import { openReport, saveReport } from '../../scripts/command-line/report-file.js';
import { run, type RunReport } from './run.js';

export interface LongRunReport {
  readonly runs: (RunReport & { readonly queues: string })[];
  /** How often each kind of fault happened in all runs. */
  readonly faults: Record<string, number>;
}

/** What a run that goes on needs of it. */
const reportSchema = z.looseObject({
  runs: z.array(z.looseObject({ seed: z.number(), queues: z.string(), violations: z.array(z.string()) })),
  faults: z.record(z.string(), z.number()),
});

const layouts = ['partitioned', 'per-session'] as const;
const runMs = 600_000;

/** Throws a `WrongUse` when the file is no such report, or cannot be written. */
export async function runForHours({
  hours,
  seed,
  longestFaultMs,
  file,
  log,
  runWith = run,
}: {
  readonly hours: number;
  readonly seed: number;
  readonly longestFaultMs: number;
  readonly file: string;
  readonly log: (line: string) => void;
  readonly runWith?: typeof run;
}): Promise<LongRunReport> {
  const report = openReport<LongRunReport>(file, reportSchema, { runs: [], faults: {} });
  if (report.runs.length > 0) log(`${file} has ${report.runs.length} runs: going on after them`);
  const end = performance.now() + hours * 3_600_000;
  while (performance.now() < end) {
    const queues = layouts[report.runs.length % layouts.length]!;
    const ms = Math.min(runMs, Math.max(1, end - performance.now()));
    const one = await runWith({ seed: seed + report.runs.length, queues, ms, longestFaultMs, log });
    report.runs.push({ ...one, queues });
    for (const [kind, { times }] of Object.entries(one.faults))
      report.faults[kind] = (report.faults[kind] ?? 0) + times;
    saveReport(file, report);
    const { acknowledged, requests, violations } = one;
    log(
      `seed ${one.seed}, ${queues}: ${acknowledged} of ${requests} acknowledged, ${violations.length} violations`,
    );
    for (const violation of violations.slice(0, 5)) log(`  ${violation}`);
  }
  return report;
}
