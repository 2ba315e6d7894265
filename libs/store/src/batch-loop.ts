/**
 * The store's one loop. It takes what all partitions have to write at the end of a turn of the event loop,
 * writes it in one transaction, and tells each partition what became of its own part. What they answer leaves
 * at once. What arrives meanwhile is the next transaction. So a slow disk makes transactions larger, and not
 * the queue longer. A partition that must claim, load or pause first has nothing to give. The others do not
 * wait for it.
 */
import type { Apply, SessionRepository } from '#repository';
import type { Outbox } from './outbox.js';
import type { SessionMemory } from './session-memory.js';

/** A partition, as the loop sees it. Its methods do not throw. */
export interface BatchedPartition {
  /** What it has to write now. Until `settled` is called, it has nothing more. */
  take(): Apply | undefined;
  /** The repository has what was taken, or has failed with `error`. */
  settled(error: unknown): void;
}

export class BatchLoop {
  private readonly waiting = new Set<BatchedPartition>();
  private isRunning = false;

  constructor(
    private readonly repository: Pick<SessionRepository, 'applyAll'>,
    private readonly memory: Pick<SessionMemory, 'settle'>,
    private readonly outbox: Pick<Outbox, 'flush'>,
  ) {}

  /** The partition has work. */
  add(partition: BatchedPartition): void {
    this.waiting.add(partition);
    if (this.isRunning) return;
    this.isRunning = true;
    void this.run();
  }

  private async run(): Promise<void> {
    await Promise.resolve(); // partitions with work in this turn share the first transaction
    while (this.waiting.size > 0) {
      const partitions: BatchedPartition[] = [];
      const applies: Apply[] = [];
      for (const partition of this.waiting) {
        const apply = partition.take();
        if (!apply) continue;
        partitions.push(partition);
        applies.push(apply);
      }
      this.waiting.clear();
      if (applies.length === 0) continue;
      const errors = await this.repository.applyAll(applies);
      for (const [at, partition] of partitions.entries()) partition.settled(errors[at]);
      this.outbox.flush();
      this.memory.settle();
    }
    this.isRunning = false;
  }
}
