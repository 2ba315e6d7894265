/** Tells an operator, once for each silence, that the store owes an answer, and when it answers again. */
import type { Log } from '#broker';

/** What the log names as to be checked, and how long an answer may take, in milliseconds. */
export interface SilenceSettings {
  readonly renewMs: number;
  readonly repeatMs: number;
  readonly partitions: number;
}

export class SilenceLog {
  /** Since when the store owes an answer, by the monotonic clock. */
  private askedAt: number | undefined;
  private isLogged = false;

  constructor(
    private readonly log: Log,
    private readonly settings: SilenceSettings,
  ) {}

  /** Something was sent that is to be answered. */
  asked(mono: number): void {
    this.askedAt ??= mono;
  }

  /** There is a new connection, and what was asked on the old one may be lost. */
  connected(): void {
    this.askedAt = undefined;
  }

  heard(): void {
    this.askedAt = undefined;
    if (!this.isLogged) return;
    this.isLogged = false;
    this.log.log('the store answers');
  }

  note(mono: number): void {
    const { renewMs, repeatMs, partitions } = this.settings;
    const silentMs = mono - (this.askedAt ?? mono);
    if (this.isLogged || silentMs < 2 * Math.max(renewMs, repeatMs)) return;
    this.isLogged = true;
    this.log.warn(
      `no answer from the store for ${Math.round(silentMs / 1_000)} s. Scopes wait for it. Is one ` +
        `running, on the same broker, with the same prefix and ${partitions} partitions?`,
    );
  }
}
