/**
 * Finds the session of a request, by its signed cookie or by the application's `resolve`, and tells whether
 * the request came by TLS. Uses only the parts that the requests of Express and of Fastify share.
 */
import type { ExecutionContext } from '@nestjs/common';
import { LockedSessionError } from '../errors.js';
import type { FindSession } from '../sessions/sessions-settings.js';
import type { SessionCookie } from './session-cookie.js';

export interface HttpRequest {
  readonly headers: Readonly<Record<string, string | string[] | undefined>> & { readonly cookie?: string };
  /** `http` or `https`. Behind a proxy it depends on the proxies that the framework is set to trust. */
  readonly protocol: string;
  readonly socket: { readonly destroyed: boolean };
}

export function requestOf(context: ExecutionContext): HttpRequest {
  return context.switchToHttp().getRequest<HttpRequest>();
}

export type ResolveSession = (context: ExecutionContext) => string | Promise<string>;

/**
 * Takes the first cookie that a known secret signed. Rejects with `settings` where there are no cookies.
 */
export function sessionFinder(
  cookie: SessionCookie | undefined,
  resolve: ResolveSession | undefined,
): FindSession {
  return async (context) => {
    if (!cookie) return resolve!(context);
    if (context.getType() !== 'http')
      throw noCookieHere(`${context.getClass().name}.${context.getHandler().name}`, context.getType());
    return cookie.read(requestOf(context).headers.cookie)[0]?.id;
  };
}

export function noCookieHere(label: string, kind: string): LockedSessionError {
  return new LockedSessionError(
    'settings',
    `${label} is a handler of '${kind}', where there is no cookie to find the session by. Give ` +
      'LockedSessionModule ' +
      "'resolve' instead of 'cookie' (in an instance of its own), or use sessions.run()",
  );
}

/** Cookies whose `secure` did not fit a request. The log warns once of each. */
const warned = new WeakSet<SessionCookie>();

/**
 * Whether the request came by TLS, as its framework sees it. Calls `warn` when that makes the cookie useless
 * or weak.
 */
export function cameByTls(
  request: HttpRequest,
  cookie: SessionCookie,
  warn: (message: string) => void,
): boolean {
  if (request.protocol === 'https') return true;
  const wrong = warned.has(cookie) ? undefined : misfit(request, cookie.secure);
  if (wrong === undefined) return false;
  warned.add(cookie);
  warn(wrong);
  return false;
}

/** The problem of a cookie in the answer to a request that came by plain http, as its framework sees it. */
function misfit({ headers }: HttpRequest, secure: boolean | 'auto'): string | undefined {
  const saysTls =
    /^\s*https\b/i.test(String(headers['x-forwarded-proto'] ?? '')) ||
    /\bproto="?https\b/i.test(String(headers['forwarded'] ?? ''));
  if (saysTls && secure !== false) {
    const effect =
      secure === 'auto'
        ? "so that the session's cookie goes without 'Secure'"
        : 'so that it takes requests for plain http';
    return (
      `a proxy says that the client came by TLS, but the application does not trust it, ${effect}. ` +
      "Set 'trust proxy' of Express or 'trustProxy' of Fastify to this proxy"
    );
  }
  if (secure !== true) return undefined;
  return (
    "a cookie with 'Secure' answers a request by plain http. Browsers drop it, and each request begins " +
    'another session. ' +
    "Serve by TLS. Behind a proxy that does, have it send 'x-forwarded-proto' and trust it ('trust proxy' " +
    'of Express, ' +
    "'trustProxy' of Fastify). For development set 'cookie.secure' to 'auto'"
  );
}
