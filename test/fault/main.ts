/**
 * `npm run fault -- [--minutes 1] [--seed 1] [--json] [--verbose]`: real processes, real faults, and a
 * history that is checked. It exits 1 on any violation, and 2 on wrong use. On a violation it keeps the
 * history, and prints its place and the command that repeats the faults.
 */
import {
  numberAboveZero,
  readOptions,
  runProgram,
  wholeNumber,
  WrongUse,
} from '../../scripts/command-line/command-line.js';
import { runForHours } from './long-run.js';
import { run, type RunReport } from './run.js';

const usage = `npm run fault -- [--minutes 1] [--seed 1] [--longest 15] [--queues partitioned] [--json] [--verbose] [--competitors]
npm run fault -- --hours N [--seed 1] [--report fault-report.json]
  --minutes   how long faults happen
  --seed      decides which, when and for how long; the same seed plans the same
  --longest   the longest pause, cut or stall, in seconds
  --queues    where requests for locks wait: partitioned or per-session
  --hours     instead: runs of ten minutes in both layouts, one after the other, for so long
  --report    where --hours writes its figures as it goes; a run that finds some goes on after them
  --competitors  instead: one scripted fault here and with other locks: a holder that is paused past its lease
  --json      the report as JSON, and nothing else on stdout
  --verbose   every line that the processes print`;

await runProgram(usage, async () => {
  const values = readOptions({
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    longest: { type: 'string', default: '15' },
    queues: { type: 'string', default: 'partitioned' },
    hours: { type: 'string' },
    report: { type: 'string', default: 'fault-report.json' },
    competitors: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  if (values.competitors) return competitors(values.json);
  const seed = wholeNumber('--seed', values.seed);
  const longest = numberAboveZero('--longest', values.longest);
  if (values.hours !== undefined)
    return longRun(numberAboveZero('--hours', values.hours), seed, longest, values.report);
  const { queues, json, verbose } = values;
  if (queues !== 'partitioned' && queues !== 'per-session')
    throw new WrongUse(`--queues is '${queues}', but must be partitioned or per-session`);
  return once({
    minutes: numberAboveZero('--minutes', values.minutes),
    seed,
    longest,
    queues,
    json,
    verbose,
  });
});

interface OneRun {
  readonly minutes: number;
  readonly seed: number;
  /** In seconds. */
  readonly longest: number;
  readonly queues: 'partitioned' | 'per-session';
  readonly json: boolean;
  readonly verbose: boolean;
}

async function once({ minutes, seed, longest, queues, json, verbose }: OneRun): Promise<number> {
  const log = json ? (line: string) => console.error(line) : (line: string) => console.log(line);
  const ms = minutes * 60_000;
  const report = await run({ seed, queues, ms, longestFaultMs: longest * 1_000, log, verbose });
  const replay = `npm run fault -- --seed ${seed} --minutes ${minutes} --longest ${longest} --queues ${queues}`;
  if (json) console.log(JSON.stringify({ ...report, replay }, undefined, 2));
  else console.log(told(report, replay));
  return report.violations.length > 0 ? 1 : 0;
}

async function longRun(hours: number, seed: number, longest: number, file: string): Promise<number> {
  const log = (line: string) => console.log(line);
  const report = await runForHours({ hours, seed, longestFaultMs: longest * 1_000, file, log });
  return report.runs.some(({ violations }) => violations.length > 0) ? 1 : 0;
}

async function competitors(asJson: boolean): Promise<number> {
  const { compareCompetitors } = await import('./competitors.js');
  const figures = await compareCompetitors();
  if (asJson) {
    console.log(JSON.stringify(figures, undefined, 2));
    return 0;
  }
  for (const { what, trials, staleWrites, waitedMs } of figures)
    console.log(
      `${what}: ${staleWrites} stale writes in ${trials} trials; the other process waited ${waitedMs} ms`,
    );
  return 0;
}

function told(report: RunReport, replay: string): string {
  const { requests, acknowledged, refused, unknown, sessions, tokens, violations } = report;
  const sorted = Object.entries(report.faults).sort(([one], [other]) => one.localeCompare(other));
  const faults = sorted.map(
    ([kind, { times, longestGapMs }]) =>
      `  ${kind.padEnd(14)} ${String(times).padStart(4)} times   ${String(longestGapMs).padStart(6)} ms`,
  );
  const codes = Object.entries(report.codes).map(([code, times]) => `${code} ${times}`);
  return [
    `seed ${report.seed}, ${report.seconds.toFixed(0)} s: ${requests} requests in ${sessions} sessions under ${tokens} grants`,
    `${acknowledged} acknowledged, ${refused} refused, ${unknown} unknown${codes.length > 0 ? ` (${codes.join(', ')})` : ''}`,
    'faults, and the longest time without an acknowledged change around each kind:',
    ...faults,
    `${violations.length} violations`,
    ...violations.slice(0, 20).map((violation) => `  ${violation}`),
    ...(report.file ? [`history: ${report.file}`, `the same faults again: ${replay}`] : []),
  ].join('\n');
}
