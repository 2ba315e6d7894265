/**
 * The search, breadth first: all states that one move can lead to, then all that two can. So the first
 * violation is found by the fewest moves. It ends when there is nothing more to find, or at a bound.
 */
import { limits } from '#protocol';
import { Deployment, partsOf, type Rules, type State } from './deployment.js';
import { Folding } from './folding.js';
import { Parts } from './parts.js';
import { budgets, parametersOf, type Configuration, type Faults } from './configurations.js';
import { GoodStates, wrongInFuture } from './future.js';
import { wrongWith } from './invariants.js';
import { movesOf, type Moves } from './moves.js';
import { play } from './play.js';
import { Violation } from './marks.js';
import { Visited } from './visited.js';

export interface Bounds {
  readonly states: number;
  /** The good future of one state of so many is looked at, and of each one when it is left out. */
  readonly futureOf?: number;
}

export interface Counterexample {
  readonly configuration: string;
  readonly what: string;
  /** The names of the moves after the start. */
  readonly moves: readonly string[];
}

export interface Report {
  readonly states: number;
  readonly transitions: number;
  /** The most moves that lead to a state, of those that were seen. */
  readonly depth: number;
  /** States of which the good future was looked at, and such futures that were played to their end. */
  readonly futures: number;
  readonly played: number;
  /** Nothing is left to find. */
  readonly isComplete: boolean;
  readonly found: Counterexample | undefined;
}

export const noRules: Rules = { store: {}, holder: {} };

/**
 * Lists of 4,096 locks are too long to be explored. The protocol's limit is a constant, since no operator
 * sets it. So what is explored sets it for the time being.
 */
function shorten(listed: number): void {
  (limits as { listed: number }).listed = listed;
}

/** A configuration with its first state. */
export function begin(configuration: Configuration, rules: Rules) {
  const folding = new Folding(configuration.holders);
  const parts = new Parts(folding);
  const deployment = new Deployment(
    configuration.holders,
    parametersOf(configuration),
    rules,
    folding,
    parts,
  );
  const moves = movesOf(deployment, configuration);
  shorten(configuration.listed ?? 4_096);
  const none = Object.fromEntries(budgets.map((budget) => [budget, 0])) as Record<keyof Faults, number>;
  const many = Object.fromEntries(budgets.map((budget) => [budget, 9])) as Record<keyof Faults, number>;
  let first = deployment.first(many, configuration.visits, configuration.creates ?? false);
  for (const name of configuration.start) first = play(deployment, moves, first, name);
  return {
    deployment,
    parts,
    moves,
    first: { ...first, left: { ...none, ...configuration.faults } },
  };
}

export function explore(configuration: Configuration, rules: Rules, bounds: Bounds): Report {
  const { deployment, parts, moves, first } = begin(configuration, rules);
  const visited = new Visited();
  const good = new GoodStates();
  visited.add(deployment.printOf(first), 0, 0);
  let level: { number: number; state: State }[] = [{ number: 0, state: first }];
  let [transitions, depth, futures] = [0, 0, 0];
  const { futureOf = 1 } = bounds;
  const report = (isComplete: boolean, found?: Counterexample): Report => ({
    states: visited.size,
    transitions,
    depth,
    futures,
    played: good.played,
    isComplete,
    found,
  });
  const counterexample = (number: number, what: string, last?: string): Counterexample => ({
    configuration: configuration.name,
    what,
    moves: [...namesOf(first, visited.wayTo(number), moves), ...(last === undefined ? [] : [last])],
  });
  let next: typeof level = [];
  /**
   * Makes each move from a state. What is new goes to `next`. Returns what is wrong with the first that is.
   */
  const expand = (number: number, state: State): Counterexample | undefined => {
    for (const [place, move] of moves(state).entries()) {
      transitions++;
      const [to, thrown] = outcomeOf(move.next);
      if (thrown !== undefined) return counterexample(number, thrown, move.name);
      const print = deployment.printOf(to);
      const reached = visited.add(print, number, place);
      if (reached === undefined) continue;
      const isChosen = (print[0] >>> 0) % futureOf === 0;
      if (isChosen) futures++;
      const wrong =
        wrongWith(to) ??
        (isChosen ? wrongInFuture(deployment, to, configuration.sessions ?? ['s'], good) : undefined);
      if (wrong !== undefined) return counterexample(number, wrong, move.name);
      next.push({ number: reached, state: to });
    }
    return undefined;
  };
  while (level.length > 0) {
    next = [];
    for (const { number, state } of level) {
      const found = expand(number, state);
      if (found) return report(false, found);
      if (visited.size >= bounds.states) return report(false);
    }
    parts.keep(next.flatMap(({ state }) => partsOf(state)));
    level = next;
    if (next.length > 0) depth++;
  }
  return report(true);
}

/** The state after a move, or what was seen in it that must never be. */
export function outcomeOf(next: () => State): readonly [State, undefined] | readonly [undefined, string] {
  try {
    return [next(), undefined];
  } catch (error) {
    if (error instanceof Violation) return [undefined, error.message];
    throw error;
  }
}

/** The names of moves that are given by their places. */
function namesOf(first: State, places: readonly number[], moves: Moves): string[] {
  let state = first;
  return places.map((place) => {
    const move = moves(state)[place]!;
    state = move.next();
    return move.name;
  });
}
