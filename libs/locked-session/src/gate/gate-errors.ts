/**
 * What a wait for a session, or the use of its lock, can end with, in words: what happened, and what to do
 * about it.
 */
import { protocolVersion, type RefusalReason } from '#protocol';
import { shown } from '#settings';
import { LockedSessionError } from '../errors.js';
import { describeBlockers, quoted, type LockRequest } from '../locks/wait-graph.js';

/** `request` when it was an attribute that did not come; else it was the session's lock. */
export function timedOut(
  session: string,
  label: string,
  request: LockRequest | undefined,
  mono: number,
): LockedSessionError {
  const what = request
    ? `${quoted(request.name)} of session ${session} in time. It is held by ` +
      describeBlockers(request, mono)
    : `the lock on session ${session} in time. Another process has it, or the store does not answer`;
  return new LockedSessionError('wait-timeout', `${label} did not get ${what}. Try again later`);
}

export function tooManyWaiting(session: string, most: number): LockedSessionError {
  return new LockedSessionError(
    'too-many-waiting',
    `${most} scopes already wait for session ${session} (maxWaitingScopes). Try again later`,
  );
}

export function aborted(signal: AbortSignal): LockedSessionError {
  const cause: unknown = signal.reason;
  return new LockedSessionError('aborted', 'the wait for the session was aborted by the signal', { cause });
}

export function shuttingDown(): LockedSessionError {
  return new LockedSessionError('shutting-down', 'this process is shutting down. Ask another one');
}

/** The store refused to grant. */
export function refused(session: string, why: RefusalReason, detail: string): LockedSessionError {
  const said = `the store refused session ${session}`;
  switch (why) {
    case 'outcome-unknown':
      return outcomeUnknown(session);
    case 'wrong-partition':
      return new LockedSessionError('deployment', `${said}: ${detail}. Set 'partitions' to that number`);
    case 'destroyed':
      return sessionDestroyed(session);
    case 'unknown-session':
      return new LockedSessionError('unknown-session', `${said}, since it was never made, or has expired`);
    case 'too-large':
      return tooLarge(`session ${session} is refused: ${detail}`);
    case 'too-many-queues':
      return new LockedSessionError(
        'store-busy',
        `no queue for session ${session}: ${detail}. Try again later`,
      );
    default:
      return new LockedSessionError('store-busy', `${said}: ${why} (${detail}). Try again later`);
  }
}

export function sessionDestroyed(session: string): LockedSessionError {
  return new LockedSessionError(
    'session-destroyed',
    `session ${session} was destroyed. Nothing of it is left, and nothing can be changed in it. Begin ` +
      'another one',
  );
}

/**
 * What a new session holds is nobody else's: it is not mixed with what another process keeps under the same
 * id.
 */
export function idTaken(session: string): LockedSessionError {
  return new LockedSessionError(
    'id-taken',
    `another process made session ${session} before the first change of the new one reached the store. ` +
      'Nothing of the ' +
      'new one is kept. Begin another one, and tell others its id only when it is durable (await commit() ' +
      'first)',
  );
}

/**
 * A fault of the library, or of something that it was given. What was sent before may be durable: its results
 * say so.
 */
export function failedInside(session: string, cause: unknown): LockedSessionError {
  return new LockedSessionError(
    'internal',
    `session ${session}: the library failed. Changes that the scope had not committed are not applied. ` +
      'The log has the cause',
    { cause },
  );
}

export function noBody(body: unknown): LockedSessionError {
  return new LockedSessionError(
    'settings',
    `run(): the body is ${shown(body)}, and must be a function of the session`,
  );
}

/** The two sides would look for sessions in different places. */
export function wrongPartitions(store: number, mine: number): LockedSessionError {
  return new LockedSessionError(
    'deployment',
    `the store has ${store} partitions, but this process is set to ${mine}. Set 'partitions' to ${store}`,
  );
}

/** The two sides are of different releases. */
export function otherVersion(store: number): LockedSessionError {
  return new LockedSessionError(
    'deployment',
    `the store speaks protocol version ${store}, but this process ${protocolVersion}. Run one release of ` +
      'locked-session ' +
      'on both sides',
  );
}

/** The grant is over before its time. */
export function lockLost(session: string, why: RefusalReason): LockedSessionError {
  if (why === 'outcome-unknown') return outcomeUnknown(session);
  if (why === 'too-large')
    return tooLarge(
      `the changes of session ${session} are larger than RabbitMQ or the store takes. They are not applied`,
    );
  return new LockedSessionError(
    'lock-lost',
    `the lock on session ${session} was lost. Changes since then are not applied (${why}). Try again`,
  );
}

function outcomeUnknown(session: string): LockedSessionError {
  return new LockedSessionError(
    'outcome-unknown',
    `the store does not know the grant of session ${session} any more. Changes may be applied or not. ` +
      'Read again before you repeat them',
  );
}

function tooLarge(what: string): LockedSessionError {
  return new LockedSessionError('too-large', `${what}. Keep large things elsewhere, and their ids here`);
}
