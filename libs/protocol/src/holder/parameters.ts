/** The settings by which a process holds locks. An application chooses them. */

/** Where acquires wait: in the partition's queue, or in an own queue of each session (rule 21). */
export type QueueLayout = 'partitioned' | 'per-session';

export interface LeaseParameters {
  /**
   * How often the holder renews, in milliseconds. A short lease is renewed more often, three times in its
   * length.
   */
  readonly renewMs: number;
  /** How often the holder asks for a lease where none runs, in milliseconds. */
  readonly repeatMs: number;
}

export interface HolderParameters extends LeaseParameters {
  readonly queues: QueueLayout;
  /** The deployment's number of partitions. */
  readonly partitions: number;
  /** A message without an answer is sent again after this long, in milliseconds. */
  readonly repeatMs: number;
  /**
   * Changes are buffered for at most this long, in milliseconds (write-back, rule 20). With 0 each is sent at
   * once.
   */
  readonly writeBackMs: number;
}
