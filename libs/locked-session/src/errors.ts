/**
 * The table of error codes: one row for everything that an application can meet. The message says what happened and what
 * to do about it; the status is what an HTTP client is answered.
 */
export const errorStatus = {
  /** The lock, or attributes of it, did not come within `waitMs`. Nothing was done; try again later. */
  'wait-timeout': 503,
  /** More scopes wait for the session than `maxWaitingScopes` allows. */
  'too-many-waiting': 503,
  /** A limit on waiters or on queues of sessions is reached, in the store or in this process. */
  'store-busy': 503,
  /** The process is shutting down and takes no new scopes. */
  'shutting-down': 503,
  /** The caller's signal was aborted while the scope waited, or the client of the request is gone. */
  aborted: 499,
  /** The lock was lost while the scope ran: its changes were refused. */
  'lock-lost': 409,
  /** The changes were sent, but no answer came: they may or may not be applied. */
  'outcome-unknown': 503,
  /** Waiting would close a circle of scopes that wait for each other. */
  'lock-circle': 409,
  /** A scope that reads an attribute asked to write it: name it under `write` from the start. */
  'lock-upgrade': 500,
  /** The scope did not lock the attribute, or only for reading. */
  'not-locked': 500,
  /** The scope has ended: its handle is not to be used any more. */
  'scope-ended': 500,
  /** There is no scope around this call. */
  'no-scope': 500,
  /** A value that JSON cannot carry. */
  'value-not-serializable': 500,
  /** An attribute or a session is larger than its limit. */
  'too-large': 413,
  /** The store does not know the session, and it was not to be made. */
  'unknown-session': 404,
  /** The session was destroyed, and stays so; nothing can be changed in it. */
  'session-destroyed': 409,
  /** Not a name for an attribute. */
  'attribute-name': 500,
  /** Not an id for a session. */
  'session-id': 400,
  /** A setting is wrong. */
  settings: 500,
  /** The store and this process disagree about the deployment: number of partitions or protocol version. */
  deployment: 500,
} as const;

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
