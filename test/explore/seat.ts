/**
 * What an explored app server keeps for one session: the lock, the scope that waits or is inside, and the
 * results that wait for an answer. And the list of marks that is stored in a session.
 */
import type { HeldGrant } from '#protocol';

/** How a scope ends. */
export type Ending = 'reading' | 'changing' | 'destroying';

/** The first change of a new session, which goes with the request for it. */
export interface Creation {
  readonly mark: string;
  readonly values: ReadonlyMap<string, Uint8Array>;
}

/** The answer to a scope leaves when everything through `seq` is durable. */
export interface Result {
  readonly grant: HeldGrant;
  readonly seq: number;
  readonly mark?: string;
  readonly destroys?: true;
  /** What the scope should have seen and did not: its result must not leave. */
  readonly missing: string | undefined;
}

export interface Seat {
  grant: HeldGrant | undefined;
  scope: 'waits' | 'inside' | undefined;
  /** When the scope gives up waiting, by the monotonic clock; and when it began. */
  deadline: number;
  since: number;
  results: Result[];
  /** What is made with the session, until it is known what came of it. */
  creation: Creation | undefined;
}

const attribute = 'm';
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** The marks as the attributes of a session. */
export function marksAs(marks: readonly string[]): ReadonlyMap<string, Uint8Array> {
  return new Map([[attribute, encoder.encode(marks.join(' '))]]);
}

/** The marks in a list as it is stored. */
function marksIn(bytes: Uint8Array | undefined): string[] {
  return bytes && bytes.length > 0 ? decoder.decode(bytes).split(' ') : [];
}

/** The marks of a session, in a copy or in a record. */
export function marksOf(attributes: ReadonlyMap<string, { readonly bytes: Uint8Array }>): string[] {
  return marksIn(attributes.get(attribute)?.bytes);
}

export const emptySeat = (): Seat => ({
  grant: undefined,
  scope: undefined,
  deadline: 0,
  since: 0,
  results: [],
  creation: undefined,
});
