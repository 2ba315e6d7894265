/** What a client is told when its session cannot be had, or its change cannot be kept. */
import { clientTexts, LockedSessionError } from '#locked-session';

/**
 * The error for Express's error handlers, in the form that they know. Its text names no ids and no times. A
 * mistake of the application stays as it is.
 */
export function forExpress(error: unknown): unknown {
  if (!(error instanceof LockedSessionError) || error.status === 500) return error;
  const { status, code } = error;
  return Object.assign(new Error(clientTexts[code], { cause: error }), {
    status,
    statusCode: status,
    code,
    expose: true,
    ...(status === 503 && { headers: { 'Retry-After': '1' } }),
  });
}

/** The error's code when there is no session under this id. */
export function goneCode(error: unknown): 'unknown-session' | 'session-destroyed' | undefined {
  const code = error instanceof LockedSessionError ? error.code : undefined;
  return code === 'unknown-session' || code === 'session-destroyed' ? code : undefined;
}

export function sessionOver(id: unknown): LockedSessionError {
  return new LockedSessionError(
    'session-destroyed',
    `session ${String(id)} is over, since it was destroyed or has another id now. Nothing of this change is kept`,
  );
}

export function readsOnly(label: string): LockedSessionError {
  return new LockedSessionError(
    'not-locked',
    `${label} has changed its session, but 'readOnly' of lockedSession() says that it only reads. Nothing is kept`,
  );
}

export function tooLate(label: string, what: string): LockedSessionError {
  return new LockedSessionError(
    'response-sent',
    `${label} called ${what} after the head of its answer had left, so that no cookie could tell the new id`,
  );
}

export function insideHandler(label: string): LockedSessionError {
  return new LockedSessionError(
    'end-pending',
    `${label} gives its session another id while a scope inside of it runs. Use the scope's own handle: ` +
      'session.regenerate()',
  );
}

export function changedMeanwhile(id: string, names: readonly string[]): LockedSessionError {
  return new LockedSessionError(
    'lock-lost',
    `session ${id} was saved after its request had left the lock, and somebody has changed ` +
      `${names.map((name) => `'${name}'`).join(', ')} since. Nothing is kept. Reload it, and try again`,
  );
}

export function idUsed(id: string): LockedSessionError {
  return new LockedSessionError(
    'id-taken',
    `'genid' returned ${id} again and again, and there is a session of this id. It must be new and hard to guess`,
  );
}
