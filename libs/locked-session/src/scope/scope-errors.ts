/** The errors of a scope: their messages say what happened, and what to do about it. */
import { LockedSessionError } from '../errors.js';

export function noScope(): LockedSessionError {
  return new LockedSessionError(
    'no-scope',
    'there is no session scope around this call. Use @LockedSession() on the handler, or sessions.run()',
  );
}

/** A commit now would make changes durable under the old id, which somebody may have planted. */
export function commitAfterRegenerate(): LockedSessionError {
  return new LockedSessionError(
    'end-pending',
    'after regenerate() changes become durable when the scope ends, under the new id. Call commit() ' +
      'before it, or not at all',
  );
}

export function afterDestroy(): LockedSessionError {
  return new LockedSessionError(
    'end-pending',
    'the session ends with this scope, since destroy() was called. Read and change it before that',
  );
}

/** The application's `resolve` finds the same id at the next request, whatever this one does. */
export function fixedId(): LockedSessionError {
  return new LockedSessionError(
    'fixed-id',
    "the session's id comes from 'resolve', so that regenerate() cannot change it. Use clear() to empty " +
      'the session',
  );
}

export function responseSent(label: string): LockedSessionError {
  return new LockedSessionError(
    'response-sent',
    `${label} changed the session after its answer had left, so the change is not applied. Change first ` +
      'and answer ' +
      'afterwards, or return the answer instead of sending it with @Res()',
  );
}

/** `held` is how the scope has locked the attribute. `mode` is the lock that it needs. */
export function attributeNotLocked(
  label: string,
  name: string,
  held: 'read' | 'write' | undefined,
  mode: 'read' | 'write',
): LockedSessionError {
  const what = held ? `has locked '${name}' only for reading` : `has not locked '${name}'`;
  return new LockedSessionError(
    'not-locked',
    `${label} ${what}. Name it under '${mode}' where the scope begins`,
  );
}

export function sessionNotLocked(what: string): LockedSessionError {
  return new LockedSessionError(
    'not-locked',
    `${what}() needs a lock on the whole session. Use @LockedSession() without names, or run(id, {}, …)`,
  );
}

export function scopeEnded(label: string): LockedSessionError {
  return new LockedSessionError(
    'scope-ended',
    `${label} has ended. A session's handle is valid only while its handler or run() goes on. Await the ` +
      'calls that use it',
  );
}

export function rootFailed(label: string): LockedSessionError {
  return new LockedSessionError(
    'scope-ended',
    `${label} ran inside a scope that has failed, so the changes of both are not applied. Await nested ` +
      'scopes before the handler returns',
  );
}
