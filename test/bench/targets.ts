/** Pure: which targets of a case were missed. */
import type { Case, Target } from './cases.js';
import type { ContestantName } from './contestants/contestants.js';
import { ratio, spread, valueOf, type Measured, type Metric } from './figures.js';

/** By contestant, one entry a round. */
export type Rounds = Partial<Record<ContestantName, readonly Measured[]>>;

/** Longer is worse. */
const times: readonly Metric[] = ['p50', 'p95', 'p99', 'max', 'storeMb'];

/** A line for each. `roundsOf` finds the rounds of another case of the row, if it has run. */
export function missedTargets(
  its: Case,
  rounds: Rounds,
  roundsOf: (name: string) => Rounds | undefined,
): string[] {
  const [first] = its.contestants;
  const ours = rounds[first!];
  if (!ours) return [];
  const lost = spread(ours.map((one) => one.lost)).max;
  const lines = lost > 0 ? [`target missed: ${lost} acknowledged changes lost, to be 0`] : [];
  for (const target of its.targets ?? []) {
    const metric = target.metric ?? its.metric;
    const other = otherOf(target, metric, { first: first!, rounds, roundsOf });
    if (!other) continue;
    const { name, of } = other;
    const { median } = of ? ratio(ours, of, metric) : spread(ours.map((one) => valueOf(one, metric)));
    const { atMost = Infinity, atLeast = -Infinity } = target;
    if (Number.isNaN(median) || (median <= atMost && median >= atLeast)) continue;
    const unit = of ? ' ×' : '';
    const bound = target.atMost === undefined ? `at least ${atLeast}` : `at most ${atMost}`;
    lines.push(`target missed: ${figure(median)}${unit} ${name} by ${metric}, to be ${bound}${unit}`);
  }
  return lines;
}

interface Field {
  readonly first: ContestantName;
  readonly rounds: Rounds;
  roundsOf(name: string): Rounds | undefined;
}

/**
 * What the target compares with: nothing when that has not run, and no rounds when it is the figure itself.
 */
function otherOf(
  { against, inCase }: Target,
  metric: Metric,
  { first, rounds, roundsOf }: Field,
): { name: string; of?: readonly Measured[] } | undefined {
  if (inCase !== undefined) {
    const of = roundsOf(inCase)?.[first];
    return of && { name: `'${inCase}'`, of };
  }
  if (against === undefined) return { name: first };
  const names = typeof against === 'string' ? [against] : against;
  const there = names.filter((name) => rounds[name]);
  const medianOf = (name: ContestantName) => spread(rounds[name]!.map((one) => valueOf(one, metric))).median;
  const [best] = there.sort((a, b) => (medianOf(a) - medianOf(b)) * (times.includes(metric) ? 1 : -1));
  return best && { name: best, of: rounds[best]! };
}

const figure = (value: number) => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(2));
