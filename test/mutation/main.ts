/**
 * `npm run mutate [-- --only PATH,…] [--report FILE] [--again] [--specs PATH,…] [--budget MS] [--workers N]`:
 * says how many small faults in the protocol, the attribute locks, cookies and values are noticed by a test.
 * It exits 1 when one survives that accepted.ndjson does not name, and 2 on wrong use. It goes on with a
 * report that is there, and with `--again` it tries the survivors in it again. `--specs` asks these specs
 * alone, and neither the explorer nor the simulator. `--budget` bounds what the tests of one mutant may
 * take.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { readOptions, runProgram, wholeNumber, WrongUse } from '../../scripts/command-line/command-line.js';
import { cleanUpOnExit } from '../../scripts/processes/exit-cleanup.js';
import { root } from '../../scripts/processes/processes.js';
import { Court, type Means } from './court.js';
import { mutate, type Mutant } from './mutants.js';
import { linesOf, Report, scoresOf, textOf, type Accepted } from './report.js';
import { fillTree, newTree, sourcesIn } from './tree.js';

const usage =
  'npm run mutate -- [--only PATH,…] [--report FILE] [--again] [--specs PATH,…] [--budget MS] [--workers N]';

const targets = [
  'libs/protocol/src/wire',
  'libs/protocol/src/store',
  'libs/protocol/src/holder',
  'libs/locked-session/src/locks',
  'libs/locked-session/src/values.ts',
  'libs/locked-session/src/nest/session-cookie.ts',
];
/** Their tests wait on sockets and on real time. */
const without = /\/(holder-driver|response-head)\.spec\.ts$/;
const specsIn = ['libs/protocol', 'libs/locked-session', 'test/simulation/scenes'];
const isSpec = (path: string) => path.endsWith('.spec.ts');

await runProgram(usage, async () => {
  const values = readOptions({
    only: { type: 'string' },
    report: { type: 'string', default: 'mutation-report.ndjson' },
    specs: { type: 'string' },
    budget: { type: 'string', default: '60000' },
    again: { type: 'boolean', default: false },
    workers: { type: 'string', default: String(Math.min(availableParallelism(), 4)) },
    help: { type: 'boolean', default: false },
  });
  if (values.help) {
    console.log(`${usage}\nPATH begins one of: ${targets.join(', ')}`);
    return 0;
  }
  const path = resolve(values.report);
  process.chdir(root);
  const means = {
    specs: chosenSpecs(values.specs),
    judges: values.specs === undefined,
    budgetMs: wholeNumber('--budget', values.budget),
  };
  const workers = wholeNumber('--workers', values.workers);
  const files = chosenFiles(values.only);
  return run(files, new Report(path), values.again, { means, workers });
});

interface Judging {
  readonly means: Means;
  readonly workers: number;
}

async function run(files: readonly string[], report: Report, again: boolean, how: Judging): Promise<number> {
  const mutants: Mutant[] = [];
  const mutated = new Map<string, string>();
  for (const file of files) {
    const found = mutate(file, readFileSync(file, 'utf8'), mutants.length);
    mutants.push(...found.mutants);
    mutated.set(file, found.code);
  }
  const pending = mutants.filter((mutant) => {
    const known = report.of(mutant)?.outcome;
    return known === undefined || (again && known !== 'killed');
  });
  console.log(`${mutants.length} mutants in ${files.length} files, ${pending.length} of them to judge`);
  if (pending.length > 0) await judge(mutants, mutated, pending, report, how);
  const accepted = linesOf<Accepted>('test/mutation/accepted.ndjson');
  const { scores, stale } = scoresOf(mutants, report, accepted);
  console.log(textOf(scores, stale));
  return stale.length > 0 || scores.some(({ survivors }) => survivors.length > 0) ? 1 : 0;
}

async function judge(
  mutants: readonly Mutant[],
  mutated: ReadonlyMap<string, string>,
  pending: readonly Mutant[],
  report: Report,
  { means, workers }: Judging,
): Promise<void> {
  const started = performance.now();
  const seconds = () => `${((performance.now() - started) / 1_000).toFixed(0)} s`;
  const folder = newTree();
  const will = cleanUpOnExit('rm -rf -- "$1"', folder); // a Ctrl-C leaves no copy of the sources
  try {
    fillTree('.', folder, mutated);
    const court = new Court(folder, means, mutants);
    const cases = await court.open();
    console.log(`${cases.length} tests and judges, measured after ${seconds()}`);
    for (const { name, fails } of cases) if (fails !== undefined) console.log(`left out: ${name}: ${fails}`);
    let count = 0;
    await court.judge(pending, workers, (mutant, judged) => {
      report.add(mutant, judged);
      if (++count % 100 === 0) console.log(`${count} of ${pending.length} judged after ${seconds()}`);
    });
  } finally {
    await will.execute();
  }
}

function chosenFiles(only: string | undefined): string[] {
  const files = targets
    .flatMap((target) => (target.endsWith('.ts') ? [target] : sourcesIn('.', target)))
    .filter((path) => !isSpec(path));
  return beginningWith('--only', only, files, targets);
}

function chosenSpecs(beginnings: string | undefined): string[] {
  const specs = specsIn.flatMap((folder) => sourcesIn('.', folder)).filter(isSpec);
  const used = specs.filter((path) => !without.test(path));
  return beginningWith('--specs', beginnings, used, specsIn).map((path) => path.replace(/\.ts$/, ''));
}

/** The paths that begin with one of these, or all. Throws a `WrongUse` for a beginning of none. */
function beginningWith(
  option: string,
  given: string | undefined,
  paths: readonly string[],
  all: readonly string[],
): string[] {
  const beginnings = (given ?? '').split(',');
  const vain = beginnings.find((one) => !paths.some((path) => path.startsWith(one)));
  if (vain !== undefined)
    throw new WrongUse(`${option} is '${given}', but no file begins with '${vain}': see ${all.join(', ')}`);
  return paths.filter((path) => beginnings.some((one) => path.startsWith(one)));
}
