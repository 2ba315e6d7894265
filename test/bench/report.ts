/** How the figures of a case look on a terminal. */
import { ratio, spread, type Measured, type Spread } from './figures.js';
import type { Case } from './cases.js';
import type { ContestantName } from './contestants/contestants.js';
import type { BenchResult, CaseResult } from './result.js';
import { missedTargets } from './targets.js';

export function report(its: Case, { row, rounds }: CaseResult, result: BenchResult): string {
  const [first] = its.contestants;
  const lines = [`\n${row}: ${its.name}`];
  for (const [name, measured] of Object.entries(rounds) as [ContestantName, Measured[]][]) {
    const ours = name === first ? undefined : rounds[first!];
    const compared = ours ? `   ${first} ${times(ratio(ours, measured, its.metric))}` : '';
    lines.push(`  ${name.padEnd(20)} ${told(measured)}${compared}`);
  }
  const roundsOf = (name: string) => result.cases.find((one) => one.row === row && one.case === name)?.rounds;
  return [...lines, ...missedTargets(its, rounds, roundsOf)].join('\n');
}

function told(measured: readonly Measured[]): string {
  const of = (metric: 'rate' | 'p50' | 'p95' | 'p99' | 'ownerChanges' | 'lost') =>
    spread(measured.map((one) => one[metric]));
  const { median, min, max } = of('rate');
  const rate = `${count(median)}/s (${count(min)}–${count(max)})`;
  const latency = `p50 ${ms(of('p50').median)}, p95 ${ms(of('p95').median)}, p99 ${ms(of('p99').median)}`;
  const longest = Math.max(...measured.map((one) => one.max ?? NaN));
  const owners = of('ownerChanges').median;
  const lost = of('lost').max;
  const cpu = Object.entries(measured[0]?.cpu ?? {}).map(([role]) => {
    const all = measured.map((one) => one.cpu?.[role as 'app'] ?? NaN);
    return `${role} ${Math.round(spread(all).median)}`;
  });
  return [
    rate,
    latency,
    Number.isFinite(longest) && `longest ${ms(longest)}`,
    owners > 0 && `${count(owners)} owner changes/s`,
    cpu.length > 0 && `CPU µs ${cpu.join(' + ')}`,
    lost > 0 && `${count(lost)} LOST`,
  ]
    .filter(Boolean)
    .join(', ');
}

export const count = (value: number) => Math.round(value).toLocaleString('en');
export const ms = (value: number) =>
  value < 0.1 ? `${(value * 1_000).toFixed(1)} µs` : `${value.toFixed(2)} ms`;
export const times = ({ median, min, max }: Spread) =>
  `${median.toFixed(2)} × (${min.toFixed(2)}–${max.toFixed(2)})`;
