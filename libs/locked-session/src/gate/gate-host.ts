/**
 * The process as a gate sees it, besides `Holder`: settings, time, a log, and a guard against failures.
 */
import type { Clock, Log } from '#broker';
import type { LockedSessionError } from '../errors.js';

/** How large a session may grow. */
export interface SizeLimits {
  /** Most bytes of one attribute's encoded value, and of all values of a session together. */
  readonly attributeBytes: number;
  readonly sessionBytes: number;
  /** Most attributes of a session. */
  readonly attributes: number;
}

export interface GateSettings extends SizeLimits {
  /** Keeps the lock until it is recalled, or gives it back as soon as no scope is inside (rule 3). */
  readonly holdPolicy: 'until-recalled' | 'until-idle';
  /** For so long after a recall scopes that are inside may still start, in milliseconds (rule 5). */
  readonly drainBudgetMs: number;
  /** Most scopes that may wait for one session in this process. */
  readonly maxWaitingScopes: number;
}

/** A gate as the guard against failures sees it. */
export interface FailingGate {
  readonly id: string;
  fail(error: LockedSessionError): void;
  readonly forgettable: boolean;
}

export interface GateHost {
  readonly settings: GateSettings;
  readonly clock: Pick<Clock, 'after' | 'soon' | 'keepAlive'>;
  readonly log: Pick<Log, 'warn'>;
  /**
   * The end of a wait that begins now for the store's answer to a change, in milliseconds of the monotonic
   * clock.
   */
  commitDeadline(): number;
  /** Has the gate's `expire` called at `deadline` (monotonic) or soon after. */
  expireAt(deadline: number): void;
  /** Counts the locks that the process holds: one more, or one less. */
  countHeld(by: 1 | -1): void;
  /**
   * Runs the task of a timer or a signal. An error in it fails the scopes of this session alone.
   */
  attempt(gate: FailingGate, task: () => void): void;
}
