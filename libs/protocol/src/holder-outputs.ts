/**
 * What a holder's machine has for its user: the locks that are held, and what happened to them. The counterpart of store-outputs.ts.
 */
import type { RefusalReason } from './messages.js';
import type { Token } from './order.js';

/** A lock that this process holds, with its copy of the state. */
export interface HeldGrant {
  readonly session: string;
  readonly token: Token;
  /** The seq of the last change sent under it. */
  readonly seq: number;
  /** Every change through this seq is durable. */
  readonly acknowledged: number;
  /** Others wait: the store asked the lock back. */
  readonly recalled: boolean;
  readonly attributes: ReadonlyMap<string, HeldAttribute>;
  /** To be set by the user of the lock whenever the session is used (rule 15). */
  used: boolean;
  /** How many use it now, to be counted by the user of the lock: until they have left, the session is in use all the time. */
  inside: number;
}

export interface HeldAttribute {
  readonly bytes: Uint8Array;
  /** The seq, within this grant, of the change that made it; 0 when it is older than the grant. */
  readonly seq: number;
}

export type HolderEvent =
  /** The lock is here. `contended`: it is to be given back as soon as what waits now has had its turn. */
  | { readonly kind: 'granted'; readonly grant: HeldGrant; readonly contended: boolean }
  | { readonly kind: 'recalled'; readonly grant: HeldGrant }
  /** `grant.acknowledged` has grown; the grant may have ended since. */
  | { readonly kind: 'acknowledged'; readonly grant: HeldGrant }
  /** The store says that the lock, which was in doubt, is still held. */
  | { readonly kind: 'trusted'; readonly grant: HeldGrant }
  /**
   * Nothing sent under the grant after `grant.acknowledged` is applied; with `outcome-unknown`, perhaps. The grant is over. `madeAreLost`: with
   * write-back, changes whose results were given already are among it.
   */
  | {
      readonly kind: 'lost';
      readonly grant: HeldGrant;
      readonly why: RefusalReason;
      readonly madeAreLost: boolean;
    }
  /** The store counts this many partitions: told whenever it says another number than before. */
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
  /** Grants and recalls that fitted nothing here and were answered by an empty release (rule 12). */
  returns: number;
  /** Messages sent again. */
  repeats: number;
  /** Frames of an older epoch, dropped (rule 13). */
  staleFrames: number;
}
