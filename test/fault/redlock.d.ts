/** The part of Redlock 5 that the comparisons use. Its package has types, but does not export them. */
declare module 'redlock' {
  import type { Redis } from 'ioredis';

  interface Settings {
    /** -1 retries for ever. */
    readonly retryCount: number;
    /** In milliseconds. */
    readonly retryDelay: number;
    readonly retryJitter: number;
  }

  export default class Redlock {
    constructor(clients: Iterable<Redis>, settings?: Partial<Settings>);
    acquire(resources: string[], durationMs: number): Promise<{ release(): Promise<unknown> }>;
    /** Extends the lock while `routine` runs. Aborts the signal when it cannot. */
    using<T>(
      resources: string[],
      durationMs: number,
      settings: Partial<Settings>,
      routine: (signal: AbortSignal & { error?: Error }) => Promise<T>,
    ): Promise<T>;
  }
}
