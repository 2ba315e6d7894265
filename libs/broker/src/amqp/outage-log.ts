/**
 * Log lines about the outage of one thing: a warning when it begins, another now and then while it lasts, and
 * one line when it is over. Ten new tries a second must not fill the log.
 */
import type { Log } from '../log.js';

const WARN_EVERY_MS = 10_000;
/** The log has each new kind of problem at once, up to so many kinds in one outage. */
const MAX_KINDS = 8;

export class OutageLog {
  #since: number | undefined;
  #warnedAt = 0;
  readonly #kinds = new Set<string>();

  constructor(
    private readonly log: Log,
    private readonly what: string,
  ) {}

  /** `kind` tells causes apart. A wrong password is news when RabbitMQ has just come back. */
  warn(problem: string, kind: string): void {
    const now = performance.now();
    const isNew = !this.#kinds.has(kind) && this.#kinds.size < MAX_KINDS;
    if (!isNew && this.#since !== undefined && now - this.#warnedAt < WARN_EVERY_MS) return;
    this.#kinds.add(kind);
    this.#since ??= now;
    this.#warnedAt = now;
    this.log.warn(`${this.what} ${problem}`);
  }

  over(): void {
    if (this.#since === undefined) return;
    const seconds = ((performance.now() - this.#since) / 1000).toFixed(1);
    this.#since = undefined;
    this.#kinds.clear();
    this.log.log(`${this.what} is back after ${seconds} s.`);
  }
}
