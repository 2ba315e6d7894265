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
