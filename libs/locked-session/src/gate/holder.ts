/**
 * The process as a holder of locks: the calls by which a gate wants, uses and gives back its lock.
 * `HolderDriver` implements it.
 */
import type { ChangeSet, HeldGrant } from '#protocol';

export interface Holder {
  /**
   * Asks for the lock until `deadline` (monotonic, in milliseconds). With `create` the store may make the
   * session, with these first attributes.
   */
  want(session: string, deadline: number, create: ReadonlyMap<string, Uint8Array> | undefined): void;
  /** Takes back what `want` asked for. */
  giveUp(session: string): void;
  /** Returns the seq to wait for. */
  commit(grant: HeldGrant, changes: ChangeSet): number;
  /** Sends the changes that write-back keeps. */
  flush(grant: HeldGrant): void;
  /** Asks the store whether the lock is still held. Returns the seq to wait for. */
  confirmHeld(grant: HeldGrant): number;
  /** Whether the lock may be used without asking. If not, the store is asked. */
  trusts(grant: HeldGrant): boolean;
  /** Whether a lock that no scope uses is given back without a recall. */
  isTurnOver(grant: HeldGrant, resultsThatWait: number): boolean;
  release(grant: HeldGrant): void;
  /** Ends the session for good, and the grant with it. */
  destroy(grant: HeldGrant): void;
}
