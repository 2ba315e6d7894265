/**
 * The port `SessionRepository`: where the primary state of every session is kept. Names, heads and values are opaque
 * bytes here; what they mean is the protocol's (see record.ts in `#protocol`).
 *
 * What every adapter promises:
 * - Ownership: `claim` adds one to the partition's epoch and makes that durable on disk (fsync) before it
 *   resolves. From then on every `apply` that bears a lower epoch fails with `EpochLostError` and changes nothing.
 * - Atomicity: one `apply` is seen whole or not at all, by `load`, by `due` and after a crash.
 * - Order: calls of `apply` for one partition take effect in the order of calling. Calls for different partitions, and calls
 *   made while others are being written, may share one write (group commit).
 * - Verification: `apply` with no writes still verifies the epoch, in a transaction that began after the call (rule 7).
 * - Durability: when `apply` resolves, its writes survive the death of this process (`process`) or the loss of
 *   power (`disk`). With `process` they are on disk within a second, and a power loss takes a suffix of the
 *   order of writing, never a hole, where the adapter's files keep that order (see its ADR).
 * - Failure: an `apply` that fails for any reason but its epoch may have taken effect or not. Those called after it
 *   fail too, until the partition is claimed anew.
 */
export interface SessionRepository {
  /** Opens or creates the place. Throws an `OccupiedError` while another process has it for itself, and a `RepositoryError` that says what to do when it cannot. */
  open(): Promise<void>;

  /** What the first claim of all recorded; undefined before it. */
  deployment(): Promise<RecordedDeployment | undefined>;

  /**
   * Takes the partition. The first claim of all records `deployment.partitions` and `deployment.hash`; a later one
   * with other values fails with `DeploymentMismatchError` and changes nothing. The longest `leaseMs` ever claimed
   * with is kept and returned.
   */
  claim(partition: number, deployment: Deployment): Promise<Claim>;

  /** The sessions of `ids` that exist, each whole: its head and all its attributes. */
  load(partition: number, ids: readonly string[]): Promise<Map<string, StoredSession>>;

  /**
   * The sessions whose mark in the expiry index is `before` or earlier: the earliest first, those of one mark in any
   * order, at most `limit` of them. It sees everything that was applied before the call.
   */
  due(partition: number, before: number, limit: number): Promise<DueSession[]>;

  /** Verifies the epoch and writes, in one transaction. */
  apply(partition: number, epoch: number, writes: readonly SessionWrite[]): Promise<void>;

  /** Finishes what was called and closes. */
  close(): Promise<void>;
}

/** What all stores of one deployment must agree on. */
export interface Deployment {
  /** The fixed number of partitions, N. */
  readonly partitions: number;
  /** The version of the hash that maps a session to its partition. */
  readonly hash: number;
  /** The lease that this store grants, in milliseconds. */
  readonly leaseMs: number;
}

export type RecordedDeployment = Omit<Deployment, 'leaseMs'>;

export interface Claim {
  /** The new epoch, 1 for the first claim of a partition. */
  readonly epoch: number;
  /** The longest lease, in milliseconds, that any claim of this partition has named. */
  readonly longestLeaseMs: number;
}

export interface StoredSession {
  readonly head: Uint8Array;
  readonly attributes: Map<string, Uint8Array>;
}

/**
 * An entry of the expiry index: a hint, to be verified. Its session may have gone or moved on since, or the entry was
 * left behind (see `SessionWrite.expires`), and is then named until a write clears it.
 */
export interface DueSession {
  readonly session: string;
  readonly expires: number;
}

/**
 * The change of one session: the new head, and what changes among its attributes. The names of attributes are
 * well-formed Unicode; one that is both deleted and set is set. The caller leaves all of it unchanged until `apply` settles.
 */
export interface SessionWrite {
  /** An id: 1 to 128 visible ASCII characters. */
  readonly session: string;
  /** Undefined removes the session with all its attributes, whatever `set` says. */
  readonly head: Uint8Array | undefined;
  readonly set: ReadonlyMap<string, Uint8Array>;
  readonly delete: readonly string[];
  /**
   * Moves the session's mark in the expiry index; absent, the mark stays. A mark is a whole number of milliseconds
   * of the wall clock, not negative; undefined is none. `was` must be what the caller wrote last, and a removal must
   * name it too (its `is` counts for nothing): an adapter may find the entry by `was` alone, and one that no `was` named
   * may stay behind. To clear it, name it by `was` in a write of the session, or in its removal if it is gone.
   */
  readonly expires?: { readonly was: number | undefined; readonly is: number | undefined };
}

/** The repository cannot be used: the message says why and what to do about it. */
export class RepositoryError extends Error {
  override name = 'RepositoryError';
}

/** Another process has the place for itself: it can be opened as soon as that one has ended. */
export class OccupiedError extends RepositoryError {
  override name = 'OccupiedError';
}

/** Another store has claimed the partition since: whoever gets this owns it no more. */
export class EpochLostError extends RepositoryError {
  override name = 'EpochLostError';
  constructor(partition: number, mine: number, current: number) {
    super(
      `partition ${partition} was claimed by another store: epoch ${mine} is over, ${current} is current; ` +
        `this store must claim the partition anew before it writes`,
    );
  }
}

/** The deployment was made with another number of partitions or another hash. */
export class DeploymentMismatchError extends RepositoryError {
  override name = 'DeploymentMismatchError';
  constructor(recorded: RecordedDeployment, mine: RecordedDeployment) {
    super(
      `this deployment was made with ${recorded.partitions} partitions and version ${recorded.hash} of the hash, but this ` +
        `store is set to ${mine.partitions} and ${mine.hash}: start it with the recorded values, which are fixed for good`,
    );
  }
}
