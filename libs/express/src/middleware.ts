/** `lockedSession`: the middleware that takes the place of express-session. */
import { Logger } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { calmLog } from '#broker';
import { enterRequest } from '#locked-session';
import { forExpress } from './answers.js';
import { Exchange, type Next } from './exchange.js';
import { settingsOf, type ExpressSessionOptions, type SessionRequest } from './options.js';
import { RequestSession } from './request-session.js';
import { RequestStore } from './store.js';

export type LockedSessionMiddleware = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/**
 * Middleware that gives `req.session`, `req.sessionID` and `req.sessionStore` as express-session does, for
 * Express 4 and 5. A request has its session for itself, from here to the end of its answer, on all servers.
 * An error of the session comes by `next(error)`, with `status` and `code`. Throws `settings`.
 */
export function lockedSession(options: ExpressSessionOptions): LockedSessionMiddleware {
  const settings = settingsOf(options);
  const log = calmLog(new Logger('LockedSession'));
  const store = new RequestStore(settings);
  return (given, response, next) => {
    const request = given as SessionRequest;
    if (request.session) return next();
    const path = pathOf(request);
    if (!path.startsWith(settings.cookieOf(request).path ?? '/')) return next();
    request.sessionStore = store;
    const label = `${request.method} ${path}`;
    const session = new RequestSession(request, settings, label, log);
    enterRequest(request, session);
    if (isResponse(response)) {
      const call = { request, response, next, label };
      void new Exchange(call, session, settings, log).begin();
    } else void glance(session, next);
  };
}

/** The request of a WebSocket has no answer. Its session is read, and each later call takes the lock. */
async function glance(session: RequestSession, next: Next): Promise<void> {
  try {
    await session.enter(() => undefined);
    await session.leave();
  } catch (error) {
    return next(forExpress(error));
  }
  next();
}

function pathOf({ originalUrl, url = '/' }: SessionRequest): string {
  const [path = '/'] = (originalUrl ?? url).split('?');
  return path === '' ? '/' : path;
}

function isResponse(response: Partial<ServerResponse>): boolean {
  return typeof response.end === 'function' && typeof response.once === 'function';
}
