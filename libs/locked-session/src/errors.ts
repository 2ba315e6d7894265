/**
 * The table of error codes: one row for everything that an application can meet. An error's message says what
 * happened and what to do about it. The number is the HTTP status of the answer.
 */
export const errorStatus = {
  /** The scope did not get the lock, or an attribute, within `waitMs`. Nothing was done. Try again later. */
  'wait-timeout': 503,
  /** More scopes wait for the session than `maxWaitingScopes` allows. */
  'too-many-waiting': 503,
  /** A limit on waiters or on queues of sessions is reached, in the store or in this process. */
  'store-busy': 503,
  /** The process is shutting down and takes no new scopes. */
  'shutting-down': 503,
  /** The caller's signal was aborted while the scope waited, or the client of the request has hung up. */
  aborted: 499,
  /** The lock was lost while the scope ran. Its changes were refused. */
  'lock-lost': 409,
  /** The changes were sent, but no answer came. They may be applied or not. */
  'outcome-unknown': 503,
  /** The wait would close a cycle of scopes that wait for each other. */
  deadlock: 409,
  /** A scope that reads an attribute asked to write it. Name it under `write` from the start. */
  'lock-upgrade': 500,
  /** The scope has not locked the attribute, or has locked it for reading only. */
  'not-locked': 500,
  /** The scope has ended. Its handle cannot be used any more. */
  'scope-ended': 500,
  /** There is no scope around this call. */
  'no-scope': 500,
  /** An attribute was set to a value that JSON cannot carry. */
  'value-not-serializable': 500,
  /** An attribute or a session is larger than its limit. */
  'too-large': 413,
  /** The store does not know the session, and the scope did not ask to make it. */
  'unknown-session': 404,
  /** The session was destroyed. Nothing can be changed in it. */
  'session-destroyed': 409,
  /** Another process has made a session with the new one's id first. */
  'id-taken': 409,
  /**
   * `commit()` was called after `regenerate()`, or the session was used after `destroy()`. Both take effect
   * when the scope ends.
   */
  'end-pending': 500,
  /**
   * The handler changed the session after its answer had left, by `@Res()` or as a stream.
   */
  'response-sent': 500,
  /** The session's id comes from `resolve`, and cannot be changed. */
  'fixed-id': 500,
  /** The name cannot name an attribute. */
  'attribute-name': 500,
  /** The id cannot be a session's id. */
  'session-id': 400,
  /** A setting or an option is wrong. */
  settings: 500,
  /** The library itself failed. The log has the cause. */
  internal: 500,
  /** The store and this process disagree about the number of partitions or the protocol version. */
  deployment: 500,
} as const;

/**
 * The text of the answer for each code that a client may meet. It names no ids, routes and times: these
 * belong to the log. The other codes are mistakes of the application. Nest answers them with 500 and says no
 * more.
 */
export const clientTexts: Partial<Record<keyof typeof errorStatus, string>> = {
  'wait-timeout': 'The session is in use; try again later.',
  'too-many-waiting': 'Too many requests wait for this session; try again later.',
  'store-busy': 'Sessions are not available just now; try again later.',
  'shutting-down': 'This server is shutting down; try again.',
  aborted: 'The request was given up before it was served.',
  'lock-lost': 'Nothing was changed, since the session was lost meanwhile; try again.',
  'outcome-unknown': 'It is not known whether the change was made; look before you repeat it.',
  deadlock: 'The request would wait for itself; try again.',
  'too-large': 'The session is too large, or would become so.',
  'unknown-session': 'There is no such session.',
  'session-destroyed': 'The session is over; log in or begin again.',
  'id-taken': 'Nothing was changed, since the new session could not be made; try again.',
  'session-id': 'This is not the id of a session.',
};

export type LockedSessionErrorCode = keyof typeof errorStatus;

export class LockedSessionError extends Error {
  override name = 'LockedSessionError';

  constructor(
    readonly code: LockedSessionErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** The HTTP status that fits. */
  get status(): number {
    return errorStatus[this.code];
  }
}
