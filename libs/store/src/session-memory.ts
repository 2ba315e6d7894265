/**
 * The bound on the sessions that a store keeps in memory, over all its partitions. Beyond it the partition
 * with the most bytes drops its least recently used sessions, also those whose lock is held. They are in the
 * repository, and are read again when a message names them.
 */

/** The sessions of one partition in memory. */
export interface CachedSessions {
  /** How many bytes of memory they take, about. */
  readonly bytes: number;
  /** A batch is under way, which needs what it has loaded. */
  readonly isBusy: boolean;
  /** Drops sessions until the rest fits `bytes`, or only those are left that must stay. */
  evict(bytes: number): void;
}

export class SessionMemory {
  private readonly parts: CachedSessions[] = [];

  constructor(private readonly maxBytes: number) {}

  add(part: CachedSessions): void {
    this.parts.push(part);
  }

  /** Makes room where there is too much. */
  settle(): void {
    let excess = -this.maxBytes;
    for (const { bytes } of this.parts) excess += bytes;
    if (excess <= 0) return;
    const resting = this.parts.filter(({ isBusy }) => !isBusy).toSorted((a, b) => b.bytes - a.bytes);
    for (const part of resting) {
      if (excess <= 0) return;
      const { bytes } = part;
      part.evict(bytes - excess);
      excess -= bytes - part.bytes;
    }
  }
}
