/**
 * Everybody who waits in one partition, in a line for each session (rule 2): first come, first served, and one place for each holder. Who is
 * granted, cancelled, replaced or over its time is out of its line at once, and the delivery that brought its request is settled with it; so
 * a lock that is free has no line.
 */
import type { Acquire } from './messages.js';
import type { SessionState } from './session-state.js';
import type { PendingOutputs } from './store-outputs.js';

export interface Waiter {
  readonly holder: string;
  readonly request: number;
  /** What brought the request first. */
  readonly delivery: number;
  /** What was asked, where the answer goes and when the wait is over (by the monotonic clock), as of the last repeat. */
  acquire: Acquire;
  queue: string;
  deadline: number;
}

const nobody: readonly Waiter[] = [];

export class WaitingRoom {
  /** Only sessions that somebody waits for are here. */
  private readonly lines = new Map<SessionState, Waiter[]>();
  private waiters = 0;
  private earliestDeadline = Infinity;

  constructor(private readonly outputs: PendingOutputs) {}

  /** How many wait in all lines together. */
  get size(): number {
    return this.waiters;
  }

  /** How many sessions somebody waits for. */
  get contended(): number {
    return this.lines.size;
  }

  /** The sessions that somebody waits for. */
  sessions(): Iterable<SessionState> {
    return this.lines.keys();
  }

  line(session: SessionState): readonly Waiter[] {
    return this.lines.get(session) ?? nobody;
  }

  of(session: SessionState, holder: string): Waiter | undefined {
    return this.line(session).find((waiter) => waiter.holder === holder);
  }

  /** At the end of the line. A waiter of the same holder must have left it before. */
  join(session: SessionState, waiter: Waiter): void {
    const line = this.lines.get(session);
    if (line) line.push(waiter);
    else this.lines.set(session, [waiter]);
    this.waiters++;
    this.outputs.hold(waiter.delivery);
    this.note(waiter);
  }

  /** The waiter repeats its request, and keeps its place. */
  repeat(waiter: Waiter, now: Pick<Waiter, 'acquire' | 'queue' | 'deadline'>): void {
    Object.assign(waiter, now);
    this.note(waiter);
  }

  leave(session: SessionState, waiter: Waiter): void {
    const left = this.line(session).filter((other) => other !== waiter);
    if (left.length > 0) this.lines.set(session, left);
    else this.lines.delete(session);
    if (left.length === 0) session.recalledAt = undefined; // whoever comes next waits for as long as the first
    this.waiters--;
    this.outputs.settle(waiter.delivery);
  }

  /** Takes the first whose time is not over out of the line. */
  next(session: SessionState, mono: number): Waiter | undefined {
    this.dropLapsed(session, mono);
    const [next] = this.line(session);
    if (next) this.leave(session, next);
    return next;
  }

  /** Drops everybody whose time is over. To be called at `nextDeadline` or later. */
  tick(mono: number): void {
    this.earliestDeadline = Infinity;
    for (const session of this.lines.keys()) {
      this.dropLapsed(session, mono);
      for (const waiter of this.line(session)) this.note(waiter);
    }
  }

  /** Before this nobody's time is over; Infinity when nobody waits. */
  get nextDeadline(): number {
    return this.waiters > 0 ? this.earliestDeadline : Infinity;
  }

  private dropLapsed(session: SessionState, mono: number): void {
    for (const waiter of this.line(session)) if (waiter.deadline <= mono) this.leave(session, waiter);
  }

  private note({ deadline }: Waiter): void {
    this.earliestDeadline = Math.min(this.earliestDeadline, deadline);
  }
}
