/**
 * The gate in front of one session in this process: root scopes wait here, first come first served, until the lock is held; a recall shuts the
 * gate and drains what is inside (rule 5). Then the lock is released, and asked for again when scopes wait.
 */
import { noChanges, type Changes, type HeldGrant, type RefusalReason } from '#protocol';
import type { LockPlan } from './lock-plan.js';
import type { LockRequest } from './lock-waits.js';
import * as errors from './gate-errors.js';
import { HeldSession, type SizeLimits } from './held-session.js';
import { LocalGrant } from './local-grant.js';
import type { Scope } from './scope.js';

export interface GateSettings extends SizeLimits {
  /** Keep the lock until it is recalled, or give it back as soon as no scope is inside (rule 3). */
  readonly holdPolicy: 'until-recalled' | 'until-idle';
  /** How long after a recall scopes that are inside may still start, in milliseconds (rule 5). */
  readonly drainBudgetMs: number;
  /** Most scopes that may wait for one session in this process. */
  readonly maxWaitingScopes: number;
}

/** What a gate needs of the process around it. */
export interface GateKeeper {
  readonly settings: GateSettings;
  /** Asks for the lock; with `create` the store may make the session, with these first attributes. */
  want(session: string, deadline: number, create: Changes['set'] | undefined): void;
  /** How long a first change may wait for the store to make the session, from now: a moment of the monotonic clock. */
  commitDeadline(): number;
  giveUp(session: string): void;
  /** Returns the seq to wait for. */
  commit(grant: HeldGrant, changes: Changes): number;
  /** Sends what write-back holds back. */
  flush(grant: HeldGrant): void;
  /** Has the store say that the lock is still held. Returns the seq to wait for. */
  prove(grant: HeldGrant): number;
  /** Whether the lock may be used without asking. If not, the store is asked. */
  trusts(grant: HeldGrant): boolean;
  release(grant: HeldGrant): void;
  destroy(grant: HeldGrant): void;
  /** Makes sure that `expire` is called at `deadline` (monotonic) or soon after. */
  expireAt(deadline: number): void;
  after(delayMs: number, task: () => void): () => void;
}

export interface WaitOptions {
  /** When the wait ends, by the monotonic clock. */
  readonly deadline: number;
  /** The store may make the session when it does not know it. */
  readonly create: boolean;
  readonly signal: AbortSignal | undefined;
}

/** A scope on its way in: at the gate, or past it and waiting for its next attribute lock. */
interface Entrant extends WaitOptions {
  readonly scope: Scope;
  readonly plan: LockPlan;
  /** How many locks of the plan it has. */
  step: number;
  request: LockRequest | undefined;
  /** Ends the wait, well or badly. */
  settle: (error?: Error) => void;
}

export class SessionGate {
  /** The grant that newcomers may use; scopes of an earlier one keep theirs. */
  held: HeldSession | undefined;

  /** When it was used last: a count that only grows. */
  used = 0;

  private open = false;
  private closing = false;
  /** At the gate, in order. */
  private line: Entrant[] = [];
  /** Past the gate and waiting for an attribute lock, in order of entering. */
  private readonly inside = new Set<Entrant>();
  /** Earlier grants of which results still wait for an answer. */
  private readonly ending = new Set<HeldSession>();
  private cancelDrain: (() => void) | undefined;

  constructor(
    readonly id: string,
    private readonly keeper: GateKeeper,
  ) {}

  /**
   * Lets a scope in and takes the locks of its plan. Undefined when it has them at once; else resolves when it has, and rejects with what ends
   * the wait. A nested scope passes the shut gate. `leave` must follow if `scope.held` is set, whatever comes of it.
   */
  enter(scope: Scope, plan: LockPlan, wait: () => WaitOptions): Promise<void> | undefined {
    if (scope.parent) {
      if (scope.held.lost) throw scope.held.lost;
    } else if (this.open && this.held!.trusted) {
      this.admit(scope, this.held!);
    } else if (this.crowded) {
      throw this.tooMany();
    } else {
      return this.queue(scope, plan, wait());
    }
    const { locks } = scope.held;
    for (let step = 0; step < plan.length; step++) {
      const { name, mode } = plan[step]!;
      let entrant: Entrant | undefined;
      const request = locks.take(scope, name, mode, () => this.locked(entrant!));
      if (!request) continue;
      if (this.crowded) {
        locks.withdraw(request);
        throw this.tooMany();
      }
      return new Promise((resolve, reject) => {
        entrant = this.entrant(scope, plan, wait(), resolve, reject);
        entrant.step = step;
        entrant.request = request;
        this.inside.add(entrant);
      });
    }
    return undefined;
  }

  /** Opens the gate on a session that only this process knows: its id was just made (rule 16). */
  openLocal(): void {
    this.held = this.hold(new LocalGrant(this.id));
    this.open = true;
  }

  /** The scope is over. To be called after `scope.end()`. */
  leave(scope: Scope): void {
    if (!scope.parent) this.left(scope.held);
  }

  /** One who was inside has left. */
  left(held: HeldSession): void {
    held.inside--;
    if (held === this.held) this.releaseIfDue();
  }

  /** Ends the session for good (rule 14), for a scope that has all of it. Returns the seq to wait for; 0 for one that the store never knew. */
  destroy(held: HeldSession): number {
    if (held.lost) throw held.lost;
    if (held.grant instanceof LocalGrant) return 0;
    this.keeper.destroy(held.grant);
    this.ending.add(held);
    this.sendBack(held);
    this.forgetHeld();
    return held.grant.seq;
  }

  // What the store says. -----------------------------------------------------------------------------------------------

  granted(grant: HeldGrant, contended: boolean): void {
    const local = this.held?.grant;
    const held = this.held ?? this.hold(grant);
    this.held = held;
    this.open = true;
    if (local instanceof LocalGrant) {
      held.become(grant);
      for (const changes of local.later) {
        this.keeper.commit(grant, changes);
        this.keeper.flush(grant);
      }
    }
    this.admitLine(held);
    if (contended) this.recalled();
    else this.releaseIfDue();
  }

  /** The lock was in doubt, and is still held (rule 9). */
  trusted(): void {
    if (this.held && this.open) this.admitLine(this.held);
    for (const entrant of [...this.inside]) if (entrant.step === entrant.plan.length) this.advance(entrant);
  }

  /** Shuts the gate. Those inside that do not start within the budget go back to it (rule 5). */
  recalled(): void {
    this.open = false;
    this.releaseIfDue();
    if (!this.held || this.cancelDrain) return;
    this.cancelDrain = this.keeper.after(this.keeper.settings.drainBudgetMs, () => {
      this.sendBack(this.held!);
      this.releaseIfDue();
    });
  }

  /** `grant.acknowledged` has grown. */
  acknowledged(grant: HeldGrant): void {
    const held = this.find(grant);
    held?.acknowledged();
    if (held?.settled) this.ending.delete(held);
  }

  lost(grant: HeldGrant, why: RefusalReason): void {
    const held = this.find(grant);
    if (!held) return;
    const error = errors.lockLost(this.id, why);
    held.lose(error);
    this.ending.delete(held);
    if (held !== this.held) return;
    this.sendBack(held);
    for (const entrant of [...this.inside]) if (entrant.scope.held === held) entrant.settle(error);
    this.forgetHeld();
  }

  /** The request was refused: that of those at the gate, or that to make a local session. */
  refused(why: RefusalReason, detail: string): void {
    const error = errors.refused(this.id, why, detail);
    this.held?.lose(error);
    for (const entrant of [...this.line]) {
      if (why !== 'unknown-session' || !entrant.create) entrant.settle(error);
    }
    this.forgetHeld();
  }

  // Time and ends. -------------------------------------------------------------------------------------------------------

  /** Ends the waits whose time is over, and says when the next one's is. */
  expire(now: number): number {
    let next = Infinity;
    for (const entrant of [...this.line, ...this.inside]) {
      if (entrant.deadline > now) next = Math.min(next, entrant.deadline);
      else entrant.settle(errors.timedOut(this.id, entrant.scope.label, entrant.request?.name));
    }
    for (const held of this.ending) next = Math.min(next, held.expire(now));
    if (this.held) next = Math.min(next, this.held.expire(now));
    this.releaseIfDue();
    return next;
  }

  /** Gives the lock back as soon as nobody is inside, and turns away who waits at the gate. */
  close(): void {
    this.closing = true;
    this.open = false;
    this.turnAway(errors.shuttingDown());
    this.releaseIfDue();
  }

  /** Gives the lock back though scopes are inside: they fail. */
  abandon(): void {
    const { held } = this;
    if (!held || held.grant instanceof LocalGrant) return;
    const error = errors.shuttingDown();
    held.abandon(error);
    for (const entrant of [...this.inside]) entrant.settle(error);
    this.release(held);
  }

  /** Those that wait at the gate wait no longer. */
  turnAway(error: Error): void {
    for (const entrant of [...this.line]) entrant.settle(error);
  }

  /** Gives an unused lock back. */
  releaseIfIdle(): void {
    if (this.held && this.idle) this.release(this.held);
  }

  get idle(): boolean {
    return this.held?.inside === 0 && !(this.held.grant instanceof LocalGrant);
  }

  /** Nothing is left that this gate must remember. */
  get forgettable(): boolean {
    return !this.held && this.line.length === 0 && this.inside.size === 0 && this.ending.size === 0;
  }

  /** For operators. */
  snapshot() {
    return { held: this.held !== undefined, open: this.open, waiting: this.line.length + this.inside.size };
  }

  private queue(scope: Scope, plan: LockPlan, wait: WaitOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      const entrant = this.entrant(scope, plan, wait, resolve, reject);
      this.line.push(entrant);
      if (!this.held) this.want([entrant]);
    });
  }

  private entrant(
    scope: Scope,
    plan: LockPlan,
    wait: WaitOptions,
    resolve: () => void,
    reject: (error: Error) => void,
  ): Entrant {
    const { signal } = wait;
    const abort = () => entrant.settle(errors.aborted(signal!));
    const entrant: Entrant = {
      ...wait,
      scope,
      plan,
      step: 0,
      request: undefined,
      settle: (error) => {
        signal?.removeEventListener('abort', abort);
        this.remove(entrant);
        if (error) reject(error);
        else resolve();
      },
    };
    signal?.addEventListener('abort', abort);
    this.keeper.expireAt(wait.deadline);
    return entrant;
  }

  private remove(entrant: Entrant): void {
    if (entrant.request) entrant.scope.held.locks.withdraw(entrant.request);
    entrant.request = undefined;
    if (this.inside.delete(entrant)) return;
    const at = this.line.indexOf(entrant);
    if (at >= 0) this.line.splice(at, 1);
    if (at >= 0 && this.line.length === 0 && !this.held) this.keeper.giveUp(this.id);
  }

  private admitLine(held: HeldSession): void {
    for (const entrant of this.line.splice(0)) {
      this.admit(entrant.scope, held);
      this.inside.add(entrant);
      this.advance(entrant);
    }
  }

  private admit(scope: Scope, held: HeldSession): void {
    scope.held = held;
    held.inside++;
  }

  /** The lock that the entrant waited for is its own. */
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
        if (entrant.request) return;
      }
      // The lock may have come into doubt while the entrant waited: then `trusted` lets it in.
      if (scope.held.trusted) entrant.settle();
    } catch (error) {
      entrant.settle(error as Error);
    }
  }

  /** Roots that hold no attribute yet have seen nothing: they may wait again for another grant. */
  private sendBack(held: HeldSession): void {
    const back: Entrant[] = [];
    // The last first, so that no request that goes back lets another one in. What gets in all the same stays.
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
    this.line.unshift(...back);
  }

  private releaseIfDue(): void {
    const { held } = this;
    if (!held || held.inside > 0) return;
    if (held.grant instanceof LocalGrant) {
      // Nothing was set, or nobody waits any more for what was: nothing is to be kept.
      if (held.grant.seq > 0 && !held.settled) return;
      if (held.grant.seq > 0) this.keeper.giveUp(this.id);
      return this.forgetHeld();
    }
    if (held.grant.recalled || this.closing || this.keeper.settings.holdPolicy === 'until-idle')
      this.release(held);
  }

  private release(held: HeldSession): void {
    this.keeper.release(held.grant);
    if (!held.settled) this.ending.add(held);
    this.forgetHeld();
  }

  private forgetHeld(): void {
    this.held = undefined;
    this.open = false;
    this.cancelDrain?.();
    this.cancelDrain = undefined;
    if (this.line.length === 0) return;
    this.want(this.line);
  }

  private want(line: readonly Entrant[]): void {
    const deadline = Math.max(...line.map((entrant) => entrant.deadline));
    const create = line.some((entrant) => entrant.create) ? noChanges.set : undefined;
    this.keeper.want(this.id, deadline, create);
  }

  private hold(grant: HeldGrant): HeldSession {
    return new HeldSession(grant, this.keeper, (...of) => this.makeLocal(...of));
  }

  /** The first change of a session that only this process knows asks the store to make it. */
  private makeLocal(grant: LocalGrant, changes: Changes): number {
    if (grant.change(changes)) this.keeper.want(this.id, this.keeper.commitDeadline(), changes.set);
    return grant.seq;
  }

  private find(grant: HeldGrant): HeldSession | undefined {
    if (this.held?.grant === grant) return this.held;
    for (const held of this.ending) if (held.grant === grant) return held;
    return undefined;
  }

  private get crowded(): boolean {
    return this.line.length + this.inside.size >= this.keeper.settings.maxWaitingScopes;
  }

  private tooMany(): Error {
    return errors.tooManyWaiting(this.id, this.keeper.settings.maxWaitingScopes);
  }
}
