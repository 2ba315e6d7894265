/**
 * How far a partition's owner has read its queue (rule 10). A deadline of a holder has passed for the owner
 * only when the owner has read everything that was in the partition's queue at the deadline. An *echo* shows
 * that. It is a note that the owner sends to itself through the queue, with the time of its sending. When it
 * comes back, the owner has read all that was in the queue before it. The owner sends an echo only when a
 * deadline that matters has passed by the clock. So idleness costs nothing.
 */
import type { Now } from '../wire/order.js';
import type { HearingParameters } from './parameters.js';
import type { StoreRules } from './rules.js';

/**
 * The owner spares the holders once in so many lease and recall times together. So a path that stays slow
 * keeps no lock for ever.
 */
const sparedOnceIn = 3;

export class Hearing {
  /**
   * Each holder counts as renewed at this time at the earliest, and each recall as sent at it, by the
   * monotonic clock.
   */
  sparedAt = -Infinity;
  /** Everything that was in the queue at this time has been read. */
  private heardThrough = -Infinity;
  /** When the pending echo was requested, and when it was last sent. */
  private askedAt: number | undefined;
  private sentAt = -Infinity;
  /** When an echo was last of use. */
  private wantedAt = -Infinity;
  /** The pending echo follows a slow one. */
  private isSecond = false;
  /** The echo of the next flush. */
  private echo: number | undefined;

  constructor(
    private readonly parameters: HearingParameters,
    private readonly rules: Pick<
      StoreRules,
      'hasPassed' | 'hasPassedByClock' | 'mayBeBlocked' | 'mustRepeatEcho' | 'paceOf'
    >,
  ) {}

  /**
   * Whether nothing can arrive any more that was in the queue before the deadline. If only the clock says so
   * yet, this requests an echo.
   */
  hasPassed(deadline: number, now: Now): boolean {
    if (this.rules.hasPassed(deadline, this.heardThrough, now)) return true;
    if (this.rules.hasPassedByClock(deadline, now.mono)) this.ask(now);
    return false;
  }

  /** The echo that was sent at `at` has come back. */
  echoed(at: number, now: Now): void {
    // A repeat of this echo came back first. This one may also have passed frames that wait in connections.
    if (this.askedAt === undefined || at < this.askedAt) return;
    const tookMs = now.mono - this.askedAt;
    this.askedAt = undefined;
    const pace = this.rules.paceOf(tookMs, this.parameters.leaseMs);
    if (pace === 'late') this.spare(now);
    if (pace !== 'quick' && !this.isSecond) {
      this.isSecond = true;
      return this.ask(now);
    }
    this.isSecond = false;
    this.heardThrough = Math.max(this.heardThrough, at);
  }

  /**
   * A timer of the owner that was due at `due` fires. If that is long ago, the owner stood still. The queue
   * may have refused frames in that time.
   */
  woke(due: number, now: Now): void {
    if (this.rules.paceOf(now.mono - due, this.parameters.leaseMs) === 'late') this.spare(now);
  }

  /** Takes the echo to send. It bears this number. */
  take(): number | undefined {
    const { echo } = this;
    this.echo = undefined;
    return echo;
  }

  /** Frames of holders may be lost. So each holder has the full time again. */
  private spare(now: Now): void {
    const { leaseMs, recallTimeoutMs } = this.parameters;
    const leastMs = sparedOnceIn * (leaseMs + recallTimeoutMs);
    if (this.rules.mayBeBlocked(now.mono - this.sparedAt, leastMs)) this.sparedAt = now.mono;
  }

  private ask(now: Now): void {
    const { leaseMs } = this.parameters;
    // An echo that was lost while no request waited does not show that frames of holders were lost.
    if (this.rules.paceOf(now.mono - this.wantedAt, leaseMs) === 'late') this.askedAt = undefined;
    this.wantedAt = now.mono;
    if (this.askedAt === undefined) this.askedAt = now.mono;
    else if (!this.rules.mustRepeatEcho(now.mono - this.sentAt, leaseMs)) return;
    this.sentAt = now.mono;
    this.echo = now.mono;
  }
}
