/** The drop-in for express-session: sessions that never lose an update, as `req.session`. */
export { lockedSession, type LockedSessionMiddleware } from './middleware.js';
export type { ExpressRequest, ExpressSessionOptions } from './options.js';
