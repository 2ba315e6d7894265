/**
 * The settings by which a store gives out locks. An operator chooses them. All stores of a deployment agree
 * on the number of partitions.
 */

export interface HearingParameters {
  /** How long a holder may trust its locks without an answer, in milliseconds. */
  readonly leaseMs: number;
  /** How long a living holder has to release after a recall, in milliseconds (rule 10). */
  readonly recallTimeoutMs: number;
}

export interface HolderLeaseParameters extends HearingParameters {
  /**
   * How the store treats a holder whose queue is gone. It waits for the end of the lease, or revokes at once.
   */
  readonly unreachableHolder: 'wait-for-lease' | 'revoke';
}

export interface StoreParameters extends HolderLeaseParameters {
  /** The deployment's number of partitions. */
  readonly partitions: number;
  /**
   * The most requests that may wait for one session (two at least), and in one partition. The second number
   * also bounds the queues of sessions that the store consumes in a partition.
   */
  readonly waitersPerSession: number;
  readonly waitersPerPartition: number;
  /**
   * The longest turn with a lock that goes from holder to holder, in milliseconds. 0 means that each holder
   * is asked back at once (rule 23).
   */
  readonly turnMs: number;
  /** How many ended grants of each session are remembered (rule 6). */
  readonly endedGrants: number;
  /** How long a session is kept after its last touch, in milliseconds (rule 15). */
  readonly ttlMs: number;
  /** How long a tombstone is kept, in milliseconds. It is far longer than the longest wait (rule 14). */
  readonly tombstoneMs: number;
  /** How long each request for a destroyed session is refused as destroyed, in milliseconds (rule 14). */
  readonly destroyedNoticeMs: number;
}

/** How a store became the owner of its partition. */
export interface Ownership {
  /** When it claimed the partition, by its monotonic clock. */
  readonly since: number;
  /** The longest lease that any owner has granted, in milliseconds. */
  readonly longestLeaseMs: number;
}
