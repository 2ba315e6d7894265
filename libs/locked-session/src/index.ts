/** Sessions for NestJS that never lose an update: what app servers import. */
export type { LockMode, LockSpec } from './locks/lock-plan.js';
export {
  CurrentSession,
  LockedAttributes,
  LockedSession,
  SessionAttribute,
  type LockedSessionDecoration,
} from './nest/decorators.js';
export { clientTexts, errorStatus, LockedSessionError, type LockedSessionErrorCode } from './errors.js';
export { LockedSessionModule, sessionsToken, type LockedSessionExtras } from './nest/module.js';
export type { CookieOptions, LockedSessionOptions, RabbitMqOptions } from './nest/options.js';
export { lockedSessionSettingRows } from './nest/settings.js';
export { LockedSessions } from './sessions/locked-sessions.js';
export type { RunOptions } from './sessions/run-options.js';
export type {
  AttributeName,
  AttributeValue,
  Frozen,
  Served,
  SessionAttributes,
  SessionHandle,
} from './scope/session-handle.js';
export type { SessionsSettings } from './sessions/sessions-settings.js';

// For the drop-ins of this package. They are not for applications, and may change in any version.
export { ResponseHead, type HeldHead } from './nest/response-head.js';
export { enterRequest, type EnteredSession } from './nest/session-of-middleware.js';
export { newSessionId } from './nest/session-cookie.js';
export { durableIdOf } from './scope/outcome.js';
export type { Mirror } from './scope/scope-settings.js';
export type { Scope } from './scope/scope.js';
export type { VisitOptions } from './sessions/visit.js';
