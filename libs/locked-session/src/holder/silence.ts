/** Tells the log when the store owes an answer for long, and when it answers again. */
import type { Log } from '#broker';
import type { HolderParameters } from '#protocol';

export class Silence {
  /** Since when the store owes an answer, by the monotonic clock, and whether the log says so. */
  private askedAt: number | undefined;
  private isLogged = false;

  constructor(
    private readonly log: Log,
    private readonly settings: Pick<HolderParameters, 'renewMs' | 'repeatMs' | 'partitions'>,
  ) {}

  /** The store owes an answer. */
  asked(mono: number): void {
    this.askedAt ??= mono;
  }

  /** There is a new connection. What was asked before counts no more. */
  connected(): void {
    this.askedAt = undefined;
  }

  heard(): void {
    this.askedAt = undefined;
    if (!this.isLogged) return;
    this.isLogged = false;
    this.log.log('the store answers');
  }

  /** Logs a silence that is long, once. */
  check(mono: number): void {
    const silentMs = mono - (this.askedAt ?? mono);
    const { renewMs, repeatMs, partitions } = this.settings;
    if (this.isLogged || silentMs < 2 * Math.max(renewMs, repeatMs)) return;
    this.isLogged = true;
    this.log.warn(
      `no answer from the store for ${Math.round(silentMs / 1_000)} s. Scopes wait for it. Is one running, ` +
        `on the same broker, with the same prefix and ${partitions} partitions?`,
    );
  }
}
