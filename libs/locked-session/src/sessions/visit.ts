/**
 * One scope's way through the gate of its session, in steps: it enters, begins, concludes and leaves.
 * `LockedSessions.visit` takes these steps around a body. A caller that begins and ends in two calls can take
 * them one by one.
 */
import { aborted } from '../gate/gate-errors.js';
import type { HeldSession } from '../gate/held-session.js';
import type { WaitOptions, WaitSource } from '../gate/entrants.js';
import type { ScopeOutcome } from '#trace';
import type { SessionGate } from '../gate/session-gate.js';
import type { LockPlan } from '../locks/lock-plan.js';
import type { SessionKind } from '../scope/scope-settings.js';
import type { Scope } from '../scope/scope.js';
import { outcomeOf } from '../scope/scope-trace.js';
import type { Conclusion } from './conclusion.js';
import type { RunOptions } from './run-options.js';

/** Options that only the library's own callers give. */
export interface VisitOptions extends SessionKind {
  /** Called when the scope has to wait. The signal ends the wait. For signals that are costly to make. */
  readonly waitSignal?: () => AbortSignal | undefined;
  /** The scope around this one, where the asynchronous context may not lead to it. */
  readonly within?: Scope | undefined;
}

/**
 * A step returns a promise only when there is something to await, so that a scope on a held lock costs no
 * extra turn.
 */
export class Visit implements WaitSource {
  private heldBefore: HeldSession | undefined;
  private hasBegun = false;

  constructor(
    readonly scope: Scope,
    private readonly gate: SessionGate,
    private readonly conclusion: Conclusion,
    private readonly options: RunOptions,
    private readonly by: VisitOptions,
  ) {}

  /** Passes the gate and takes the locks of the plan. */
  enter(plan: LockPlan): Promise<void> | undefined {
    this.heldBefore = this.gate.held;
    if (this.scope.parent) this.scope.root.mirror?.push();
    return this.gate.enter(this.scope, plan, this);
  }

  waitOptions(): WaitOptions {
    const { scope, options } = this;
    const { gates } = this.conclusion;
    const { outer } = scope;
    let { waitMs = gates.settings.waitMs } = options;
    // Two scopes that nest two sessions in opposite order would wait for each other. So one of them waits a
    // short time only (rule 19).
    if (outer && !scope.parent && scope.id < outer.id) waitMs = Math.min(waitMs, gates.settings.nestedWaitMs);
    const signal = options.signal ?? this.by.waitSignal?.();
    if (signal?.aborted) throw aborted(signal); // its event does not come again
    const deadline = gates.deadline(waitMs);
    return { at: deadline - waitMs, deadline, create: options.create ?? true, signal };
  }

  /**
   * The scope has its locks. Returns whether the process held the lock when it came. Throws `scope-ended`.
   */
  begin(): boolean {
    const { scope } = this;
    scope.foundHeld = scope.held === this.heldBefore;
    scope.checkRoot();
    this.hasBegun = true;
    scope.trace?.begins();
    return scope.foundHeld;
  }

  /** Sends the changes of a root scope, or ends its session. Throws and rejects as `run` does. */
  conclude(): Promise<void> | undefined {
    const { scope } = this;
    scope.checkRoot();
    return scope.parent ? undefined : this.conclusion.atEnd(this.gate, scope);
  }

  /** Leaves the locks. Resolves when a root's result may be given. */
  leave(): Promise<void> | undefined {
    return this.end('well');
  }

  /**
   * Leaves the locks, if it has not left yet. A root's changes are dropped. Rejects when something that it
   * has seen will not be durable.
   */
  fail(): Promise<void> | undefined {
    if (this.scope.ended) return undefined;
    return this.end(this.hasBegun ? 'failed' : 'unbegun');
  }

  /** The last step, after all promises. */
  forget(): void {
    this.conclusion.gates.forget(this.gate);
  }

  /**
   * The scope leaves its locks also when its end throws. A scope that has not begun has seen nothing.
   */
  private end(how: 'well' | 'failed' | 'unbegun'): Promise<void> | undefined {
    const { scope, gate } = this;
    scope.trace?.leaves();
    try {
      scope.end(how === 'failed');
      // Before it leaves: a grant that ends with it must know which results wait.
      const concluded =
        scope.parent || !scope.hasEntered || how === 'unbegun' ? undefined : scope.concluded();
      this.traceEnd(how, concluded);
      return concluded;
    } finally {
      if (scope.parent) scope.root.mirror?.pull();
      if (scope.hasEntered) gate.leave(scope);
      this.conclusion.gates.use(gate);
    }
  }

  /** Tells the trace what becomes of the scope, as soon as that is known. */
  private traceEnd(how: 'well' | 'failed' | 'unbegun', concluded: Promise<void> | undefined): void {
    const { scope } = this;
    const { trace } = scope;
    if (!trace) return;
    const held = scope.hasEntered ? scope.held : undefined;
    const ends = (outcome: ScopeOutcome) => trace.ends(outcome, held?.grant, scope.seen);
    // A session that ends with a scope that failed was not concluded. Nor is one that a scope around it has
    // ended.
    const isVague = scope.sessionEnd.isWanted ? how === 'failed' : held?.over;
    if (how === 'unbegun') ends('not-begun');
    else if (isVague) ends('unknown');
    else {
      const outcome = how === 'well' ? 'well' : 'threw';
      if (!concluded) return ends(outcome);
      concluded.then(
        () => ends(outcome),
        (error: unknown) => ends(outcomeOf(error)),
      );
    }
  }
}
