/**
 * The outputs of a holder's machine for the user of its locks: the held locks, and events about them.
 * store/outputs.ts is the counterpart.
 */
import type { RefusalReason } from '../wire/messages.js';
import type { Token } from '../wire/order.js';

/** A lock that this process holds, with its copy of the state. */
export interface HeldGrant {
  readonly session: string;
  readonly token: Token;
  /** The seq of the last change sent under it. */
  readonly seq: number;
  /** Every change through this seq is durable. */
  readonly acknowledged: number;
  /** The store asked for the lock back, since others wait. */
  readonly recalled: boolean;
  /** The lock goes from holder to holder: it is given back when no scope uses it (rule 23). */
  readonly untilIdle: boolean;
  readonly attributes: ReadonlyMap<string, HeldAttribute>;
  /** The user of the lock sets this when the session is used (rule 15). */
  used: boolean;
  /**
   * How many scopes use the lock now. The user of the lock counts them. The session counts as used while
   * there are any.
   */
  inside: number;
}

export interface HeldAttribute {
  readonly bytes: Uint8Array;
  /**
   * The seq, within this grant, of the change that set it. It is 0 when the value is older than the grant.
   */
  readonly seq: number;
}

export type HolderEvent =
  /** The lock is here. A contended one goes back as soon as the scopes that wait now have had their turn. */
  | { readonly kind: 'granted'; readonly grant: HeldGrant; readonly contended: boolean }
  | { readonly kind: 'recalled'; readonly grant: HeldGrant }
  /** `grant.acknowledged` has grown. The grant may have ended since. */
  | { readonly kind: 'acknowledged'; readonly grant: HeldGrant }
  /** The store has confirmed a lock that was in doubt. */
  | { readonly kind: 'trusted'; readonly grant: HeldGrant }
  /**
   * The grant is over. No change after `grant.acknowledged` is applied. With `outcome-unknown` some may be.
   * `madeAreLost` says that, with write-back, changes that the user already built on are among them.
   */
  | {
      readonly kind: 'lost';
      readonly grant: HeldGrant;
      readonly why: RefusalReason;
      readonly madeAreLost: boolean;
    }
  /** The store counts this many partitions. The event comes when the number changes. */
  | { readonly kind: 'partitions'; readonly partitions: number }
  /** The request for a session was refused and is over. */
  | {
      readonly kind: 'refused';
      readonly session: string;
      readonly why: RefusalReason;
      readonly detail: string;
    };

export interface HolderCounters {
  grants: number;
  recalls: number;
  commits: number;
  releases: number;
  /** Grants and recalls that fitted nothing here. An empty release answered them (rule 12). */
  returns: number;
  /** Messages sent again. */
  repeats: number;
  /** Frames of an older epoch, which were dropped (rule 13). */
  staleFrames: number;
}
