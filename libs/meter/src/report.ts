/** What a meter has counted, as data and as a table for people. */

export interface MeterCounts {
  /** Saves that the store took, or has not answered yet. */
  readonly saves: number;
  /** Saves that put another value over a change that they had not read. */
  readonly lost: number;
  /** Saves that put the same value over a change that they had not read. */
  readonly same: number;
  /** Saves that brought back a session that was gone. */
  readonly revived: number;
  /** Saves of which the meter knows nothing. */
  readonly unknown: number;
}

export interface MeterReport extends MeterCounts {
  /** Those with the most overwriting saves first. */
  readonly routes: readonly (MeterCounts & { readonly route: string })[];
  /** How many saves overwrote an unread change of each key, by the same value or another one. */
  readonly keys: readonly { readonly key: string; readonly saves: number }[];
}

/** What is beyond `maxRoutes` and `maxKeys` stands under these names. */
export const otherRoutes = '(other routes)';
export const otherKeys = '(other keys)';

export interface MergeLimits {
  readonly maxRoutes: number;
  readonly maxKeys: number;
}

/** The sum of several reports, such as those of the processes of a cluster. */
export function mergeReports(reports: readonly MeterReport[], limits: MergeLimits): MeterReport {
  const routes = new Map<string, MeterCounts>();
  for (const { route, ...counts } of reports.flatMap((report) => report.routes)) {
    const name = placeOf(route, routes, limits.maxRoutes, otherRoutes);
    routes.set(name, sumOf([routes.get(name) ?? none, counts]));
  }
  const keys = new Map<string, number>();
  for (const { key, saves } of reports.flatMap((report) => report.keys)) {
    const name = placeOf(key, keys, limits.maxKeys, otherKeys);
    keys.set(name, (keys.get(name) ?? 0) + saves);
  }
  return reportOf(routes, keys);
}

export function reportOf(
  routes: ReadonlyMap<string, MeterCounts>,
  keys: ReadonlyMap<string, number>,
): MeterReport {
  const rows = [...routes].map(([route, counts]) => ({ route, ...counts }));
  const harm = ({ lost, same, revived }: MeterCounts) => lost + same + revived;
  return {
    ...sumOf([...routes.values()]),
    routes: rows.sort((one, other) => harm(other) - harm(one) || other.saves - one.saves),
    keys: [...keys].map(([key, saves]) => ({ key, saves })).sort((one, other) => other.saves - one.saves),
  };
}

/** The name under which something is counted, when there is room for `most` names and one for the others. */
export const placeOf = (
  name: string,
  taken: ReadonlyMap<string, unknown>,
  most: number,
  others: string,
): string => (taken.has(name) || taken.size < most ? name : others);

const none: MeterCounts = { saves: 0, lost: 0, same: 0, revived: 0, unknown: 0 };
const columns = ['saves', 'lost', 'same', 'revived', 'unknown'] as const;

function sumOf(counts: readonly MeterCounts[]): MeterCounts {
  const sum = { ...none };
  for (const one of counts) for (const column of columns) sum[column] += one[column];
  return sum;
}

/** The report as a few lines of text, with a table that has a row for each route. */
export function reportText({ routes, keys, ...all }: MeterReport): string {
  const rows = [...routes, { route: 'all', ...all }];
  const cells = [
    ['route', ...columns],
    ...rows.map((row) => [row.route, ...columns.map((column) => String(row[column]))]),
  ];
  const widths = cells[0]!.map((_cell, at) => Math.max(...cells.map((line) => line[at]!.length)));
  const lines = cells.map((line) =>
    line.map((cell, at) => (at === 0 ? cell.padEnd(widths[at]!) : cell.padStart(widths[at]!))).join('  '),
  );
  const keyText = keys.map(({ key, saves }) => `${key} ${saves}`).join(', ');
  return [verdictText(all), '', ...lines, ...(keyText === '' ? [] : ['', `Keys: ${keyText}`])].join('\n');
}

function verdictText({ saves, lost, same }: MeterCounts): string {
  if (lost + same === 0)
    return `None of ${saves} saves was seen to write over a change that it had not read.`;
  return (
    `${lost + same} of ${saves} saves wrote over a change that they had not read, ` +
    `${lost} by another value and ${same} by the same value. There may be more.`
  );
}
