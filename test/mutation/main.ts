/**
 * `npm run mutate [-- --only PATH,…] [--report FILE] [--again] [--specs PATH,…] [--budget MS] [--workers N]`:
 * says how many small faults in the protocol, the attribute locks, cookies and values are noticed by a test.
 * It exits 1 when one survives that accepted.ndjson does not name. It goes on with a report that is there,
 * and with `--again` it tries the survivors in it again. `--specs` asks these specs alone, and neither the
 * explorer nor the simulator. `--budget` bounds what the tests of one mutant may take.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Court } from './court.js';
import { mutate, type Mutant } from './mutants.js';
import { linesOf, Report, scoresOf, textOf, type Accepted } from './report.js';
import { makeTree, removeTree, sourcesIn } from './tree.js';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    report: { type: 'string', default: 'mutation-report.ndjson' },
    specs: { type: 'string' },
    budget: { type: 'string', default: '60000' },
    again: { type: 'boolean', default: false },
    workers: { type: 'string', default: String(Math.min(availableParallelism(), 4)) },
  },
});

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
const budgetMs = Number(values.budget);
const accepted = linesOf<Accepted>('test/mutation/accepted.ndjson');

/** Whether the path begins with one of these; it does when there are none. */
const isAmong = (path: string, beginnings = '') => beginnings.split(',').some((one) => path.startsWith(one));
const isSpec = (path: string) => path.endsWith('.spec.ts');
const files = targets
  .flatMap((target) => (target.endsWith('.ts') ? [target] : sourcesIn('.', target)))
  .filter((path) => !isSpec(path))
  .filter((path) => isAmong(path, values.only));
if (files.length === 0) throw new Error(`--only must begin one of ${targets.join(', ')}`);

const mutants: Mutant[] = [];
const mutated = new Map<string, string>();
for (const file of files) {
  const found = mutate(file, readFileSync(file, 'utf8'), mutants.length);
  mutants.push(...found.mutants);
  mutated.set(file, found.code);
}

const report = new Report(values.report);
const pending = mutants.filter((mutant) => {
  const known = report.of(mutant)?.outcome;
  return known === undefined || (values.again && known !== 'killed');
});
console.log(`${mutants.length} mutants in ${files.length} files, ${pending.length} of them to judge`);
if (pending.length > 0) await judge();
const { scores, stale } = scoresOf(mutants, report, accepted);
console.log(textOf(scores, stale));
if (stale.length > 0 || scores.some(({ survivors }) => survivors.length > 0)) process.exitCode = 1;

async function judge(): Promise<void> {
  const started = performance.now();
  const seconds = () => `${((performance.now() - started) / 1_000).toFixed(0)} s`;
  const specs = specsIn.flatMap((folder) => sourcesIn('.', folder)).filter(isSpec);
  const used = specs
    .filter((path) => !without.test(path) && isAmong(path, values.specs))
    .map((path) => path.replace(/\.ts$/, ''));
  const folder = makeTree('.', mutated);
  try {
    const court = new Court(folder, { specs: used, judges: values.specs === undefined, budgetMs }, mutants);
    const cases = await court.open();
    console.log(`${cases.length} tests and judges, measured after ${seconds()}`);
    for (const { name, fails } of cases) if (fails !== undefined) console.log(`left out: ${name}: ${fails}`);
    let count = 0;
    await court.judge(pending, Number(values.workers), (mutant, judged) => {
      report.add(mutant, judged);
      if (++count % 100 === 0) console.log(`${count} of ${pending.length} judged after ${seconds()}`);
    });
  } finally {
    removeTree(folder);
  }
}
