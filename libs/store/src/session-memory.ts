/**
 * The bound on the sessions that a store keeps in memory, over all its partitions. Beyond it the partition
 * with the most bytes packs and drops its least recently used sessions, also those whose lock is held. They
 * are in the repository, and are read again when a message names them.
 */

/** What is in memory of one partition. */
export interface CachedPartition {
  /** Undefined while the partition is not owned. */
  readonly machine: CachedSessions | undefined;
  /** A batch needs what it has loaded. */
  readonly isInUse: boolean;
}

export interface CachedSessions {
  /** How many bytes of memory they take, about. */
  readonly bytes: number;
  /** Drops sessions until the rest fits `bytes`, or only those are left that must stay. */
  evict(bytes: number): void;
}

export class SessionMemory {
  private readonly partitions: CachedPartition[] = [];

  constructor(private readonly maxBytes: number) {}

  add(partition: CachedPartition): void {
    this.partitions.push(partition);
  }

  /** Makes room where there is too much. */
  settle(): void {
    let excess = -this.maxBytes;
    for (const { machine } of this.partitions) excess += machine?.bytes ?? 0;
    if (excess <= 0) return;
    const resting = this.partitions.flatMap(({ isInUse, machine }) => (machine && !isInUse ? [machine] : []));
    for (const machine of resting.toSorted((a, b) => b.bytes - a.bytes)) {
      if (excess <= 0) return;
      const { bytes } = machine;
      machine.evict(bytes - excess);
      excess -= bytes - machine.bytes;
    }
  }
}
