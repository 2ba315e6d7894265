/**
 * Scopes on their way into a session. They wait at the gate, first come, first served, until the lock is
 * held. Then they wait inside for the attribute locks of their plan. Each wait ends once: with its locks, or
 * with an error.
 */
import type { LockedSessionError } from '../errors.js';
import type { LockPlan } from '../locks/lock-plan.js';
import { noteBlockers, type LockOwner, type LockRequest } from '../locks/wait-graph.js';
import { aborted, timedOut, tooManyWaiting } from './gate-errors.js';
import type { FailingGate, GateHost } from './gate-host.js';
import type { HeldSession } from './held-session.js';
import { onAbort } from './signal-listeners.js';

/** A scope as the gate sees it. */
export interface Visitor extends LockOwner {
  /** The scope of the same session around this one: it has passed the gate. */
  readonly parent: Visitor | undefined;
  /** The scope around this one, of whatever session. */
  readonly outer: (LockOwner & { readonly isLive: boolean }) | undefined;
  /** Set by the gate that lets it in. */
  held: HeldSession;
}

export interface WaitOptions {
  /** The beginning of the wait, in milliseconds of the monotonic clock. */
  readonly at: number;
  /** The end of the wait, in milliseconds of the monotonic clock. */
  readonly deadline: number;
  /** The store may make the session when it does not know it. */
  readonly create: boolean;
  readonly signal: AbortSignal | undefined;
}

/** Knows how a scope waits. Asked only when it must wait. */
export interface WaitSource {
  /** May throw, and then the scope does not wait. */
  waitOptions(): WaitOptions;
}

interface Entrant extends WaitOptions {
  readonly scope: Visitor;
  readonly plan: LockPlan;
  /** The number of locks of the plan that it has. */
  step: number;
  request: LockRequest | undefined;
  /** Ends the wait, well or badly. */
  settle: (error?: Error) => void;
}

/** Callbacks for the queue at the gate. */
interface QueueListener {
  /** One more waits at the gate. */
  grown(wait: WaitOptions): void;
  /** The last one at the gate has given up. */
  emptied(): void;
}

/** A root scope passes the gate. */
export function admit(scope: Visitor, held: HeldSession): void {
  scope.held = held;
  held.inside++;
}

export class Entrants {
  /** Those at the gate, in order. */
  private readonly queue: Entrant[] = [];
  /** Those that have passed the gate and wait for an attribute lock, in order of entering. */
  private readonly inside = new Set<Entrant>();

  constructor(
    private readonly gate: FailingGate,
    private readonly host: GateHost,
    private readonly gateQueue: QueueListener,
  ) {}

  get count(): number {
    return this.queue.length + this.inside.size;
  }

  /** Whether none waits at the gate. */
  get isQueueEmpty(): boolean {
    return this.queue.length === 0;
  }

  /**
   * Until when a scope at the gate wants the lock, and whether the store may make the session for one of
   * them.
   */
  get wanted(): Pick<WaitOptions, 'deadline' | 'create'> {
    return {
      deadline: Math.max(...this.queue.map(({ deadline }) => deadline)),
      create: this.queue.some(({ create }) => create),
    };
  }

  /** Has the scope wait at the gate. Throws `too-many-waiting`. */
  waitAtGate(scope: Visitor, plan: LockPlan, wait: WaitSource): Promise<void> {
    if (this.isFull) throw this.tooMany();
    const options = wait.waitOptions();
    return new Promise((resolve, reject) => {
      this.queue.push(this.entrant(scope, plan, options, resolve, reject));
      this.gateQueue.grown(options);
    });
  }

  /**
   * Takes the locks of the plan for a scope that has passed the gate. Undefined when it has them at once.
   * Throws `too-many-waiting`, and what `AttributeLocks.take` throws.
   */
  takeLocks(scope: Visitor, plan: LockPlan, wait: WaitSource): Promise<void> | undefined {
    const { locks } = scope.held;
    for (let step = 0; step < plan.length; step++) {
      const { name, mode } = plan[step]!;
      if (locks.takeAtOnce(scope, name, mode)) continue;
      const waiting = this.waitInside(scope, plan, step, wait);
      if (waiting) return waiting;
    }
    return undefined;
  }

  /** Takes one lock of the plan, and those after it when it must wait. Undefined when it need not wait. */
  private waitInside(
    scope: Visitor,
    plan: LockPlan,
    step: number,
    wait: WaitSource,
  ): Promise<void> | undefined {
    const { locks } = scope.held;
    const { name, mode } = plan[step]!;
    let entrant: Entrant | undefined;
    const request = locks.take(scope, name, mode, () => this.locked(entrant!));
    if (!request) return undefined;
    if (this.isFull) {
      locks.withdraw(request);
      throw this.tooMany();
    }
    return new Promise((resolve, reject) => {
      entrant = this.entrant(scope, plan, wait.waitOptions(), resolve, reject);
      entrant.step = step;
      entrant.request = request;
      noteBlockers(request, entrant.at);
      this.inside.add(entrant);
    });
  }

  /** The lock is held. All that wait at the gate pass it. */
  admitQueue(held: HeldSession): void {
    for (const entrant of this.queue.splice(0)) {
      admit(entrant.scope, held);
      this.inside.add(entrant);
      this.advance(entrant);
    }
  }

  /** The lock is certain again. Entrants that have all their locks go on. */
  resume(): void {
    for (const entrant of [...this.inside]) if (entrant.step === entrant.plan.length) this.advance(entrant);
  }

  /**
   * A root that holds no attribute yet has read nothing. It goes back to the gate, and may get another grant.
   */
  sendBack(held: HeldSession): void {
    const back: Entrant[] = [];
    // The last one first, so that a request that is withdrawn lets no other one in. An entrant that gets in
    // all the same stays.
    for (const entrant of [...this.inside].reverse()) {
      const { scope, request } = entrant;
      if (!this.inside.has(entrant) || scope.held !== held || scope.parent || entrant.step > 0) continue;
      this.inside.delete(entrant);
      entrant.request = undefined;
      if (request) held.locks.withdraw(request);
      held.locks.leave(scope);
      held.inside--;
      scope.held = undefined!;
      back.unshift(entrant);
    }
    this.queue.unshift(...back);
  }

  /** The waits inside this grant end. */
  failInside(held: HeldSession, error: LockedSessionError): void {
    for (const entrant of [...this.inside]) if (entrant.scope.held === held) entrant.settle(error);
  }

  /** The waits at the gate end, but for those that `stays` spares. */
  failAtGate(error: Error, stays: (wait: WaitOptions) => boolean = () => false): void {
    for (const entrant of [...this.queue]) if (!stays(entrant)) entrant.settle(error);
  }

  /** All waits end, but for those of scopes that `stays` spares. */
  failAll(error: LockedSessionError, stays: (scope: Visitor) => boolean = () => false): void {
    for (const entrant of [...this.queue, ...this.inside]) if (!stays(entrant.scope)) entrant.settle(error);
  }

  /** Ends the waits whose deadline has passed. Returns the next one's deadline. */
  expire(now: number): number {
    let next = Infinity;
    for (const entrant of [...this.queue, ...this.inside]) {
      if (entrant.deadline > now) next = Math.min(next, entrant.deadline);
      else entrant.settle(timedOut(this.gate.id, entrant.scope.label, entrant.request, now));
    }
    return next;
  }

  private get isFull(): boolean {
    return this.count >= this.host.settings.maxWaitingScopes;
  }

  private tooMany(): LockedSessionError {
    return tooManyWaiting(this.gate.id, this.host.settings.maxWaitingScopes);
  }

  private entrant(
    scope: Visitor,
    plan: LockPlan,
    wait: WaitOptions,
    resolve: () => void,
    reject: (error: Error) => void,
  ): Entrant {
    const { signal } = wait;
    const done = this.host.clock.keepAlive();
    const abort = () => this.host.attempt(this.gate, () => entrant.settle(aborted(signal!)));
    const forget = signal && onAbort(signal, abort);
    const settle = (error?: Error) => {
      done();
      this.remove(entrant);
      if (error) reject(error);
      else resolve();
      forget?.();
    };
    const entrant: Entrant = { ...wait, scope, plan, step: 0, request: undefined, settle };
    this.host.expireAt(wait.deadline);
    return entrant;
  }

  private remove(entrant: Entrant): void {
    if (entrant.request) entrant.scope.held.locks.withdraw(entrant.request);
    entrant.request = undefined;
    if (this.inside.delete(entrant)) return;
    const at = this.queue.indexOf(entrant);
    if (at < 0) return;
    this.queue.splice(at, 1);
    if (this.isQueueEmpty) this.gateQueue.emptied();
  }

  /** The entrant has the lock that it waited for. */
  private locked(entrant: Entrant): void {
    entrant.request = undefined;
    entrant.step++;
    this.advance(entrant);
  }

  private advance(entrant: Entrant): void {
    const { scope, plan } = entrant;
    try {
      for (; entrant.step < plan.length; entrant.step++) {
        const { name, mode } = plan[entrant.step]!;
        entrant.request = scope.held.locks.take(scope, name, mode, () => this.locked(entrant));
        if (!entrant.request) continue;
        return noteBlockers(entrant.request, entrant.at);
      }
      // The lock may have come into doubt while the entrant waited. Then `resume` lets it in.
      if (scope.held.trusted) entrant.settle();
    } catch (error) {
      entrant.settle(error as Error);
    }
  }
}
