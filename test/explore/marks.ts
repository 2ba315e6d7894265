/** The changes that clients made, slot by slot, and what each client knows of them. */
import { letters } from './folding.js';

import type { Now } from '#protocol';
/**
 * What must never be seen, in a sentence that names who and what: a search ends with the shortest way to it.
 */
export class Violation extends Error {}

/** What became of a mark, as its client knows it. */
export type Outcome =
  | 'pending'
  | 'acknowledged'
  /** With write-back: the result is given, the change is not sent yet. */
  | 'made'
  | 'refused'
  | 'unknown'
  /** Its session has ended, as it should. */
  | 'gone';

/** What an app server needs to know of the world, and tells to it, within one step. */
export interface Diary {
  readonly now: Now;
  /** A new mark, which nobody else has. */
  mark(session: string): string;
  settle(mark: string, outcome: Outcome): void;
  destroyed(session: string): void;
  /** An acknowledged mark that is not among these. */
  missing(session: string, seen: readonly string[]): string | undefined;
}

export interface Mark {
  readonly session: string;
  readonly outcome: Outcome;
}

export function nameOf(slot: number, number: number): string {
  return `${letters[slot]}${number}`;
}

/** A mark that was acknowledged in the session, and is not among those that are seen. */
export function missingIn(
  marks: readonly (readonly Mark[])[],
  session: string,
  seen: readonly string[],
): string | undefined {
  for (const [slot, list] of marks.entries()) {
    for (const [at, mark] of list.entries()) {
      const name = nameOf(slot, at + 1);
      if (mark.session === session && mark.outcome === 'acknowledged' && !seen.includes(name)) return name;
    }
  }
  return undefined;
}

/** What is wrong with the marks of a session as they are stored: one twice, or one that must not be there. */
export function wrongIn(marks: readonly (readonly Mark[])[], stored: readonly string[]): string | undefined {
  if (new Set(stored).size < stored.length) return `a change is there twice: ${stored.join(' ')}`;
  for (const name of stored) {
    const outcome = marks[letters.indexOf(name[0]!)]![Number(name.slice(1)) - 1]!.outcome;
    if (outcome === 'refused') return `${name} is there, though its client was told that it is not`;
    if (outcome === 'gone') return `${name} is there again, though its session has ended`;
  }
  return undefined;
}
