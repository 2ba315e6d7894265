/**
 * `npm run fault -- [--minutes 1] [--seed 1] [--json] [--verbose]`: real processes, real faults, and a history that is checked. Exits 1 on any violation; then the history
 * is kept, and the report says where, and which command has the same faults again.
 */
import { parseArgs } from 'node:util';
import { run, type RunReport } from './run.js';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string', default: '1' },
    longest: { type: 'string', default: '15' },
    queues: { type: 'string', default: 'partitioned' },
    peers: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const usage = `npm run fault -- [--minutes 1] [--seed 1] [--longest 15] [--queues partitioned] [--json] [--verbose] [--peers]
  --minutes   how long faults happen
  --seed      decides which, when and for how long; the same seed plans the same
  --longest   the longest pause, cut or stall, in seconds
  --queues    where requests for locks wait: partitioned or per-session
  --peers     instead, one scripted fault here and with other locks: a holder that is paused past its lease
  --json      the report as JSON, and nothing else on stdout
  --verbose   every line that the processes print`;

if (values.help) console.log(usage);
else if (values.peers) await peers();
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

async function peers(): Promise<void> {
  const { comparePeers } = await import('./peers.js');
  const figures = await comparePeers();
  if (values.json) return console.log(JSON.stringify(figures, undefined, 2));
  for (const { what, trials, staleWrites, waitedMs } of figures)
    console.log(
      `${what}: ${staleWrites} stale writes in ${trials} trials; the other one waited ${waitedMs} ms`,
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
    'faults, and the longest that a session was asked for in vain about them:',
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
