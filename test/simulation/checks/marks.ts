/**
 * The list of marks that a scope must see in a session. The simulator's checkers and the checker of recorded
 * histories (test/fault) share these pure rules.
 */

/** How a change ended for its scope. */
export type Outcome =
  | 'acknowledged'
  | 'refused'
  | 'unknown'
  /** With write-back: made, and kept unless its holder fails. */
  | 'made';

/** One change: a mark appended to an attribute's list. */
export interface Mark {
  readonly id: string;
  readonly session: string;
  readonly attribute: string;
  outcome: Outcome | 'pending';
}

/** What a scope has locked. */
export interface Locked {
  readonly write: readonly string[];
  readonly read: readonly string[];
}

/** An attribute that two scopes must not have locked at the same time. */
export function clash(a: Locked, b: Locked): string | undefined {
  return overlap(a.write, b.write) ?? overlap(a.write, b.read) ?? overlap(a.read, b.write);
}

/**
 * What is wrong with a list. It must hold each change once that was acknowledged before, and none that was
 * refused.
 */
export function* wrongInList(
  list: readonly string[],
  acknowledgedBefore: Iterable<string>,
  marks: ReadonlyMap<string, Mark>,
): Generator<string> {
  const seen = new Set(list);
  if (seen.size !== list.length) yield 'sees a change twice';
  for (const id of acknowledgedBefore) if (!seen.has(id)) yield `does not see ${id}, acknowledged before,`;
  for (const id of seen) {
    const mark = marks.get(id);
    if (!mark) yield `sees ${id}, which nobody made,`;
    else if (mark.outcome === 'refused') yield `sees ${id}, which was refused,`;
  }
}

function overlap(a: readonly string[], b: readonly string[]): string | undefined {
  return a.find((name) => b.includes(name));
}
