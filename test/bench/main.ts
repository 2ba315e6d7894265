/**
 * `npm run bench -- [NAME…]`: Locked Session beside its peers and beside the limit. In each round all
 * contestants of a case run one after the other, each in processes of its own. A ratio is taken within a
 * round. With `--json` a run that was stopped goes on where it was. `--table` makes the tables of
 * docs/BENCHMARKS.md from such files.
 */
import { parseArgs } from 'node:util';
import { noInstall } from '../../scripts/services/debian.js';
import { runCase, type CaseRun } from './case-run.js';
import type { Row } from './cases.js';
import type { ContestantName } from './contestants/contestants.js';
import { Progress } from './progress.js';
import { report } from './report.js';
import { newResult, read, resumed, write } from './result.js';
import { rows, type RowName } from './rows.js';
import { Services } from './services.js';
import { writeTables } from './tables.js';

const usage = `npm run bench -- [NAME…] [options]
  NAME              of ${Object.keys(rows).join(', ')}: all without any;
                    or of some cases of a row, 'growth:waiters': those whose names have that text
  --quick           one round of the rows that say most, in less than five minutes
  --rounds <n>      how often all contestants of a case run in turn [5]
  --seconds <n>     how long each runs, after a warm-up of a third of that [2]
  --first           only the first case of each row
  --json <file>     where the figures go; what is in it is not run again
  --table <file>    runs nothing: writes the tables and curves of docs/BENCHMARKS.md from the figures of that
                    file, and of more files beside it (other versions of Node)
  --broker-url <u>  the RabbitMQ to use, as does AMQP_URL; else one is found or started
  --no-install      installs no package of the system
  --glance          for tests: of each row the first case, with those contestants that no row before has had
  --together <n>    for tests: so many cases at once, whose figures say nothing then [1]`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string', default: '2' },
    first: { type: 'boolean', default: false },
    json: { type: 'string' },
    table: { type: 'string', multiple: true },
    'broker-url': { type: 'string' },
    'no-install': { type: 'boolean', default: false },
    glance: { type: 'boolean', default: false },
    together: { type: 'string', default: '1' },
    help: { type: 'boolean', default: false },
  },
});
if (values['no-install']) process.env[noInstall.variable] = '1';
if (values['broker-url'] !== undefined) process.env.AMQP_URL = values['broker-url'];
const wanted = positionals.map((name) => {
  const [row, ...text] = name.split(':');
  return { row: row!, text: text.join(':') };
});
const unknown = wanted.find(({ row }) => !(row in rows));
if (values.help) console.log(usage);
else if (unknown !== undefined) {
  console.error(`there is no row '${unknown.row}'\n${usage}`);
  process.exitCode = 2;
} else if (values.table) writeTables(values.table.map(read));
else await main();

async function main(): Promise<void> {
  const rounds = positive('rounds', values.rounds ?? (values.quick ? '1' : '5'));
  const seconds = positive('seconds', values.seconds);
  const pace = { ms: seconds * 1_000, warmUpMs: (seconds * 1_000) / 3 };
  const result = values.json === undefined ? newResult(seconds) : resumed(values.json, seconds);
  const all = chosen().map((one): CaseRun => ({ ...one, rounds, pace }));
  const isDone = ({ row, its }: CaseRun) =>
    result.cases.some((done) => done.row === row && done.case === its.name);
  const left = all.filter((one) => !isDone(one));
  const services = new Services();
  const progress = new Progress(left);
  console.log(`Node ${result.node}, ${result.machine}; ${rounds} rounds of ${seconds} s`);
  for (const done of result.cases) tell(done);
  const next = left.values();
  const work = async () => {
    for (const one of next) {
      const told = (round: number, name: ContestantName) => progress.begin(one, round, name);
      const measured = await runCase(one, services, told);
      result.cases.push(measured);
      Object.assign(result.servers, services.told);
      if (values.json !== undefined) write(values.json, result);
      progress.clear();
      tell(measured);
    }
  };
  try {
    await Promise.all(Array.from({ length: positive('together', values.together) }, work));
    for (const told of Object.values(result.servers)) console.log(told);
  } finally {
    progress.clear();
    await services.stop();
  }

  function tell(measured: (typeof result.cases)[number]): void {
    const its = (rows[measured.row] as Row).cases.find((one) => one.name === measured.case);
    if (its) console.log(report(its, measured, result));
  }
}

/** The cases of this run, in the order of the rows. */
function chosen(): Pick<CaseRun, 'row' | 'its' | 'names'>[] {
  const met = new Set<ContestantName>();
  const names = (Object.keys(rows) as RowName[]).filter((name) =>
    wanted.length > 0 ? wanted.some(({ row }) => row === name) : !values.quick || (rows[name] as Row).quick,
  );
  return names.flatMap((row) => {
    const { cases }: Row = rows[row];
    const texts = wanted.filter((one) => one.row === row).map(({ text }) => text);
    const named = cases.filter(({ name }) => texts.length === 0 || texts.some((text) => name.includes(text)));
    return (values.first || values.glance ? named.slice(0, 1) : named).map((its) => {
      const [first, ...others] = its.contestants;
      const unmet = others.filter((name) => !values.glance || !met.has(name));
      for (const name of unmet) met.add(name);
      return { row, its, names: [first!, ...unmet] };
    });
  });
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0)) throw new Error(`--${option} must be a number above 0, not '${text}'`);
  return value;
}
