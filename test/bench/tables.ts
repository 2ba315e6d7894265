/**
 * `npm run bench -- --table FILE`: the tables and plots of docs/BENCHMARKS.md, from what runs have found. So
 * no figure in them is typed. The first file is told in full. The others, of other versions of Node, stand
 * beside it in one table.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { root } from '../../scripts/processes/processes.js';
import type { Case, Row } from './cases.js';
import type { ContestantName } from './contestants/contestants.js';
import { exponent, ratio, spread, valueOf, type Measured, type Metric } from './figures.js';
import { plot, type Curve } from './plot.js';
import { count, ms, times } from './report.js';
import { toldOf, type BenchResult, type CaseResult } from './result.js';
import { rows, type RowName } from './rows.js';
import { missedTargets } from './targets.js';

const document = 'docs/BENCHMARKS.md';
const plots = 'docs/benchmarks';
const [begin, end] = ['<!-- figures -->', '<!-- end of figures -->'];

export function writeTables(results: readonly BenchResult[]): void {
  const path = join(root, document);
  const before = readFileSync(path, 'utf8');
  const [from, to] = [before.indexOf(begin), before.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${document} must have ${begin} and ${end}`);
  const { text, drawings } = tables(results);
  writeFileSync(path, `${before.slice(0, from + begin.length)}\n\n${text}\n${before.slice(to)}`);
  for (const [name, svg] of drawings) {
    mkdirSync(dirname(join(root, plots, name)), { recursive: true });
    writeFileSync(join(root, plots, name), svg);
  }
  console.log(`${document} has the figures, ${plots} has ${drawings.size} plots`);
}

interface Tables {
  readonly text: string;
  /** The SVGs, by the names of their files. */
  readonly drawings: ReadonlyMap<string, string>;
}

export function tables(results: readonly BenchResult[]): Tables {
  const [main] = results;
  if (!main) throw new Error('--table needs a file');
  const drawings = new Map<string, string>();
  const parts = [
    measuredWith(main),
    contestantTable(main),
    missed(main),
    ...(Object.keys(rows) as RowName[]).flatMap((row) => rowPart(row, main, drawings)),
    ...(results.length > 1 ? [byNode(results)] : []),
  ];
  return { text: `${parts.join('\n\n')}\n`, drawings };
}

function measuredWith({ node, machine, servers, seconds, cases }: BenchResult): string {
  const rounds = Math.max(
    0,
    ...cases.flatMap((one) => Object.values(one.rounds).map(({ length }) => length)),
  );
  return [
    `Node ${node}, ${machine}.`,
    `${Object.values(servers).join('; ')}.`,
    `Each contestant ran for ${seconds} s in each of ${rounds} rounds, after a warm-up of a third of that.`,
    'All processes of a contest share the machine with its load.',
  ].join('\n');
}

function contestantTable({ cases }: BenchResult): string {
  const names = new Set(cases.flatMap((one) => Object.keys(one.rounds) as ContestantName[]));
  const lines = [...names].map((name) => {
    const { what, durability, lacks } = toldOf(name);
    return `| \`${name}\` | ${what} | ${durability} | ${lacks} |`;
  });
  return [
    '### The contestants',
    '',
    '| name | what it is | an acknowledged change survives | what it does not do |',
    '|---|---|---|---|',
    ...lines,
  ].join('\n');
}

function missed(result: BenchResult): string {
  const lines = result.cases.flatMap((found) => {
    const its = caseOf(found);
    const roundsOf = (name: string) => find(result, found.row, name)?.rounds;
    const all = its ? missedTargets(its, found.rounds, roundsOf) : [];
    return all.map((line) => `- \`${found.row}\`, ${found.case}: ${line.replace('target missed: ', '')}.`);
  });
  const none = 'No target was missed.';
  return ['### Targets that were missed', '', ...(lines.length > 0 ? lines : [none])].join('\n');
}

/** A row's table. Points of curves have tables of their own, with a plot. */
function rowPart(row: RowName, result: BenchResult, drawings: Map<string, string>): string[] {
  const { what, cases }: Row = rows[row];
  const found = cases.flatMap((its) => find(result, row, its.name) ?? []);
  if (found.length === 0) return [];
  const plain = found.filter((one) => !caseOf(one)!.on);
  const curves = [...new Set(found.flatMap((one) => caseOf(one)!.on?.curve ?? []))];
  return [
    `### \`${row}\``,
    `${what[0]!.toUpperCase()}${what.slice(1)}.`,
    ...(plain.length > 0 ? [caseTable(plain)] : []),
    ...curves.map((curve) => curvePart(row, curve, found, drawings)),
  ];
}

function caseTable(found: readonly CaseResult[]): string {
  const lines = found.flatMap(({ rounds, case: name, row }) => {
    const its = caseOf({ row, case: name })!;
    const [first] = its.contestants;
    const ours = rounds[first!];
    return (Object.entries(rounds) as [ContestantName, Measured[]][]).map(([contestant, measured]) => {
      const compared =
        ours && contestant !== first ? times(ratio(ours, measured, its.metric)) : `by ${told[its.metric]}`;
      return `| ${contestant === first ? name : ''} | \`${contestant}\` | ${cells(measured)} | ${compared} |`;
    });
  });
  return [`| ${heads.join(' | ')} |`, `|${'---|'.repeat(heads.length)}`, ...lines].join('\n');
}

const heads = [
  'case',
  'contestant',
  'a second',
  'p50',
  'p95',
  'p99',
  'longest',
  'owner changes a second',
  'lost',
  'CPU of an operation: app + store + server',
  'the first one is',
];

const axes: Record<Metric, string> = {
  rate: 'operations a second',
  p50: 'p50, in milliseconds',
  p95: 'p95, in milliseconds',
  p99: 'p99, in milliseconds',
  max: 'the longest, in milliseconds',
  ownerChanges: 'owner changes a second',
  storeMb: 'memory of the store, in MB',
};

const told: Record<Metric, string> = {
  rate: 'operations a second',
  p50: 'p50',
  p95: 'p95',
  p99: 'p99',
  max: 'the longest',
  ownerChanges: 'owner changes a second',
  storeMb: 'MB of the store',
};

function cells(measured: readonly Measured[]): string {
  const of = (metric: 'rate' | 'p50' | 'p95' | 'p99' | 'ownerChanges' | 'lost') =>
    spread(measured.map((one) => one[metric]));
  const { median, min, max } = of('rate');
  const longest = measured.map((one) => one.max).filter((value) => value !== undefined);
  const { ownerChanges, lost } = { ownerChanges: of('ownerChanges').median, lost: of('lost').max };
  return [
    `${count(median)} (${count(min)}–${count(max)})`,
    ...(['p50', 'p95', 'p99'] as const).map((metric) => ms(of(metric).median)),
    longest.length > 0 ? ms(Math.max(...longest)) : '',
    ownerChanges > 0 ? count(ownerChanges) : '',
    lost > 0 ? `**${count(lost)}**` : '0',
    (['app', 'store', 'server'] as const)
      .map((role) => measured.map((one) => one.cpu?.[role]).filter((value) => value !== undefined))
      .map((values) => (values.length > 0 ? count(spread(values).median) : '–'))
      .join(' + ') + ' µs',
  ].join(' | ');
}

function curvePart(
  row: RowName,
  curve: string,
  found: readonly CaseResult[],
  drawings: Map<string, string>,
): string {
  const points = found
    .filter((one) => caseOf(one)!.on?.curve === curve)
    .map(({ rounds, ...one }) => ({ x: caseOf(one)!.on!.x, metric: caseOf(one)!.metric, rounds }));
  const { metric } = points[0]!;
  const names = Object.keys(points[0]!.rounds) as ContestantName[];
  const at = (name: ContestantName, of: (one: Measured) => number | undefined) =>
    points.map(({ x, rounds }) => {
      const values = (rounds[name] ?? []).map(of).filter((value) => value !== undefined);
      return { x, ...(values.length > 0 ? spread(values) : { median: NaN, min: NaN, max: NaN }) };
    });
  const lines = names.flatMap((name) => [
    line(
      `\`${name}\`, a second`,
      at(name, (one) => one.rate),
      count,
    ),
    line(
      `\`${name}\`, p50`,
      at(name, (one) => one.p50),
      ms,
    ),
  ]);
  const memory = (['store', 'app'] as const).map((role) =>
    line(
      `memory of the ${role}, MB`,
      at(names[0]!, (one) => one.memory?.[role]),
      count,
    ),
  );
  const file = `${row}-${curve.replaceAll(' ', '-')}.svg`;
  const y = axes[metric];
  const drawn = names.map((name): Curve => {
    const values = at(name, (one) => valueOf(one, metric));
    return { name, points: values.map(({ x, median, min, max }) => ({ x, y: median, min, max })) };
  });
  drawings.set(file, plot(drawn, { title: `${y} by ${curve}`, xLabel: curve, yLabel: y }));
  return [
    `#### By ${curve}`,
    '',
    `![${y} by ${curve}](benchmarks/${file})`,
    '',
    `| ${curve} | ${points.map(({ x }) => x.toLocaleString('en')).join(' | ')} | grows with the power |`,
    `|---|${points.map(() => '---|').join('')}---|`,
    ...lines,
    ...memory,
  ].join('\n');
}

interface CurvePoint {
  readonly x: number;
  readonly median: number;
}

function line(name: string, points: readonly CurvePoint[], shown: (value: number) => string): string {
  const known = points.filter(({ median }) => median > 0);
  const power = known.length > 1 ? exponent(known.map(({ x, median }) => [x, median])).toFixed(2) : '';
  const figures = points.map(({ median }) => (Number.isNaN(median) ? '–' : shown(median)));
  return `| ${name} | ${figures.join(' | ')} | ${power} |`;
}

/** The first contestant of each case, and how it compares, on each version of Node. */
function byNode(results: readonly BenchResult[]): string {
  const [main] = results;
  const lines = main!.cases.flatMap((found) => {
    const its = caseOf(found);
    if (!its || its.on) return [];
    const [first, second] = its.contestants;
    const of = (result: BenchResult) => {
      const rounds = find(result, found.row, found.case)?.rounds;
      const ours = rounds?.[first!];
      if (!ours) return '–';
      const { median } = spread(ours.map((one) => valueOf(one, its.metric)));
      const figure = figureOf(its.metric, median);
      const others = second && rounds[second];
      return others
        ? `${figure}, ${ratio(ours, others, its.metric).median.toFixed(2)} × \`${second}\``
        : figure;
    };
    return [`| \`${found.row}\` | ${found.case} | ${results.map(of).join(' | ')} |`];
  });
  return [
    '### On other versions of Node',
    '',
    ...results.slice(1).map(({ node, machine, servers }) => `${node}: ${machine}, ${servers.amqp ?? ''}.`),
    '',
    `| row | case | ${results.map(({ node }) => node).join(' | ')} |`,
    `|---|---|${results.map(() => '---|').join('')}`,
    ...lines,
  ].join('\n');
}

function figureOf(metric: Metric, value: number): string {
  if (metric === 'storeMb') return `${count(value)} MB`;
  return metric === 'rate' || metric === 'ownerChanges' ? `${count(value)}/s` : ms(value);
}

const caseOf = ({ row, case: name }: Pick<CaseResult, 'row' | 'case'>): Case | undefined =>
  (rows[row] as Row | undefined)?.cases.find((its) => its.name === name);

const find = ({ cases }: BenchResult, row: RowName, name: string) =>
  cases.find((one) => one.row === row && one.case === name);
