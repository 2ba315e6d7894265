/**
 * The port `SessionRepository`: it keeps the primary state of every session. Names, heads and values are
 * opaque bytes here. The protocol gives them a meaning (record.ts in `#protocol`).
 *
 * What every adapter promises:
 * - Ownership: `claim` gives the partition a higher epoch and makes that durable on disk (fsync) before it
 *   resolves. From then on every `apply` that bears a lower epoch fails with `EpochLostError` and changes
 *   nothing.
 * - Atomicity: one `apply` is seen whole or not at all, by `load`, by `due` and after a crash.
 * - Order: calls of `apply` for one partition take effect in the order of calling. Calls for different
 *   partitions, and calls made while others are being written, may share one write (group commit).
 * - Sharing: what `applyAll` is given is one transaction, as far as the adapter's limits allow. Still each
 *   `apply` of it stands for itself. An epoch that is over fails its own alone.
 * - Verification: `apply` with no writes still verifies the epoch, in a transaction that began after the call
 *   (rule 7).
 * - Durability: when `apply` resolves, its writes survive the death of this process (`process`) or the loss
 *   of power (`disk`). With `process` they are on disk within a second, and a power loss takes a suffix of
 *   the order of writing, never a hole, where the adapter's files keep that order (see its ADR).
 * - Failure: an `apply` that fails for any reason but its epoch may have taken effect or not. Later calls
 *   fail too, until the partition is claimed again.
 */
export interface SessionRepository {
  /**
   * Opens or creates the place. Throws an `InUseError` while another process has it for itself, and else a
   * `RepositoryError` that says what to do. `close` ends an opening that is under way.
   */
  open(events?: RepositoryEvents): Promise<void>;

  /** What the first claim recorded. Undefined before it. */
  deployment(): Promise<RecordedDeployment | undefined>;

  /**
   * Takes the partition. The first claim records `deployment.partitions` and `deployment.hash`. A later one
   * with other values fails with `DeploymentMismatchError` and changes nothing. The longest `leaseMs` of all
   * claims is kept and returned.
   *
   * The epoch is the last one + 1, or `floor` if that is greater. Callers give the time as `floor`. Then no
   * epoch comes twice, even when an older copy of the data is put back.
   */
  claim(partition: number, deployment: Deployment, floor?: number): Promise<Claim>;

  /** The sessions of `ids` that exist, each with its head and all its attributes. */
  load(partition: number, ids: readonly string[]): Promise<Map<string, StoredSession>>;

  /**
   * At most `limit` sessions whose mark in the expiry index is `before` or earlier, the earliest first. It
   * sees every `apply` that resolved before the call.
   */
  due(partition: number, before: number, limit: number): Promise<DueSession[]>;

  /** Verifies the epoch and writes, in one transaction. */
  apply(partition: number, epoch: number, writes: readonly SessionWrite[]): Promise<void>;

  /** `apply` for each, in their order. Resolves with the error of each, or undefined. It never rejects. */
  applyAll(applies: readonly Apply[]): Promise<readonly unknown[]>;

  /** Waits for the calls under way, and closes. */
  close(): Promise<void>;
}

/** One `apply`. */
export interface Apply {
  readonly partition: number;
  readonly epoch: number;
  readonly writes: readonly SessionWrite[];
}

/** The calls of a repository to its user. */
export interface RepositoryEvents {
  /** The opening takes longer, because of `why`. */
  waits(why: string): void;
  /**
   * The place is gone, or belongs to another process. From now on every call fails with this error. `lost` is
   * called at most once, and before a call fails. Only a new process can go on.
   */
  lost(error: RepositoryError): void;
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
  readonly epoch: number;
  /**
   * The epoch before, which is the highest that these data know. It is 0 for the first claim of a partition.
   */
  readonly previous: number;
  /** The longest lease of all claims of this partition, in milliseconds. */
  readonly longestLeaseMs: number;
}

export interface StoredSession {
  readonly head: Uint8Array;
  readonly attributes: Map<string, Uint8Array>;
}

/**
 * An entry of the expiry index. It is a hint: its session may have gone or been used since. An entry that was
 * left behind (see `SessionWrite.expires`) comes again until a write clears it.
 */
export interface DueSession {
  readonly session: string;
  readonly expires: number;
}

/**
 * The change of one session: the new head, and its changed attributes. The names of attributes are
 * well-formed Unicode. One that is both removed and set is set. The caller does not change the object until
 * `apply` settles.
 */
export interface SessionWrite {
  /** An id: 1 to 128 visible ASCII characters. */
  readonly session: string;
  /** Undefined removes the session with all its attributes, whatever `set` says. */
  readonly head: Uint8Array | undefined;
  readonly set: ReadonlyMap<string, Uint8Array>;
  readonly removed: readonly string[];
  /**
   * Moves the session's mark in the expiry index. When it is absent, the mark stays. A mark is a whole number
   * of milliseconds of the wall clock, not negative, or undefined for none. `was` is the mark that the caller
   * wrote last. A removal names it too, and its `is` does not count. An adapter may find the entry by `was`
   * alone, so an entry that no `was` named may stay behind. A later write or removal of the session that
   * names it by `was` clears it.
   */
  readonly expires?: { readonly was: number | undefined; readonly is: number | undefined };
}

/** The repository cannot be used. The message says why, and what to do about it. */
export class RepositoryError extends Error {
  override name = 'RepositoryError';
}

/** Another process has the place for itself. It can be opened when that process has ended. */
export class InUseError extends RepositoryError {
  override name = 'InUseError';
}

/** Another store has claimed the partition since. The caller owns it no more. */
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
      `this deployment was made with ${recorded.partitions} partitions and version ${recorded.hash} of ` +
        'the hash, but this ' +
        `store is set to ${mine.partitions} and ${mine.hash}: start it with the recorded values, which ` +
        'are fixed for good',
    );
  }
}

/** The place is that of a deployment of another name. Only an operator can say which of the two is wrong. */
export class OtherDeploymentError extends RepositoryError {
  override name = 'OtherDeploymentError';
  constructor(place: string, owner: string, mine: string) {
    super(
      `${place} is that of another deployment: of the one with ${owner}, and this store has ${mine}; ` +
        'give this deployment a ' +
        'schema of its own (STORE_DATABASE_SCHEMA), or, if it is the same one and was renamed on ' +
        'purpose, stop all its stores ' +
        `and start one of them once with --rename-deployment`,
    );
  }
}
