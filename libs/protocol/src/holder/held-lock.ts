/**
 * A lock in the holder's machine: the copy of the state, and its changes that are not sent yet (rule
 * 20). Here a change is applied to a copy. The machine decides when to send it.
 */
import type { ChangeSet, Grant } from '../wire/messages.js';
import type { Now, Version } from '../wire/order.js';
import type { LeasedLock } from './leases.js';
import type { HeldAttribute, HeldGrant } from './outputs.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface HeldLock extends Mutable<HeldGrant & LeasedLock> {
  readonly attributes: Map<string, HeldAttribute>;
  version: Version;
  /** The last use of the session that the store knows of, by the monotonic clock. */
  touchedAt: number;
  unsent: Unsent | undefined;
}

/** Buffered changes, folded into one. The first of them was made at `since`. */
interface Unsent {
  readonly set: Map<string, Uint8Array>;
  readonly removed: Set<string>;
  readonly since: Now;
  /** Bytes of all values that were ever put in. */
  bytes: number;
}

/** Most bytes and names that the changes of one turn are folded to. */
const foldedBytes = 64 * 1024;
const foldedNames = 1_000;

/** The copy that a holder keeps of a session after it gave the lock back. */
export type KnownCopy = Pick<HeldLock, 'version' | 'attributes'>;

/**
 * The lock of a grant, for a request that was made at `askedAt`. Undefined when the grant builds on a copy
 * that is not here.
 */
export function heldLockOf(
  grant: Grant,
  known: KnownCopy | undefined,
  askedAt: number,
): HeldLock | undefined {
  const attributes = assemble(grant, known);
  if (!attributes) return undefined;
  const { session, token, seq, version, contended, untilIdle = false } = grant;
  return {
    session,
    token,
    seq,
    acknowledged: seq,
    recalled: contended,
    untilIdle,
    attributes,
    version,
    used: false,
    inside: 0,
    touchedAt: askedAt, // the grant was a use for the store, perhaps long ago
    confirmed: -1,
    revoked: false,
    unsent: undefined,
  };
}

/** Applies changes to the copy, as the seq that is sent next. Returns that seq. */
export function applyTo(lock: HeldLock, { set, removed }: ChangeSet): number {
  const seq = lock.seq + 1;
  if (set.size === 0 && removed.length === 0) return seq;
  for (const name of removed) lock.attributes.delete(name);
  for (const [name, bytes] of set) lock.attributes.set(name, { bytes, seq });
  lock.version = [...lock.token, seq];
  return seq;
}

/** Buffers changes, on top of the buffered ones. */
export function buffer(lock: HeldLock, { set, removed }: ChangeSet, now: Now): void {
  const unsent = (lock.unsent ??= { set: new Map(), removed: new Set(), since: now, bytes: 0 });
  for (const name of removed) {
    unsent.set.delete(name);
    unsent.removed.add(name);
  }
  for (const [name, bytes] of set) {
    unsent.set.set(name, bytes);
    unsent.bytes += bytes.length;
  }
}

/**
 * Whether these changes may join the buffered ones of the same turn. A message that is too large ends the
 * grant. So what the broker would take in two messages is not put into one.
 */
export function fitsBuffer({ unsent }: HeldLock, { set, removed }: ChangeSet): boolean {
  if (!unsent) return true;
  let bytes = unsent.bytes;
  for (const value of set.values()) bytes += value.length;
  const names = unsent.set.size + unsent.removed.size + set.size + removed.length;
  return bytes <= foldedBytes && names <= foldedNames;
}

/** Takes the buffered changes, together with `changes`. The buffer is empty then. */
export function takeBuffered(lock: HeldLock, changes: ChangeSet, now: Now): ChangeSet {
  if (!lock.unsent) return changes;
  buffer(lock, changes, now);
  const { set, removed } = lock.unsent;
  lock.unsent = undefined;
  return { set, removed: [...removed] };
}

/**
 * The whole state, from the grant and from the attributes of the copy that it keeps. Undefined when the copy
 * lacks one.
 */
function assemble(
  { set, keep }: Grant,
  known: KnownCopy | undefined,
): Map<string, HeldAttribute> | undefined {
  const attributes = new Map<string, HeldAttribute>();
  for (const name of keep) {
    const attribute = known?.attributes.get(name);
    if (!attribute) return undefined;
    attributes.set(name, { bytes: attribute.bytes, seq: 0 });
  }
  for (const [name, bytes] of set) attributes.set(name, { bytes, seq: 0 });
  return attributes;
}
