/**
 * The messages of protocol version 1, as values. Holders and stores talk in frames: all messages that one turn of the
 * event loop produced for one destination. See docs/PROTOCOL.md for the rules that they follow.
 */
import type { Token, Version } from './order.js';

export const protocolVersion = 1;

/** What happens to a session's attributes: new values, as encoded bytes, and names that go. */
export interface Changes {
  readonly set: ReadonlyMap<string, Uint8Array>;
  readonly delete: readonly string[];
}

export const noChanges: Changes = { set: new Map(), delete: [] };

/** A frame from a holder. `queue` is where answers reach it: a new name with every connection. */
export interface HolderFrame {
  readonly version: typeof protocolVersion;
  readonly partition: number;
  readonly holder: string;
  readonly queue: string;
  readonly messages: readonly HolderMessage[];
}

/** A frame from a store (rule 13: bears the partition and the epoch that it speaks for). */
export interface StoreFrame {
  readonly version: typeof protocolVersion;
  readonly partition: number;
  readonly epoch: number;
  readonly messages: readonly StoreMessage[];
}

// Holder to store. ---------------------------------------------------------------------------------------------

export type HolderMessage = Acquire | Cancel | Commit | Release | Destroy | Renew | Leave | Knock;

/** Asks for the lock. Repeated with the same `request` until it is answered or cancelled. */
export interface Acquire {
  readonly kind: 'acquire';
  readonly session: string;
  /** Unique within the holder, never used again. */
  readonly request: number;
  /** Room for a shared mode. */
  readonly mode: LockMode;
  /** The version that the holder still has a copy of: the grant then brings only what changed since. */
  readonly known?: Version | undefined;
  /** The session may be made if the store does not know it; these are its first attributes, applied as seq 1. */
  readonly create?: ReadonlyMap<string, Uint8Array> | undefined;
  /** How long the store may keep the request waiting, from its receipt. */
  readonly waitMs: number;
}

export type LockMode = 'exclusive';

/** The request is not wanted any more and no grant of it was ever accepted. */
export interface Cancel {
  readonly kind: 'cancel';
  readonly session: string;
  readonly request: number;
}

/** Changes to be made durable under a grant. `seq` counts from 1 within the grant, without gaps (rule 6). */
export interface Commit extends Changes {
  readonly kind: 'commit';
  readonly session: string;
  readonly token: Token;
  readonly seq: number;
}

/**
 * Gives the lock back, with the last changes. `seq` 0 is an empty release: it returns a grant that the holder does not
 * know or does not want, whatever was applied under it (rule 12).
 */
export interface Release extends Changes {
  readonly kind: 'release';
  readonly session: string;
  readonly token: Token;
  readonly seq: number;
}

/** Ends the session for good, and the grant with it. Answered like a release. */
export interface Destroy {
  readonly kind: 'destroy';
  readonly session: string;
  readonly token: Token;
  readonly seq: number;
}

/** Says that the holder lives, and where it is reached now. */
export interface Renew {
  readonly kind: 'renew';
  /** Counts the holder's renewals of this partition. */
  readonly n: number;
  /** Locks that the holder wants to go on with after a cut. */
  readonly reclaim?: readonly SessionToken[] | undefined;
  /** Held sessions that were used, with the age of that use in milliseconds. */
  readonly touches?: readonly SessionAge[] | undefined;
}

export type SessionToken = readonly [session: string, token: Token];
export type SessionAge = readonly [session: string, ageMs: number];

/** The holder is going and holds nothing any more. */
export interface Leave {
  readonly kind: 'leave';
}

/**
 * An acquire waits in the session's own queue (layout `per-session`, rule 21): tells the owner which queue to consume. Said again, as an acquire is in the other layout, until the
 * request is answered.
 */
export interface Knock {
  readonly kind: 'knock';
  readonly session: string;
  readonly request: number;
  /** How long the store may keep the request waiting, from its receipt. */
  readonly waitMs: number;
  /** How long ago the acquire was put into the queue. */
  readonly ageMs: number;
}

// Store to holder. ---------------------------------------------------------------------------------------------

export type StoreMessage = Grant | Recall | Committed | Released | Renewed | Revoked | Refused;

/** The lock, together with the state: exactly the attributes in `set` and, unchanged since `known`, those in `keep`. */
export interface Grant {
  readonly kind: 'grant';
  readonly session: string;
  readonly request: number;
  readonly token: Token;
  readonly mode: LockMode;
  readonly version: Version;
  /** The last seq applied under this token already: 1 for a session that this grant made, else 0. */
  readonly seq: number;
  readonly set: ReadonlyMap<string, Uint8Array>;
  readonly keep: readonly string[];
  /** Others wait already: the grant is itself the recall (rule 4). */
  readonly contended: boolean;
}

/** Asks the lock back, because somebody waits. */
export interface Recall {
  readonly kind: 'recall';
  readonly session: string;
  readonly token: Token;
}

/** Every change through `seq` is durable. */
export interface Committed {
  readonly kind: 'committed';
  readonly session: string;
  readonly token: Token;
  readonly seq: number;
}

/** The grant has ended by the holder's release, and everything sent under it is durable. */
export interface Released {
  readonly kind: 'released';
  readonly session: string;
  readonly token: Token;
}

export interface Renewed {
  readonly kind: 'renewed';
  readonly n: number;
  readonly leaseMs: number;
  /** How long after its last touch a session is kept: the holder touches what it uses every eighth of it (rule 15). */
  readonly ttlMs: number;
  /** The deployment's number of partitions: a holder that counts another would look for sessions in the wrong place. */
  readonly partitions: number;
  /** Of the reclaimed locks, those that are still the holder's. */
  readonly valid?: readonly SessionToken[] | undefined;
  /** The holder's locks that are recalled, and those that were revoked. */
  readonly recalled: readonly SessionToken[];
  readonly revoked: readonly SessionToken[];
}

/** The store took the lock away. Answered by an empty release, before which nobody else gets in unless the holder's lease is over (rule 10). */
export interface Revoked {
  readonly kind: 'revoked';
  readonly session: string;
  readonly token: Token;
  readonly why: RevocationReason;
}

export type RevocationReason =
  /** Nothing was heard of the holder for a lease. */
  | 'lease-over'
  /** The holder lives, but did not release in time. */
  | 'recall-timeout';

/** Why a request or a change was not granted or applied. */
export type RefusalReason =
  /** seq leaves a gap: send again from `appliedThrough` + 1. */
  | 'gap'
  /** The grant has ended: nothing after `appliedThrough` was applied, nor will be. */
  | 'ended'
  /** The store does not remember the grant: changes may have been applied or not. */
  | 'outcome-unknown'
  /** The session belongs to another partition: the two sides count a different number of them. */
  | 'wrong-partition'
  /** The store does not know the session, and the request may not make it. */
  | 'unknown-session'
  /** The session was destroyed, and stays so (rule 14). */
  | 'destroyed'
  /** Too many wait: for this session, or in this partition. */
  | 'too-many-waiters'
  /** Too many queues for sessions were made, or in too short a time (rule 21). */
  | 'too-many-queues'
  /** The acquire that this knock tells of is not in the session's queue: put it there again (rule 21). */
  | 'unheard'
  /** A limit on sizes is exceeded. */
  | 'too-large'
  /** The store does not know this kind of message. */
  | 'unsupported';

export interface Refused {
  readonly kind: 'refused';
  readonly session: string;
  readonly why: RefusalReason;
  /** Which acquire was refused; or else token and seq say which change. */
  readonly request?: number | undefined;
  readonly token?: Token | undefined;
  readonly seq?: number | undefined;
  /** The last seq that was applied under the token. */
  readonly appliedThrough?: number | undefined;
  /** For people: numbers behind the reason. */
  readonly detail?: string | undefined;
}
