/**
 * When a partition has work though nobody has sent anything: a deadline of its machine, and the next look at
 * the sessions that are due.
 */
import type { Clock } from '#broker';

export class PartitionTimers {
  /** The machine is to look at all its deadlines. */
  isTickDue = false;
  /** One of its deadlines may have passed. */
  isTimeDue = false;
  /** The expiry index is to be read. */
  isScanDue = false;
  private tickAt = Infinity;
  private cancelTick: (() => void) | undefined;
  private cancelScan: (() => void) | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly scanMs: number,
    /** There is work now. */
    private readonly due: () => void,
  ) {}

  /**
   * A tick is due at `deadline`, by the monotonic clock. The timer of another deadline is replaced. One for
   * the same deadline goes on.
   */
  tickAtDeadline(deadline: number, mono: number): void {
    if (deadline === this.tickAt) return;
    this.cancelTick?.();
    this.tickAt = deadline;
    this.cancelTick = undefined;
    if (deadline === Infinity) return;
    this.cancelTick = this.clock.after(Math.max(1, deadline - mono), () => {
      this.tickAt = Infinity;
      this.isTimeDue = true;
      this.due();
    });
  }

  /** The next scan is due after `maxMs`, or earlier. */
  scanLater(maxMs = Infinity): void {
    this.cancelScan?.();
    this.cancelScan = this.clock.after(Math.min(maxMs, this.scanMs), () => {
      this.isScanDue = true;
      this.due();
    });
  }

  stop(): void {
    this.cancelTick?.();
    this.cancelScan?.();
    this.tickAt = Infinity;
  }
}
