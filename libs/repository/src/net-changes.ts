/**
 * What many calls of `apply` come to: for each session one change, however often it was written. The adapters
 * that write many calls at once (group commit) make their rows of it.
 */
import type { SessionWrite } from './repository.js';

/** A batch takes no further call once it has changed so many rows or bytes. */
export interface BatchLimits {
  readonly batchRows: number;
  readonly batchBytes: number;
}

export const defaultBatchLimits: BatchLimits = { batchRows: 4_096, batchBytes: 1_048_576 };

/** The change of one session. What is removed goes first, and what is set comes after it. */
export interface NetChange {
  /** All that is stored of the session is removed. */
  removed: boolean;
  /** Undefined: there is no session in the end. */
  head: Uint8Array | undefined;
  /** By name; undefined removes the attribute. It may be the map of the only write so far. */
  attributes: ReadonlyMap<string, Uint8Array | undefined>;
  /** The mark in the expiry index; absent, the stored one stays. */
  expires: { readonly is: number | undefined } | undefined;
  /** Every mark that a write named as the one before: their entries in the index are removed. */
  formerMarks: readonly number[];
}

export class NetChanges {
  readonly #partitions = new Map<number, Map<string, NetChange>>();
  #rows = 0;
  #bytes = 0;

  /** Adds writes that take effect after all that were added before. */
  add(partition: number, writes: readonly SessionWrite[]): void {
    let sessions = this.#partitions.get(partition);
    if (!sessions) this.#partitions.set(partition, (sessions = new Map<string, NetChange>()));
    for (const write of writes) {
      let change = sessions.get(write.session);
      if (!change) sessions.set(write.session, (change = unchanged()));
      apply(change, write);
      this.#count(write);
    }
  }

  get isEmpty(): boolean {
    return this.#rows === 0;
  }

  isFull({ batchRows, batchBytes }: BatchLimits): boolean {
    return this.#rows >= batchRows || this.#bytes >= batchBytes;
  }

  *[Symbol.iterator](): Generator<[partition: number, session: string, change: NetChange]> {
    for (const [partition, sessions] of this.#partitions)
      for (const [session, change] of sessions) yield [partition, session, change];
  }

  #count({ session, head, set, removed: names }: SessionWrite): void {
    this.#rows += 1 + names.length + set.size;
    this.#bytes += session.length + (head?.length ?? 0);
    for (const [name, value] of set) this.#bytes += name.length + value.length;
  }
}

const none: ReadonlyMap<string, Uint8Array> = new Map();

const unchanged = (): NetChange => ({
  removed: false,
  head: undefined,
  attributes: none,
  expires: undefined,
  formerMarks: [],
});

function apply(change: NetChange, { head, set, removed: names, expires }: SessionWrite): void {
  if (expires?.was !== undefined) change.formerMarks = [...change.formerMarks, expires.was];
  change.head = head;
  if (!head) {
    change.removed = true;
    change.attributes = none;
    change.expires = undefined;
    return;
  }
  if (change.attributes.size > 0 || names.length > 0) change.attributes = merged(change, names, set);
  else change.attributes = set;
  if (expires) change.expires = { is: expires.is };
}

function merged(
  { attributes }: NetChange,
  names: readonly string[],
  set: ReadonlyMap<string, Uint8Array>,
): ReadonlyMap<string, Uint8Array | undefined> {
  const all = new Map(attributes);
  for (const name of names) all.set(name, undefined);
  for (const [name, value] of set) all.set(name, value);
  return all;
}
