/**
 * The messages of protocol version 3, as values. Holders and stores exchange frames. A frame has all messages
 * that one turn of the event loop produced for one destination, in a part for each partition.
 * docs/PROTOCOL.md has the rules of the messages.
 */
import type { Token, Version } from './order.js';

export const protocolVersion = 3;

/** A change of a session's attributes: new values, as encoded bytes, and removed names. */
export interface ChangeSet {
  readonly set: ReadonlyMap<string, Uint8Array>;
  readonly removed: readonly string[];
}

export const noChanges: ChangeSet = { set: new Map(), removed: [] };

/** The messages of one partition in a frame, in order. */
export interface Part<M extends HolderMessage | StoreMessage> {
  readonly partition: number;
  /**
   * In a holder's frame the highest epoch of the partition that the holder knows. It is 0 when the holder
   * knows none. In a store's frame the epoch for which the store speaks (rule 13).
   */
  readonly epoch: number;
  readonly messages: readonly M[];
}

/** A part from a holder, with what the frame tells of its sender. */
export interface HolderPart extends Part<HolderMessage> {
  readonly holder: string;
  /** The answers go there. It is a new one with each connection. */
  readonly queue: string;
}

export type StorePart = Part<StoreMessage>;

/** A frame from a holder. It has one part at least. */
export interface HolderFrame {
  readonly version: typeof protocolVersion;
  readonly holder: string;
  readonly queue: string;
  readonly parts: readonly HolderPart[];
}

/** A frame from a store. */
export interface StoreFrame {
  readonly version: typeof protocolVersion;
  /** Leads to the store's own queue. It is empty while the store has none (rule 22). */
  readonly key: string;
  readonly parts: readonly StorePart[];
}

// Holder to store. ------------------------------------------------------------------------------------------

export type HolderMessage = Acquire | Cancel | Commit | Release | Destroy | Renew | Leave | Knock;

/** Asks for the lock. The holder repeats it with the same `request` until an answer or a cancel. */
export interface Acquire {
  readonly kind: 'acquire';
  readonly session: string;
  /** Unique within the holder, and never reused. */
  readonly request: number;
  /** There is one mode today. The field leaves room for a shared one. */
  readonly mode: LockMode;
  /** The version of the holder's copy. The grant brings only later changes. */
  readonly known?: Version | undefined;
  /**
   * The first attributes of a session that the store does not know. They are applied as seq 1. Without them
   * the store makes no session.
   */
  readonly create?: ReadonlyMap<string, Uint8Array> | undefined;
  /** How long the store may keep the request waiting, from its receipt. */
  readonly waitMs: number;
}

export type LockMode = 'exclusive';

/** The holder does not want the request any more. It never accepted a grant of it. */
export interface Cancel {
  readonly kind: 'cancel';
  readonly session: string;
  readonly request: number;
}

/**
 * Changes that the store makes durable under a grant. `seq` counts from 1 within the grant, without gaps
 * (rule 6).
 */
export interface Commit extends ChangeSet {
  readonly kind: 'commit';
  readonly session: string;
  readonly token: Token;
  readonly seq: number;
}

/**
 * Gives the lock back, with the last changes. `seq` 0 is an empty release. A holder returns with it a grant
 * that it does not know or want, whatever changes were applied under the grant (rule 12).
 */
export interface Release extends ChangeSet {
  readonly kind: 'release';
  readonly session: string;
  readonly token: Token;
  readonly seq: number;
}

/** Ends the session for good, and the grant with it. The store answers it like a release. */
export interface Destroy {
  readonly kind: 'destroy';
  readonly session: string;
  readonly token: Token;
  readonly seq: number;
}

/** Shows that the holder lives, and where its answers go now. */
export interface Renew {
  readonly kind: 'renew';
  /** Counts the holder's renewals of this partition. */
  readonly n: number;
  /** The locks in doubt that the holder wants to keep. */
  readonly reclaim?: readonly ReclaimedLock[] | undefined;
  /** The held sessions that were used, each with the time since then in milliseconds. */
  readonly touches?: readonly SessionAge[] | undefined;
}

/**
 * A lock in doubt, with the last seq under it that the store acknowledged. The lock is lost if the store no
 * longer has that seq (rule 13).
 */
export type ReclaimedLock = readonly [session: string, token: Token, acknowledged: number];
export type SessionToken = readonly [session: string, token: Token];
export type SessionAge = readonly [session: string, ageMs: number];

/** The holder leaves. It holds nothing any more. */
export interface Leave {
  readonly kind: 'leave';
}

/**
 * Tells the owner of the partition that an acquire waits in the session's own queue (layout `per-session`,
 * rule 21). The owner consumes that queue. The holder repeats the knock until the request is answered.
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

// Store to holder. ------------------------------------------------------------------------------------------

export type StoreMessage =
  Grant | Recall | Committed | Released | Renewed | Revoked | Refused | Mismatch | Disowned;

/**
 * The lock, with the session's state. The state is the attributes in `set` and those in `keep`, which have
 * not changed since `known`.
 */
export interface Grant {
  readonly kind: 'grant';
  readonly session: string;
  readonly request: number;
  readonly token: Token;
  readonly mode: LockMode;
  readonly version: Version;
  /**
   * The last seq that is already applied under this token. It is 1 for a session that this grant made, else
   * 0.
   */
  readonly seq: number;
  readonly set: ReadonlyMap<string, Uint8Array>;
  readonly keep: readonly string[];
  /** Others wait already. The grant is a recall, too (rule 4). */
  readonly contended: boolean;
  /**
   * The lock goes from holder to holder. So its holder gives it back as soon as no scope uses it, without a
   * recall (rule 23).
   */
  readonly untilIdle?: boolean | undefined;
}

/** Asks for the lock back, because another holder waits. */
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

/** The holder's release ended the grant. All changes that it sent under the grant are durable. */
export interface Released {
  readonly kind: 'released';
  readonly session: string;
  readonly token: Token;
}

export interface Renewed {
  readonly kind: 'renewed';
  readonly n: number;
  readonly leaseMs: number;
  /**
   * The store keeps a session for so long after its last touch. A holder touches a session in use eight times
   * in it (rule 15).
   */
  readonly ttlMs: number;
  /**
   * The deployment's number of partitions. A holder with another number would ask the wrong partition for a
   * session.
   */
  readonly partitions: number;
  /** The reclaimed locks that are still the holder's. */
  readonly valid?: readonly SessionToken[] | undefined;
  /** The holder's locks that are recalled, and those that are revoked. */
  readonly recalled: readonly SessionToken[];
  readonly revoked: readonly SessionToken[];
}

/**
 * The store took the lock away. The holder answers by an empty release. The store grants the lock to the next
 * holder after that, or when the lease has run out (rule 10).
 */
export interface Revoked {
  readonly kind: 'revoked';
  readonly session: string;
  readonly token: Token;
  readonly why: RevocationReason;
}

export type RevocationReason =
  /** The store has not heard from the holder for a lease. */
  | 'lease-over'
  /** The holder lives, but did not release in time. */
  | 'recall-timeout';

/** Why a request or a change was not granted or applied. */
export type RefusalReason =
  /** seq leaves a gap. The holder sends all from `appliedThrough` + 1 again. */
  | 'gap'
  /** The grant has ended. No change after `appliedThrough` was applied, nor will one be. */
  | 'ended'
  /** The store does not remember the grant. Its changes may have been applied or not. */
  | 'outcome-unknown'
  /** The session belongs to another partition. The two sides have different numbers of partitions. */
  | 'wrong-partition'
  /** The store does not know the session, and the request may not make it. */
  | 'unknown-session'
  /** The session was destroyed. It stays so (rule 14). */
  | 'destroyed'
  /** Too many requests wait, for this session or in this partition. */
  | 'too-many-waiters'
  /** There are too many queues of sessions, or too many were made in a short time (rule 21). */
  | 'too-many-queues'
  /** The acquire of this knock is not in the session's queue. The holder puts it there again (rule 21). */
  | 'unheard'
  /** The change breaks a limit on sizes. */
  | 'too-large'
  /** The store does not know this kind of message. */
  | 'unsupported';

export interface Refused {
  readonly kind: 'refused';
  readonly session: string;
  readonly why: RefusalReason;
  /** The refused acquire. Of a refused change, `token` and `seq` are set instead. */
  readonly request?: number | undefined;
  readonly token?: Token | undefined;
  readonly seq?: number | undefined;
  /** The last seq that was applied under the token. */
  readonly appliedThrough?: number | undefined;
  /** Numbers behind the reason, for people. */
  readonly detail?: string | undefined;
}

/**
 * The answer to a holder's frame of another protocol version, alone in its frame. To the holder this frame is
 * of another version, too. So it reads only the head.
 */
export interface Mismatch {
  readonly kind: 'mismatch';
  /** The version of the store, and that of the holder's frame. */
  readonly store: number;
  readonly holder: number;
}

/**
 * Messages of the partition came to the store's own queue, but the store does not own the partition. It has
 * dropped them (rule 22). The epoch of such a part is 0.
 */
export interface Disowned {
  readonly kind: 'disowned';
}
