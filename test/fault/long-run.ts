/**
 * `npm run fault -- --hours N --report FILE`: runs of ten minutes with seed after seed, in both layouts by
 * turns. The report is written after each run, and the next command goes on after the last run in it.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { run, type RunReport } from './run.js';

export interface LongRunReport {
  readonly runs: (RunReport & { readonly queues: string })[];
  /** How often each kind of fault happened in all runs. */
  readonly faults: Record<string, number>;
}

const layouts = ['partitioned', 'per-session'] as const;
const runMs = 600_000;

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
  const report: LongRunReport = existsSync(file)
    ? (JSON.parse(readFileSync(file, 'utf8')) as LongRunReport)
    : { runs: [], faults: {} };
  const end = performance.now() + hours * 3_600_000;
  while (performance.now() < end) {
    const queues = layouts[report.runs.length % layouts.length]!;
    const ms = Math.min(runMs, Math.max(1, end - performance.now()));
    const one = await runWith({ seed: seed + report.runs.length, queues, ms, longestFaultMs, log });
    report.runs.push({ ...one, queues });
    for (const [kind, { times }] of Object.entries(one.faults))
      report.faults[kind] = (report.faults[kind] ?? 0) + times;
    writeFileSync(`${file}.new`, `${JSON.stringify(report, undefined, 2)}\n`);
    renameSync(`${file}.new`, file);
    const { acknowledged, requests, violations } = one;
    log(
      `seed ${one.seed}, ${queues}: ${acknowledged} of ${requests} acknowledged, ${violations.length} violations`,
    );
    for (const violation of violations.slice(0, 5)) log(`  ${violation}`);
  }
  return report;
}
