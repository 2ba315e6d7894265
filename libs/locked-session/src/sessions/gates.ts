/**
 * The gates of this process: one for each session that it holds, waits for, or awaits an answer about. They
 * share the cap on held sessions, the sweep that releases idle ones, one timer for all deadlines, and the
 * guard that keeps one session's failure from the others.
 */
import { failedInside, shuttingDown } from '../gate/gate-errors.js';
import type { FailingGate, GateHost } from '../gate/gate-host.js';
import type { Holder } from '../gate/holder.js';
import { SessionGate } from '../gate/session-gate.js';
import { attempt } from '../holder/guarded.js';
import type { HolderPorts } from '../holder/holder-ports.js';
import { checkSessionId } from './run-options.js';
import type { SessionsSettings } from './sessions-settings.js';

export class Gates implements GateHost {
  readonly clock: HolderPorts['clock'];
  readonly log: HolderPorts['log'];
  /** The number of locks that this process holds. */
  held = 0;
  /** The number of scopes begun so far. It dates the last use of a gate. */
  begun = 0;
  /** Only scopes inside a running one may begin. */
  isClosing = false;
  /** No scope may lock anything any more. */
  isAbandoned = false;

  /** Least recently opened first. */
  private readonly byId = new Map<string, SessionGate>();
  private cancelSweep = () => {};
  private expiry = { at: Infinity, cancel: () => {} };

  constructor(
    private readonly holder: Holder,
    { clock, log }: HolderPorts,
    readonly settings: SessionsSettings,
  ) {
    this.clock = clock;
    this.log = log;
  }

  get(id: string): SessionGate | undefined {
    return this.byId.get(id);
  }

  /** A new gate for this session. Throws `session-id`. */
  open(id: string): SessionGate {
    checkSessionId(id);
    const gate = new SessionGate(id, this.holder, this);
    this.byId.set(id, gate);
    return gate;
  }

  /**
   * A new gate for a session that only this process knows, since its id was just made. Throws `session-id`.
   */
  openUnsaved(id: string): SessionGate {
    const gate = this.open(id);
    gate.openUnsaved();
    return gate;
  }

  /** A copy of the list, for loops in which gates are forgotten. */
  all(): SessionGate[] {
    return [...this.byId.values()];
  }

  get size(): number {
    return this.byId.size;
  }

  /** The number of scopes that wait, at a gate or inside. */
  get waiting(): number {
    let count = 0;
    for (const gate of this.byId.values()) count += gate.waiting;
    return count;
  }

  /** Notes that the gate is used now. */
  use(gate: SessionGate): void {
    gate.used = this.begun;
  }

  /**
   * Drops a gate that has nothing to remember. A scope of a grant that ended early may come from a gate that
   * another one has replaced.
   */
  forget(gate: FailingGate): void {
    if (gate.forgettable && this.byId.get(gate.id) === gate) this.byId.delete(gate.id);
  }

  /** From now on releases, again and again, the sessions that no scope used between two sweeps. */
  startSweeps(): void {
    this.sweepLater(0);
  }

  /**
   * Shuts the gates that are in use. `giveBackIdle` releases the idle ones in an order, and not all at once.
   */
  close(): void {
    this.isClosing = true;
    for (const gate of this.byId.values()) if (!gate.idle) gate.close();
  }

  /** Gives the locks back that scopes still use. These scopes fail. */
  abandon(): void {
    this.isAbandoned = true;
    for (const gate of this.byId.values()) if (!gate.idle) gate.abandon(shuttingDown());
  }

  /** The process has left. */
  end(): void {
    for (const gate of this.byId.values()) {
      gate.end();
      this.forget(gate);
    }
    this.held = 0;
    this.cancelSweep();
  }

  /**
   * Makes room when there are more held sessions than `heldSessions`: the least recently used ones are
   * released.
   */
  keepToCap(newest: SessionGate): void {
    const { heldSessions } = this.settings;
    if (this.held <= heldSessions) return;
    // A sixteenth of the cap at once, so that the search is rare.
    const target = heldSessions - (heldSessions >> 4);
    const idle = this.all().filter((gate) => gate.idle && gate !== newest);
    idle.sort((a, b) => a.used - b.used);
    for (const gate of idle) {
      if (this.held <= target) return;
      gate.releaseIfIdle();
    }
  }

  countHeld(by: 1 | -1): void {
    this.held += by;
  }

  commitDeadline(): number {
    const { commitWaitMs, closeMs } = this.settings;
    return this.deadline(this.isClosing ? Math.min(commitWaitMs, closeMs) : commitWaitMs);
  }

  /** The moment in `ms` milliseconds, by the monotonic clock. A timer ends the waits with this deadline. */
  deadline(ms: number): number {
    const deadline = this.clock.now().mono + ms;
    this.expireAt(deadline);
    return deadline;
  }

  /**
   * One timer serves all waits. It is set for the earliest deadline. When it fires, it looks for the next
   * one.
   */
  expireAt(deadline: number): void {
    if (deadline >= this.expiry.at) return;
    this.expiry.cancel();
    const delayMs = Math.max(0, deadline - this.clock.now().mono);
    this.expiry = { at: deadline, cancel: this.clock.after(delayMs, () => this.expire()) };
  }

  /** A failure in one session fails the scopes of that one alone, and gives its lock back. */
  attempt(gate: FailingGate, task: () => void): void {
    attempt(this.log, `session ${gate.id}`, task, (error) => {
      attempt(this.log, `the failure of session ${gate.id}`, () => gate.fail(failedInside(gate.id, error)));
      this.forget(gate);
    });
  }

  private expire(): void {
    this.expiry.at = Infinity;
    const now = this.clock.now().mono;
    let next = Infinity;
    for (const gate of this.byId.values()) {
      this.attempt(gate, () => (next = Math.min(next, gate.expire(now))));
      this.forget(gate);
    }
    if (next < Infinity) this.expireAt(next);
  }

  private sweepLater(before: number): void {
    this.cancelSweep = this.clock.after(this.settings.idleReleaseMs, () => {
      for (const gate of this.byId.values())
        if (gate.used <= before) this.attempt(gate, () => gate.releaseIfIdle());
      this.sweepLater(this.begun);
    });
  }
}
