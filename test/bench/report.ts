/** The result of a case as text: one line a contestant, and one that begins `target missed:` where it is. */
import { ratio, spread, type Measured, type Spread } from './figures.js';
import { contestants, type ContestantName } from './contestants/contestants.js';
import type { Case } from './rows.js';

export interface CaseResult {
  readonly row: string;
  readonly case: string;
  /** By contestant, one entry a round. */
  readonly rounds: Partial<Record<ContestantName, Measured[]>>;
}

export function report(its: Case, { row, rounds }: CaseResult): string {
  const ours = rounds['locked-session'];
  const lines = [`\n${row}: ${its.name}`];
  for (const [name, measured] of Object.entries(rounds) as [ContestantName, Measured[]][]) {
    const compared =
      ours && name !== 'locked-session' ? `, ours ${times(ratio(ours, measured, its.metric))}` : '';
    lines.push(`  ${name.padEnd(16)} ${told(measured)}${compared}   (${contestants[name].what})`);
  }
  const missed = ours && missedTarget(its, ours, rounds);
  if (missed) lines.push(missed);
  return lines.join('\n');
}

function told(measured: readonly Measured[]): string {
  const of = (metric: keyof Measured) => spread(measured.map((one) => one[metric]));
  const { median, min, max } = of('rate');
  const rate = `${count(median)}/s (${count(min)}–${count(max)})`;
  const latency = `p50 ${ms(of('p50').median)}, p95 ${ms(of('p95').median)}, p99 ${ms(of('p99').median)}`;
  const owners = of('ownerChanges').median;
  const lost = of('lost').max;
  return [rate, latency, owners > 0 && `${count(owners)} owner changes/s`, lost > 0 && `${count(lost)} LOST`]
    .filter(Boolean)
    .join(', ');
}

function missedTarget(its: Case, ours: Measured[], rounds: CaseResult['rounds']): string | undefined {
  const { target, metric } = its;
  const others = target && rounds[target.against];
  if (!others) return undefined;
  const { median } = ratio(ours, others, metric);
  const { atMost = Infinity, atLeast = 0 } = target;
  if (median <= atMost && median >= atLeast) return undefined;
  const bound = target.atMost === undefined ? `at least ${atLeast}` : `at most ${atMost}`;
  return `target missed: ${median.toFixed(2)} × ${target.against} by ${metric}, to be ${bound} ×`;
}

const count = (value: number) => Math.round(value).toLocaleString('en');
const ms = (value: number) => (value < 0.1 ? `${(value * 1_000).toFixed(1)} µs` : `${value.toFixed(2)} ms`);
const times = ({ median, min, max }: Spread) =>
  `${median.toFixed(2)} × (${min.toFixed(2)}–${max.toFixed(2)})`;
