/**
 * Log lines about one thing that is out of order: a warning when it begins, another now and then while it lasts
 * (whoever tries again ten times a second must not fill the log), and one line when it is over.
 */
import type { Log } from './log.js';

const WARN_EVERY_MS = 10_000;

export class Outage {
  #since: number | undefined;
  #warnedAt = 0;

  constructor(
    private readonly log: Log,
    private readonly what: string,
  ) {}

  warn(problem: string): void {
    const now = performance.now();
    if (this.#since !== undefined && now - this.#warnedAt < WARN_EVERY_MS) return;
    this.#since ??= now;
    this.#warnedAt = now;
    this.log.warn(`${this.what} ${problem}`);
  }

  over(): void {
    if (this.#since === undefined) return;
    const seconds = ((performance.now() - this.#since) / 1000).toFixed(1);
    this.#since = undefined;
    this.log.log(`${this.what} is back after ${seconds} s.`);
  }
}
