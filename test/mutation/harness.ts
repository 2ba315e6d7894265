/**
 * What the specs get in place of Vitest, so that one process can run each of their tests again and again. The
 * expectations are Vitest's own. A test that waits on real time has no place here.
 */
import { expect } from 'vitest';
import fastCheck from 'fast-check';

export { expect };

type Body = (...row: readonly unknown[]) => unknown;

/** One test, with what runs before and after it. */
export interface Case {
  readonly file: string;
  readonly title: string;
  readonly run: () => unknown;
}

interface Group {
  readonly titles: readonly string[];
  readonly before: (() => unknown)[];
  readonly after: (() => unknown)[];
}

/** A property runs no more often than this. Mutants are many. */
const maxRuns = 150;
/** They take seconds, since what they show is a size. */
const tooSlow =
  /eight megabytes|5,000 sessions|lists within lists|2,000 queued scopes|200,000 locks|may be wide/;
/** They judge a checker of the tests, and take as many runs as they need. */
const canaries = /are noticed when the store/;

export const collected: Case[] = [];
let file = '';
let group: Group = { titles: [], before: [], after: [] };

/** The next tests are of this file. */
export function beginFile(path: string): void {
  file = path;
  group = { titles: [], before: [], after: [] };
}

export const it = Object.assign(addTest, { each: (rows: readonly unknown[]) => eachOf(rows, addTest) });
export const describe = Object.assign(addGroup, {
  each: (rows: readonly unknown[]) => eachOf(rows, addGroup),
});
export const beforeEach = (run: () => unknown): void => void group.before.push(run);
export const afterEach = (run: () => unknown): void => void group.after.push(run);
export const vi = { setConfig: () => undefined };

/** A test's options, or its time-out after it, say how long it may take. That is measured here. */
function addTest(title: string, ...given: readonly unknown[]): void {
  const body = given.find((one) => typeof one === 'function') as Body;
  const { titles, before, after } = group;
  const run = () => runInOrder([...before, body, ...after]);
  const full = [...titles, title].join(', ');
  if (!tooSlow.test(full) && !canaries.test(full)) collected.push({ file, title: full, run });
}

function addGroup(title: string, body: Body): void {
  const outer = group;
  const { titles, before, after } = outer;
  group = { titles: [...titles, title], before: [...before], after: [...after] };
  body();
  group = outer;
}

function eachOf(rows: readonly unknown[], add: (title: string, body: Body) => void) {
  return (title: string, body: Body) => {
    // As Vitest does: when the first row is a list, each is, and its items are the arguments.
    const areLists = Array.isArray(rows[0]);
    for (const [place, row] of rows.entries()) {
      add(`${title} (${place})`, () => body(...(areLists ? (row as unknown[]) : [row])));
    }
  };
}

/** What returns no promise runs at once. */
function runInOrder(bodies: readonly (() => unknown)[]): unknown {
  for (const [place, body] of bodies.entries()) {
    const result = body();
    if (result instanceof Promise) return result.then(() => runInOrder(bodies.slice(place + 1)));
  }
  return undefined;
}

type Check = (
  property: unknown,
  parameters?: { readonly numRuns?: number; readonly seed?: number },
) => unknown;

/** The same values at each run, fewer of them, and no smaller counterexample is looked for. */
const bounded =
  (check: Check): Check =>
  (property, parameters = {}) =>
    check(property, {
      ...parameters,
      endOnFailure: true,
      seed: parameters.seed ?? 1,
      numRuns: Math.min(parameters.numRuns ?? 100, maxRuns),
    } as object);

const { assert, check } = fastCheck as unknown as { assert: Check; check: Check };

/** fast-check, as the specs import it. */
export default { ...fastCheck, assert: bounded(assert), check: bounded(check) };
