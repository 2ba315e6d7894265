/**
 * What happened to one session, as operations on its attributes: each took effect at one moment between its
 * beginning and its end, or, if it is optional, perhaps never. All that a scope read and changed is one
 * operation.
 */

/** The hash of an attribute's value; null where there is none. */
export type Value = string | null;

export interface Operation {
  /** For people. */
  readonly name: string;
  readonly process: string;
  readonly machine: string;
  /** Milliseconds since 1970, by the machine's clock. The end is infinite where nobody knows it. */
  readonly begin: number;
  readonly end: number;
  /** It may have had no effect at all: its process was killed, or was told nothing. */
  readonly optional: boolean;
  readonly reads: ReadonlyMap<string, Value>;
  /** It read everything: what `reads` does not name was not there. */
  readonly readsAll: boolean;
  /** It removed everything, before it wrote `writes`. */
  readonly clears: boolean;
  readonly writes: ReadonlyMap<string, Value>;
  /** The token that it bore, as evidence. */
  readonly token?: readonly [number, number];
}

/**
 * A session's state in the middle of a history. `rest` is what every attribute is that `values` does not
 * name: not there, or not known, since the traces begin later than the session.
 */
export interface State {
  readonly values: ReadonlyMap<string, Value>;
  readonly rest: null | undefined;
}

export const unknownState: State = { values: new Map(), rest: undefined };

export const valueIn = (state: State, name: string): Value | undefined =>
  state.values.has(name) ? state.values.get(name)! : state.rest;

/** The attributes that the operation saw otherwise than they are in this state. */
export function mismatches(state: State, { reads, readsAll }: Operation): string[] {
  const found: string[] = [];
  for (const [name, value] of reads) {
    const is = valueIn(state, name);
    if (is !== undefined && is !== value) found.push(name);
  }
  if (!readsAll) return found;
  for (const [name, value] of state.values) if (value !== null && !reads.has(name)) found.push(name);
  return found;
}

/** The state after the operation, which has no mismatch with it. What was not known is as it was read. */
export function after(state: State, operation: Operation): State {
  const { reads, readsAll, clears, writes } = operation;
  const rest = clears || readsAll ? null : state.rest;
  const learns = [...reads.keys()].some((name) => valueIn(state, name) === undefined);
  if (!clears && !learns && writes.size === 0 && rest === state.rest) return state;
  const values = new Map(clears ? [] : [...state.values, ...reads]);
  for (const [name, value] of writes) values.set(name, value);
  if (rest === null) for (const [name, value] of values) if (value === null) values.delete(name);
  return { values, rest };
}

/** The same text for the same state. */
export function stateKey({ values, rest }: State): string {
  const sorted = [...values].sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([rest === null, sorted]);
}
