/** What a wait for a session, or the use of its lock, can end with, in words: what happened, and what to do about it. */
import type { RefusalReason } from '#protocol';
import { LockedSessionError } from './errors.js';

/** `attribute` when it was an attribute that did not come; else it was the session's lock. */
export function timedOut(session: string, label: string, attribute: string | undefined): LockedSessionError {
  const what =
    attribute === undefined ? `the lock on session ${session}` : `'${attribute}' of session ${session}`;
  return new LockedSessionError(
    'wait-timeout',
    `${label} did not get ${what} within its time; try again later`,
  );
}

export function tooManyWaiting(session: string, most: number): LockedSessionError {
  return new LockedSessionError(
    'too-many-waiting',
    `${most} scopes wait for session ${session} already (maxWaitingScopes); try again later`,
  );
}

export function aborted(signal: AbortSignal): LockedSessionError {
  const cause: unknown = signal.reason;
  return new LockedSessionError('aborted', 'the wait for the session was aborted by the signal', { cause });
}

export function shuttingDown(): LockedSessionError {
  return new LockedSessionError('shutting-down', 'this process is shutting down; ask another one');
}

/** The store refused to grant. */
export function refused(session: string, why: RefusalReason, detail: string): LockedSessionError {
  const said = `the store refused session ${session}`;
  switch (why) {
    case 'wrong-partition':
      return new LockedSessionError('deployment', `${said}: ${detail}; set 'partitions' to that number`);
    case 'destroyed':
      return sessionDestroyed(session);
    case 'unknown-session':
      return new LockedSessionError('unknown-session', `${said}: it was never made, or is over`);
    case 'too-many-queues':
      return new LockedSessionError(
        'store-busy',
        `no queue for session ${session}: ${detail}; try again later`,
      );
    default:
      return new LockedSessionError('store-busy', `${said}: ${why} (${detail}); try again later`);
  }
}

export function sessionDestroyed(session: string): LockedSessionError {
  return new LockedSessionError(
    'session-destroyed',
    `session ${session} was destroyed: nothing of it is left, and nothing can be changed in it; begin another one`,
  );
}

/** The two sides would look for sessions in different places. */
export function wrongPartitions(store: number, mine: number): LockedSessionError {
  return new LockedSessionError(
    'deployment',
    `the store has ${store} partitions, but this process is set to ${mine}: set 'partitions' to ${store}`,
  );
}

/** The grant is over before its time. */
export function lockLost(session: string, why: RefusalReason): LockedSessionError {
  if (why === 'outcome-unknown') {
    return new LockedSessionError(
      'outcome-unknown',
      `the store does not remember the grant of session ${session}: changes may be applied or not; read again before repeating them`,
    );
  }
  return new LockedSessionError(
    'lock-lost',
    `the lock on session ${session} was lost and changes made since are refused (${why}): nothing of them is applied; try again`,
  );
}
