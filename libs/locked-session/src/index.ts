/** Sessions for NestJS that never lose an update: what app servers import. */
export type { LockMode, LockSpec } from './lock-plan.js';
export {
  CurrentSession,
  LockedAttributes,
  LockedSession,
  SessionAttribute,
  type LockedSessionDecoration,
} from './decorators.js';
export { errorStatus, LockedSessionError, type LockedSessionErrorCode } from './errors.js';
export { LockedSessionModule, sessionsToken, type LockedSessionExtras } from './locked-session.module.js';
export type { LockedSessionOptions } from './locked-session.settings.js';
export { LockedSessions, type RunOptions, type SessionsSettings } from './locked-sessions.js';
export type {
  AttributeName,
  AttributeValue,
  Frozen,
  Served,
  SessionAttributes,
  SessionHandle,
} from './session-handle.js';
