/**
 * What a scope is made with: the settings of all scopes of a process, and the sessions that it belongs to.
 */
import type { ClassInstances } from '../values.js';
import type { ScopeTraces } from './scope-trace.js';
import type { SessionHandle } from './session-handle.js';

/** The settings that all scopes of a process share. */
export interface ScopeSettings {
  readonly sessions: Sessions;
  /** The end of a wait for the store's acknowledgement that begins now, by the monotonic clock. */
  readonly commitDeadline: () => number;
  readonly writeBack: boolean;
  readonly classInstances: ClassInstances;
  /** Undefined where nothing is traced. */
  readonly traces: ScopeTraces | undefined;
}

/** What is special about the session of a root scope. */
export interface SessionKind {
  /**
   * The id was just made, so that nobody else knows it: this process alone has the session until something is
   * set (rule 16).
   */
  readonly isNew?: boolean;
  /** Nothing may be set: the session that the client named was destroyed. */
  readonly readOnly?: boolean;
  /** `regenerate` is refused: nobody could be told the new id. */
  readonly fixedId?: boolean;
}

/** The calls of a scope to the sessions that it belongs to. */
export interface Sessions {
  /** An id for a session that is to be made. */
  newId(): string;
  run<T>(id: string, options: object, body: (session: SessionHandle) => T | Promise<T>): Promise<T>;
}

/**
 * What a middleware shows of a session, such as `req.session`. It has values of its own, which scopes inside
 * the root must see, as it must see theirs.
 */
export interface Mirror {
  /** Makes in the scope what was changed in the mirror. A nested scope is about to enter. */
  push(): void;
  /** Takes into the mirror what a nested scope has changed. It has ended. */
  pull(): void;
}
