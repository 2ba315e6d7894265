/**
 * `npm run fault -- [--minutes 1] [--seed 1] [--json] [--verbose]`: real processes, real faults, and a
 * history that is checked. It exits 1 on any violation. Then it keeps the history, and prints its place and
 * the command that repeats the faults.
 */
import { parseArgs } from 'node:util';
import { runForHours } from './long-run.js';
import { run, type RunReport } from './run.js';

const { values } = parseArgs({
  options: {
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
  },
});

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

if (values.help) console.log(usage);
else if (values.competitors) await competitors();
else if (values.hours !== undefined) process.exitCode = await longRun(Number(values.hours));
else process.exitCode = await main();

async function main(): Promise<number> {
  const { queues } = values;
  if (queues !== 'partitioned' && queues !== 'per-session') {
    console.error(`--queues must be partitioned or per-session, not '${queues}'\n${usage}`);
    return 2;
  }
  const [minutes, seed, longest] = [number('minutes'), number('seed'), number('longest')];
  const log = values.json ? (line: string) => console.error(line) : (line: string) => console.log(line);
  const report = await run({
    seed,
    queues,
    ms: minutes * 60_000,
    longestFaultMs: longest * 1_000,
    log,
    verbose: values.verbose,
  });
  const replay = `npm run fault -- --seed ${seed} --minutes ${minutes} --longest ${longest} --queues ${queues}`;
  if (values.json) console.log(JSON.stringify({ ...report, replay }, undefined, 2));
  else console.log(told(report, replay));
  return report.violations.length > 0 ? 1 : 0;
}

async function longRun(hours: number): Promise<number> {
  if (!(hours > 0)) {
    console.error(`--hours must be a number above 0, not '${values.hours}'\n${usage}`);
    return 2;
  }
  const longestFaultMs = number('longest') * 1_000;
  const log = (line: string) => console.log(line);
  const report = await runForHours({ hours, seed: number('seed'), longestFaultMs, file: values.report, log });
  return report.runs.some(({ violations }) => violations.length > 0) ? 1 : 0;
}

async function competitors(): Promise<void> {
  const { compareCompetitors } = await import('./competitors.js');
  const figures = await compareCompetitors();
  if (values.json) return console.log(JSON.stringify(figures, undefined, 2));
  for (const { what, trials, staleWrites, waitedMs } of figures)
    console.log(
      `${what}: ${staleWrites} stale writes in ${trials} trials; the other process waited ${waitedMs} ms`,
    );
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

function number(name: 'minutes' | 'seed' | 'longest'): number {
  const value = Number(values[name]);
  if (value > 0) return value;
  console.error(`--${name} must be a number above 0, not '${values[name]}'\n${usage}`);
  process.exit(2);
}
