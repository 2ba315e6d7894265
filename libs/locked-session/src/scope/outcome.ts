/** What has become of a root scope and its session, for the answer to its client and for counters. */
import type { Scope } from './scope.js';
import type { Served } from './session-handle.js';

/**
 * The id under which the store certainly has the session. So a client can be told of what was made durable
 * though its handler failed. Undefined while the store knows no such session. The scope may run, or have
 * ended well or badly.
 */
export function durableIdOf(scope: Scope): string | undefined {
  const { isDone, isDestroyed, nextId, nextToken } = scope.sessionEnd;
  if (isDone) return !isDestroyed && nextToken && nextToken[0] > 0 ? nextId : undefined;
  return scope.hasEntered && scope.isKept ? scope.held.grant.session : undefined;
}

/** As far as this process knows, nobody else can have changed or ended the session since. */
export function isCurrent({ held: { lost, over, grant } }: Scope): boolean {
  return !lost && !over && !grant.recalled;
}

/** The process had the session, and sent no message for this scope. */
export function neededNoMessage({ foundHeld, sent, sessionEnd }: Scope): boolean {
  return foundHeld && !sent && !sessionEnd.isWanted;
}

/** Of a scope that has ended well. */
export function servedBy(scope: Scope): Served {
  const { id, isNew, foundHeld, sessionEnd, held } = scope;
  const token = sessionEnd.nextToken ?? held.grant.token;
  const isKept = !sessionEnd.isDestroyed && token[0] > 0;
  return {
    session: isKept ? { id, token } : undefined,
    fromHeldLock: foundHeld && !isNew,
    withoutMessage: neededNoMessage(scope),
  };
}
