/**
 * The gate in front of one session in this process. Root scopes wait here, first come, first served, until
 * the lock is held. A recall shuts the gate, and the scopes inside drain (rule 5). Then the lock is released,
 * and asked for again when scopes wait. A gate outlives grants.
 */
import { noChanges, type ChangeSet, type HeldGrant, type RefusalReason } from '#protocol';
import type { LockedSessionError } from '../errors.js';
import type { LockPlan } from '../locks/lock-plan.js';
import { admit, Entrants, type Visitor, type WaitOptions, type WaitSource } from './entrants.js';
import * as errors from './gate-errors.js';
import type { GateHost } from './gate-host.js';
import { HeldSession } from './held-session.js';
import type { Holder } from './holder.js';
import { UnsavedSession } from './unsaved-session.js';

export class SessionGate {
  /** The grant for scopes that enter now. Scopes of an earlier grant keep theirs. */
  held: HeldSession | undefined;

  /** The last use of the gate, as a count of scopes begun. */
  used = 0;

  private open = false;
  private closing = false;
  private readonly entrants: Entrants;
  /** Earlier grants with results that still wait for an answer. */
  private readonly ending = new Set<HeldSession>();
  private cancelDrain: (() => void) | undefined;

  constructor(
    readonly id: string,
    private readonly holder: Holder,
    private readonly host: GateHost,
  ) {
    this.entrants = new Entrants(this, host, {
      grown: (wait) => {
        if (!this.held) this.want(wait);
      },
      emptied: () => {
        if (!this.held) holder.giveUp(id);
      },
    });
  }

  /**
   * Lets a scope in and takes the locks of its plan. Undefined when it has them at once. Else resolves when
   * it has them, and rejects with the error that ends the wait. A nested scope passes a shut gate. `leave`
   * must follow when `scope.held` is set, also after an error.
   */
  enter(scope: Visitor, plan: LockPlan, wait: WaitSource): Promise<void> | undefined {
    if (scope.parent) {
      if (scope.held.lost) throw scope.held.lost;
    } else if (this.open && this.held!.trusted) {
      admit(scope, this.held!);
    } else {
      return this.entrants.waitAtGate(scope, plan, wait);
    }
    return this.entrants.takeLocks(scope, plan, wait);
  }

  /** Opens the gate of a session that only this process knows, since its id was just made (rule 16). */
  openUnsaved(): void {
    this.held = this.hold(new UnsavedSession(this.id));
    this.open = true;
  }

  /** The scope has ended. To be called after `scope.end()`. */
  leave(scope: Visitor): void {
    if (!scope.parent) this.left(scope.held);
  }

  /** A user of this grant has left. */
  left(held: HeldSession): void {
    held.inside--;
    if (held === this.held) this.releaseIfDue();
  }

  /**
   * Ends the session for good (rule 14), for a scope that has all of it. Returns the seq to wait for, or 0
   * for a session that the store never knew. Throws `lock-lost`.
   */
  destroy(held: HeldSession): number {
    if (held.lost) throw held.lost;
    held.over = true;
    if (held.grant instanceof UnsavedSession) return 0;
    this.host.countHeld(-1);
    this.holder.destroy(held.grant);
    this.ending.add(held);
    this.entrants.sendBack(held);
    this.forgetHeld();
    return held.grant.seq;
  }

  // What the store says. ------------------------------------------------------------------------------------

  granted(grant: HeldGrant, contended: boolean): void {
    this.host.countHeld(1);
    const unsaved = this.held?.grant instanceof UnsavedSession ? this.held : undefined;
    const isTaken = unsaved !== undefined && grant.seq === 0;
    if (isTaken) this.taken(unsaved);
    else if (unsaved) this.made(unsaved, grant);
    const held = (this.held ??= this.hold(grant));
    this.open = true;
    const isUnwanted = isTaken && this.entrants.isQueueEmpty;
    this.entrants.admitQueue(held);
    if (held.lost || isUnwanted) this.release(held);
    else if (contended) this.recalled();
    else this.releaseIfDue();
  }

  /** The lock was in doubt, and is confirmed (rule 9). */
  trusted(): void {
    if (this.held && this.open) this.entrants.admitQueue(this.held);
    this.entrants.resume();
  }

  /** Shuts the gate. Scopes inside that do not start within the budget go back to it (rule 5). */
  recalled(): void {
    this.open = false;
    this.releaseIfDue();
    if (!this.held || this.cancelDrain) return;
    const drained = () => {
      this.entrants.sendBack(this.held!);
      this.releaseIfDue();
    };
    const { clock, settings } = this.host;
    this.cancelDrain = clock.after(settings.drainBudgetMs, () => this.host.attempt(this, drained));
  }

  /** `grant.acknowledged` has grown. */
  acknowledged(grant: HeldGrant): void {
    const held = this.find(grant);
    held?.acknowledged();
    if (held?.settled) this.ending.delete(held);
    // Those who get their results now may come again, before this turn of the event loop is over.
    if (held === this.held && held?.isTurnOver)
      this.host.clock.soon(() => this.host.attempt(this, () => this.releaseIfDue()));
  }

  lost(grant: HeldGrant, why: RefusalReason): void {
    const held = this.find(grant);
    if (!held) return;
    const error = errors.lockLost(this.id, why);
    this.ending.delete(held);
    if (held !== this.held) return held.lose(error);
    this.host.countHeld(-1);
    this.loseHeld(held, error);
    this.forgetHeld();
  }

  /** The store has refused the request of those at the gate, or the one to make an unsaved session. */
  refused(why: RefusalReason, detail: string): void {
    const error = errors.refused(this.id, why, detail);
    this.held?.lose(error);
    this.entrants.failAtGate(error, ({ create }) => why === 'unknown-session' && create);
    this.forgetHeld();
  }

  // Time and ends. ------------------------------------------------------------------------------------------

  /** Ends the waits whose deadline has passed. Returns the next one's deadline. */
  expire(now: number): number {
    let next = this.entrants.expire(now);
    for (const held of this.ending) next = Math.min(next, held.expire(now));
    if (this.held) next = Math.min(next, this.held.expire(now));
    this.releaseIfDue();
    return next;
  }

  /**
   * Gives the lock back as soon as no scope is inside. Scopes that have not begun fail, unless a running
   * scope waits for them.
   */
  close(): void {
    this.closing = true;
    this.open = false;
    // Mostly none waits. An error for each of many gates would take long.
    if (this.entrants.count > 0)
      this.entrants.failAll(errors.shuttingDown(), ({ outer }) => outer?.isLive ?? false);
    this.releaseIfDue();
  }

  /** The library itself failed in this session: the scopes that wait for it or use it fail. */
  fail(error: LockedSessionError): void {
    this.abandon(error);
    if (this.held && !(this.held.grant instanceof UnsavedSession)) this.release(this.held);
  }

  /**
   * Gives the lock back though scopes are inside. They fail, and so do those that wait. An unused lock stays.
   */
  abandon(error: LockedSessionError): void {
    this.entrants.failAll(error);
    const { held } = this;
    if (!held || this.idle) return;
    held.abandon(error);
    if (!(held.grant instanceof UnsavedSession)) this.release(held);
  }

  /** The process has left, and holds nothing any more. No answer comes to the results that still wait. */
  end(): void {
    for (const held of this.ending) held.expire(Infinity);
    this.ending.clear();
    this.held?.expire(Infinity);
    this.held = undefined;
  }

  /** The waits at the gate end. */
  turnAway(error: Error): void {
    this.entrants.failAtGate(error);
  }

  /** Gives an unused lock back. */
  releaseIfIdle(): void {
    if (this.held && this.idle) this.release(this.held);
  }

  /** Whether the lock is held, and no scope uses it or waits for it. */
  get idle(): boolean {
    const { held, entrants } = this;
    return held?.inside === 0 && entrants.isQueueEmpty && !(held.grant instanceof UnsavedSession);
  }

  /** Whether nothing is left that this gate must remember. */
  get forgettable(): boolean {
    return !this.held && this.entrants.count === 0 && this.ending.size === 0;
  }

  /** How many scopes wait, at the gate and inside. */
  get waiting(): number {
    return this.entrants.count;
  }

  private releaseIfDue(): void {
    const { held } = this;
    if (!held || held.inside > 0) return;
    if (held.grant instanceof UnsavedSession) {
      // Nothing was set, or no result waits any more for what was set. So nothing must be kept.
      if (held.grant.seq > 0 && !held.settled) return;
      if (held.grant.seq > 0) this.holder.giveUp(this.id);
      return this.forgetHeld();
    }
    const isWanted = held.grant.recalled || held.isTurnOver;
    if (isWanted || this.closing || this.host.settings.holdPolicy === 'until-idle') this.release(held);
  }

  private release(held: HeldSession): void {
    this.host.countHeld(-1);
    this.holder.release(held.grant);
    if (!held.settled) this.ending.add(held);
    this.forgetHeld();
  }

  private forgetHeld(): void {
    this.held = undefined;
    this.open = false;
    this.cancelDrain?.();
    this.cancelDrain = undefined;
    if (!this.entrants.isQueueEmpty) this.want(this.entrants.wanted);
  }

  private want({ deadline, create }: Pick<WaitOptions, 'deadline' | 'create'>): void {
    this.holder.want(this.id, deadline, create ? noChanges.set : undefined);
  }

  private hold(grant: HeldGrant): HeldSession {
    return new HeldSession(grant, this.holder, this.host, (...of) => this.makeSession(...of));
  }

  /**
   * Asks the store to make the session with the first change, for as long as a result waits for one of its
   * changes.
   */
  private makeSession(unsaved: UnsavedSession, changes: ChangeSet): number {
    unsaved.change(changes);
    this.holder.want(this.id, this.host.commitDeadline(), unsaved.first.set);
    return unsaved.seq;
  }

  /** The store has made the session that only this process knew, with the first change as seq 1. */
  private made(held: HeldSession, grant: HeldGrant): void {
    const { later } = held.grant as UnsavedSession;
    held.become(grant);
    for (const changes of later) {
      this.holder.commit(grant, changes);
      this.holder.flush(grant);
    }
  }

  /**
   * Another process has made a session under the unsaved one's id. The id belongs to the first one (rule 16).
   */
  private taken(held: HeldSession): void {
    const error = errors.idTaken(this.id);
    this.host.log.warn(error.message);
    this.loseHeld(held, error);
    this.held = undefined;
  }

  private loseHeld(held: HeldSession, error: LockedSessionError): void {
    held.lose(error);
    this.entrants.sendBack(held);
    this.entrants.failInside(held, error);
  }

  private find(grant: HeldGrant): HeldSession | undefined {
    if (this.held?.grant === grant) return this.held;
    for (const held of this.ending) if (held.grant === grant) return held;
    return undefined;
  }
}
