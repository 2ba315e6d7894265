/**
 * Group commit: what arrives while one batch is written forms the next batch. So a slow disk makes batches
 * larger and not the queue longer. Items take effect in the order of arrival.
 */
export class GroupCommit<Item> {
  private readonly queue: (Pending<Item> | (() => Promise<void>))[] = [];
  private running = false;

  /** `commit` settles every arrival that it takes. Those that it leaves are offered again. */
  constructor(private readonly commit: (arrivals: Iterable<Pending<Item>>) => Promise<void>) {}

  /** Resolves when `item` is committed, in one batch with its neighbours in the queue. */
  add(item: Item): Promise<void> {
    return new Promise((resolve, reject) => this.arrive({ item, resolve, reject }));
  }

  /**
   * Settles when each of `items` is committed or has failed, and resolves with the error of each, or
   * undefined. As far as a batch has room, they are in one.
   */
  addAll(items: readonly Item[]): Promise<readonly unknown[]> {
    if (items.length === 0) return Promise.resolve([]);
    return new Promise((resolveAll) => {
      const errors: unknown[] = items.map(() => undefined);
      let left = items.length;
      items.forEach((item, at) => {
        const settle = (error?: unknown) => {
          errors[at] = error;
          if (--left === 0) resolveAll(errors);
        };
        this.arrive({ item, resolve: settle, reject: settle });
      });
    });
  }

  /** Runs `task` alone, when all that arrived before is settled. */
  alone<T>(task: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => this.arrive(() => task().then(resolve, reject)));
  }

  private arrive(job: Pending<Item> | (() => Promise<void>)): void {
    this.queue.push(job);
    if (!this.running) void this.run();
  }

  private async run(): Promise<void> {
    this.running = true;
    await Promise.resolve(); // arrivals of one turn of the event loop share the first batch
    for (let job = this.queue[0]; job; job = this.queue[0]) {
      if (typeof job === 'function') {
        this.queue.shift();
        await job();
      } else {
        await this.commit(this.arrivals());
      }
    }
    this.running = false;
  }

  private *arrivals(): Generator<Pending<Item>> {
    for (let job = this.queue[0]; typeof job === 'object'; job = this.queue[0]) {
      this.queue.shift();
      yield job;
    }
  }
}

export interface Pending<Item> {
  readonly item: Item;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}
