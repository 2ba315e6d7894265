/**
 * Group commit: while one batch is being written, whatever arrives gathers for the next, so that a slow disk makes
 * batches larger and not the line longer. Everything takes effect in the order of arrival.
 */
export class GroupCommit<Item> {
  private readonly line: (Pending<Item> | (() => Promise<void>))[] = [];
  private running = false;

  /** `commit` settles every one that it takes of the arrivals; what it leaves it is offered again. */
  constructor(private readonly commit: (arrivals: Iterable<Pending<Item>>) => Promise<void>) {}

  /** Resolves when `item` is committed, in one batch with its neighbours in the line. */
  add(item: Item): Promise<void> {
    return new Promise((resolve, reject) => this.arrive({ item, resolve, reject }));
  }

  /** Runs `task` when all that arrived before is settled, and nothing else meanwhile. */
  alone<T>(task: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => this.arrive(() => task().then(resolve, reject)));
  }

  private arrive(job: Pending<Item> | (() => Promise<void>)): void {
    this.line.push(job);
    if (!this.running) void this.run();
  }

  private async run(): Promise<void> {
    this.running = true;
    await Promise.resolve(); // what arrives in one turn shares the first batch
    for (let job = this.line[0]; job; job = this.line[0]) {
      if (typeof job === 'function') {
        this.line.shift();
        await job();
      } else {
        await this.commit(this.arrivals());
      }
    }
    this.running = false;
  }

  private *arrivals(): Generator<Pending<Item>> {
    for (let job = this.line[0]; typeof job === 'object'; job = this.line[0]) {
      this.line.shift();
      yield job;
    }
  }
}

export interface Pending<Item> {
  readonly item: Item;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}
