/**
 * `npm run bench -- [NAME…] [--quick] [--rounds 5] [--seconds 3] [--json FILE]`: Locked Session beside its
 * peers and beside the limit. In each round all contestants of a case run one after the other, each in
 * processes of its own. A ratio is taken within a round. With `--json` a run that was stopped goes on where
 * it was.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import type { Backend } from './contest.js';
import { contestants, type ContestantName } from './contestants/contestants.js';
import { runRound, type Pace } from './contest-run.js';
import { report, type CaseResult } from './report.js';
import { rows, type Case, type Row, type RowName } from './rows.js';
import { Services } from './services.js';

export interface BenchResult {
  readonly machine: string;
  readonly broker: string;
  readonly cases: CaseResult[];
}

const usage = `npm run bench -- [NAME…] [--quick] [--rounds 5] [--seconds 3] [--first] [--json FILE]
  NAME       of ${Object.keys(rows).join(', ')}: all without any
  --quick    one round of the rows that say most
  --rounds   how often all contestants of a case run in turn
  --seconds  how long each runs, after a warm-up of a third of that
  --first    only the first case of each row
  --json     where the figures go; what is in it is not run again`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string', default: '3' },
    first: { type: 'boolean', default: false },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
const unknown = positionals.find((name) => !(name in rows));
if (values.help) console.log(usage);
else if (unknown !== undefined) {
  console.error(`there is no row '${unknown}'\n${usage}`);
  process.exitCode = 2;
} else await main();

async function main(): Promise<void> {
  const rounds = positive('rounds', values.rounds ?? (values.quick ? '1' : '5'));
  const ms = positive('seconds', values.seconds) * 1_000;
  const pace = { ms, warmUpMs: ms / 3 };
  const chosen = (Object.keys(rows) as RowName[]).filter((name) =>
    positionals.length > 0 ? positionals.includes(name) : !values.quick || (rows[name] as Row).quick,
  );
  const machine = `Node ${process.version}, ${cpus().length} × ${cpus()[0]!.model}`;
  const services = new Services();
  const broker = await services.start('amqp');
  const result = resumed(values.json) ?? { machine, broker, cases: [] };
  console.log(`${machine}; ${broker}; ${rounds} rounds of ${ms / 1_000} s`);
  try {
    const cases = chosen.flatMap((row) => casesOf(row).map((its) => ({ row, its })));
    for (const { row, its } of cases) {
      const done = result.cases.find((one) => one.row === row && one.case === its.name);
      const measured = done ?? (await runCase(row, its, rounds, pace, services));
      if (!done) result.cases.push(measured);
      save(result);
      console.log(report(its, measured));
    }
  } finally {
    await services.stop();
  }
}

function casesOf(row: RowName): readonly Case[] {
  const { cases }: Row = rows[row];
  return values.first ? cases.slice(0, 1) : cases;
}

async function runCase(
  row: string,
  its: Case,
  rounds: number,
  pace: Pace,
  services: Services,
): Promise<CaseResult> {
  const name = `bench-${row}-${randomUUID().slice(0, 8)}`;
  const result: CaseResult = { row, case: its.name, rounds: {} };
  const backends = new Map<ContestantName, Backend>();
  try {
    for (const contestant of its.contestants) {
      const { needs, start } = contestants[contestant];
      for (const kind of needs) await services.start(kind);
      if (start) backends.set(contestant, await start({ ...placeOf(contestant, 0), member: 0 }));
    }
    for (let round = 1; round <= rounds; round++)
      for (const contestant of its.contestants) {
        progress(`${row}, ${its.name}: round ${round} of ${rounds}, ${contestant}`);
        const measured = await runRound(contestant, its, placeOf(contestant, round), pace);
        (result.rounds[contestant] ??= []).push(measured);
      }
  } finally {
    progress('');
    await Promise.all([...backends.values()].map((backend) => backend.close()));
  }
  return result;

  function placeOf(contestant: ContestantName, round: number) {
    const { servers } = services;
    const address = backends.get(contestant)?.address;
    return {
      servers,
      name: `${name}-${contestant}`,
      sessions: `round-${round}`,
      address,
      settings: its.settings ?? {},
    };
  }
}

function save(result: BenchResult): void {
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result, undefined, 2)}\n`);
}

function resumed(file: string | undefined): BenchResult | undefined {
  if (file === undefined || !existsSync(file)) return undefined;
  return JSON.parse(readFileSync(file, 'utf8')) as BenchResult;
}

function progress(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${option} must be a number above 0, not '${text}'`);
  return value;
}
