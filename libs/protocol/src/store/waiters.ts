/**
 * The waiters of one partition, in a queue for each session (rule 2). The order is first come, first served.
 * A holder has one place in a queue. A waiter leaves its queue when it is granted, cancelled, replaced or
 * timed out. The delivery of its request is settled then. So a free lock has no queue.
 */
import type { Acquire } from '../wire/messages.js';
import type { SessionState } from './session-state.js';
import type { PendingOutputs } from './outputs.js';
import type { StoreRules } from './rules.js';

export interface Waiter {
  readonly holder: string;
  readonly request: number;
  /** The delivery that first brought the request. */
  readonly delivery: number;
  /**
   * The request, the queue of its answer and the end of its wait (by the monotonic clock), as of the last
   * repeat.
   */
  acquire: Acquire;
  queue: string;
  deadline: number;
}

const nobody: readonly Waiter[] = [];

export class Waiters {
  /** Only sessions with waiters are here. */
  private readonly bySession = new Map<SessionState, Waiter[]>();
  private waiters = 0;
  private earliestDeadline = Infinity;

  constructor(
    private readonly outputs: PendingOutputs,
    private readonly rules: Pick<StoreRules, 'isTimedOut'>,
  ) {}

  /** How many wait in all queues together. */
  get size(): number {
    return this.waiters;
  }

  /** How many sessions have waiters. */
  get contended(): number {
    return this.bySession.size;
  }

  /** The sessions with waiters. */
  sessions(): Iterable<SessionState> {
    return this.bySession.keys();
  }

  /** In the order of their requests. */
  of(session: SessionState): readonly Waiter[] {
    return this.bySession.get(session) ?? nobody;
  }

  find(session: SessionState, holder: string): Waiter | undefined {
    return this.of(session).find((waiter) => waiter.holder === holder);
  }

  /** Adds a waiter at the end of the queue. A waiter of the same holder must have left it before. */
  join(session: SessionState, waiter: Waiter): void {
    const others = this.bySession.get(session);
    if (others) others.push(waiter);
    else this.bySession.set(session, [waiter]);
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
    const left = this.of(session).filter((other) => other !== waiter);
    if (left.length > 0) this.bySession.set(session, left);
    else this.bySession.delete(session);
    if (left.length === 0) session.recalledAt = undefined; // the next waiter leads to a new recall
    this.waiters--;
    this.outputs.settle(waiter.delivery);
  }

  /** Takes the first waiter that has not timed out from the queue. */
  next(session: SessionState, mono: number): Waiter | undefined {
    this.dropLapsed(session, mono);
    const [next] = this.of(session);
    if (next) this.leave(session, next);
    return next;
  }

  /** Drops waiters that have timed out. The caller calls it at `nextDeadline` or later. */
  tick(mono: number): void {
    this.earliestDeadline = Infinity;
    for (const session of this.bySession.keys()) {
      this.dropLapsed(session, mono);
      for (const waiter of this.of(session)) this.note(waiter);
    }
  }

  /** No waiter times out before this. Infinity when there is none. */
  get nextDeadline(): number {
    return this.waiters > 0 ? this.earliestDeadline : Infinity;
  }

  /** For tests of its bounds: how many wait for each session. */
  lengths(): number[] {
    return Array.from(this.bySession.values(), ({ length }) => length);
  }

  private dropLapsed(session: SessionState, mono: number): void {
    for (const waiter of this.of(session))
      if (this.rules.isTimedOut(waiter.deadline, mono)) this.leave(session, waiter);
  }

  private note({ deadline }: Waiter): void {
    this.earliestDeadline = Math.min(this.earliestDeadline, deadline);
  }
}
