/** The part of Redlock 5 that the comparison uses: its package has types, but does not export them. */
declare module 'redlock' {
  import type { Redis } from 'ioredis';

  interface Settings {
    /** -1 for without end. */
    readonly retryCount: number;
    /** In milliseconds. */
    readonly retryDelay: number;
    readonly retryJitter: number;
  }

  export default class Redlock {
    constructor(clients: Iterable<Redis>, settings?: Partial<Settings>);
    /** Extends the lock while `routine` runs; aborts the signal when it cannot. */
    using<T>(
      resources: string[],
      durationMs: number,
      settings: Partial<Settings>,
      routine: (signal: AbortSignal & { error?: Error }) => Promise<T>,
    ): Promise<T>;
  }
}
