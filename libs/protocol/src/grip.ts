/**
 * A lock as the holder's machine keeps it: the copy of the state, and what was changed there and is not sent yet (write-back, rule 20). What a change
 * does to a copy is here; when it is sent is the machine's.
 */
import type { HeldAttribute, HeldGrant } from './holder-outputs.js';
import type { LeasedLock } from './leases.js';
import { noChanges, type Changes, type Grant } from './messages.js';
import type { Now, Version } from './order.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface Grip extends Mutable<HeldGrant & LeasedLock> {
  readonly attributes: Map<string, HeldAttribute>;
  version: Version;
  /** When the store knew the session as used last, by the monotonic clock. */
  touchedAt: number;
  unsent: Unsent | undefined;
}

/** Changes that are made here and held back, all in one. `since` the first of them, by the monotonic clock. */
interface Unsent {
  readonly set: Map<string, Uint8Array>;
  readonly delete: Set<string>;
  readonly since: number;
}

/** What a holder still has of a session that it does not hold any more. */
export type KnownCopy = Pick<Grip, 'version' | 'attributes'>;

/** The lock that a grant brings, on a request of `askedAt`. Undefined when it builds on a copy that is not here. */
export function gripOf(grant: Grant, known: KnownCopy | undefined, askedAt: number): Grip | undefined {
  const attributes = assemble(grant, known);
  if (!attributes) return undefined;
  const { session, token, seq, version, contended } = grant;
  return {
    session,
    token,
    seq,
    acknowledged: seq,
    recalled: contended,
    attributes,
    version,
    used: false,
    inside: 0,
    touchedAt: askedAt, // the store saw the session used when it granted, which may be long ago
    trust: -1,
    unsent: undefined,
  };
}

/** Makes changes in the copy, as the seq that is sent next. Returns that. */
export function alter(grip: Grip, { set, delete: removed }: Changes): number {
  const seq = grip.seq + 1;
  if (set.size === 0 && removed.length === 0) return seq;
  for (const name of removed) grip.attributes.delete(name);
  for (const [name, bytes] of set) grip.attributes.set(name, { bytes, seq });
  grip.version = [...grip.token, seq];
  return seq;
}

/** Keeps changes to be sent later, with what is kept already. */
export function holdBack(grip: Grip, { set, delete: removed }: Changes, now: Now): void {
  grip.unsent ??= { set: new Map(), delete: new Set(), since: now.mono };
  for (const name of removed) {
    grip.unsent.set.delete(name);
    grip.unsent.delete.add(name);
  }
  for (const [name, bytes] of set) grip.unsent.set.set(name, bytes);
}

/** What was kept to be sent, together with `changes`; nothing is kept after it. */
export function takeUnsent(grip: Grip, changes: Changes, now: Now): Changes {
  if (!grip.unsent) return changes;
  holdBack(grip, changes, now);
  const { set, delete: removed } = grip.unsent;
  grip.unsent = undefined;
  return set.size === 0 && removed.size === 0 ? noChanges : { set, delete: [...removed] };
}

/** The whole state: what the grant brings, and what it says is unchanged. Undefined when that is not here. */
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
