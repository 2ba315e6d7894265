/**
 * The sessions that middleware has entered, by request. A handler of the same request runs inside of them.
 * The asynchronous context does not always lead there, since a parser of bodies may lose it.
 */
import type { LockedSessions } from '../sessions/locked-sessions.js';
import type { Scope } from '../scope/scope.js';

/** The session of a request, whose scope changes with the session's id. */
export interface EnteredSession {
  readonly sessions: LockedSessions;
  /** Undefined while the session is not locked. */
  readonly scope: Scope | undefined;
}

/** By the platform's request, or by Node's within it. */
const entered = new WeakMap<object, EnteredSession>();

export function enterRequest(request: object, session: EnteredSession): void {
  entered.set(request, session);
}

/** The scope that middleware has entered for the request. Undefined when it is none of `sessions`. */
export function scopeOfMiddleware(
  request: object & { readonly raw?: object },
  sessions: LockedSessions,
): Scope | undefined {
  const session = entered.get(request.raw ?? request);
  return session?.sessions === sessions ? session.scope : undefined;
}
