/**
 * The life of a repository: it is opened once, used while it is open, and closed when what was called before
 * has ended. `close` also ends an opening that is under way. After it the repository can be opened again.
 */
import { RepositoryError } from './repository.js';

export class Lifetime {
  #state: 'closed' | 'opening' | 'open' | 'closing' = 'closed';
  #opening: { readonly stop: AbortController; readonly settled: Promise<unknown> } | undefined;
  readonly #reads = new Set<Promise<unknown>>();

  /** `place` is what errors call the repository. */
  constructor(private readonly place: string) {}

  /** Runs `task`, which is to end soon after its signal is aborted. */
  async open(task: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.#state !== 'closed') throw new RepositoryError(`${this.place} is open already: open it once`);
    this.#state = 'opening';
    const stop = new AbortController();
    const opened = task(stop.signal);
    this.#opening = { stop, settled: opened.catch(() => {}) };
    try {
      await opened;
      this.#state = 'open';
    } catch (error) {
      this.#state = 'closed';
      throw stop.signal.aborted ? stop.signal.reason : error;
    } finally {
      this.#opening = undefined;
    }
  }

  /** Throws unless it is open. */
  expectOpen(): void {
    if (this.#state !== 'open') throw new RepositoryError(`${this.place} is not open: open it before use`);
  }

  /** Lets `close` wait for a read that was called before it. */
  reading<T>(read: Promise<T>): Promise<T> {
    this.#reads.add(read);
    return read.finally(() => this.#reads.delete(read));
  }

  /**
   * Finishes the writes, waits for the reads, and then gives back what the repository has, whatever fails
   * before.
   */
  async close(finish: () => Promise<void>, release: () => Promise<void>): Promise<void> {
    if (this.#opening) {
      this.#opening.stop.abort(new RepositoryError(`${this.place} was closed before it was open`));
      await this.#opening.settled;
    }
    if (this.#state !== 'open') return;
    this.#state = 'closing';
    try {
      await finish();
      await Promise.allSettled(this.#reads);
    } finally {
      await release().finally(() => (this.#state = 'closed'));
    }
  }
}
