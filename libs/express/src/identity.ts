/**
 * The cookie on the wire, in the form of express-session: `s:`, the session's id, and its signature. So the
 * cookies that browsers have stay good.
 */
import { parseCookie, stringifySetCookie, type SetCookie } from 'cookie';
import { sign, unsign } from 'cookie-signature';
import type { CookieData, SessionCookie } from './cookie.js';
import type { SessionRequest, Settings } from './options.js';

/** Most cookies of one name that are tried, since each may cost a request to the store. */
const maxCandidates = 4;

/** The ids in a request's cookies that a known secret signed, in their order. */
export function idsOf(request: SessionRequest, { name, secrets }: Settings): string[] {
  const found = new Set<string>();
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    if (!pair.includes(name)) continue;
    const value = parseCookie(pair)[name];
    if (!value?.startsWith('s:')) continue;
    const ids = secrets.map((secret) => unsign(value.slice(2), secret));
    const id = ids.find((one) => one !== false);
    if (id) found.add(id);
    if (found.size === maxCandidates) break;
  }
  return [...found];
}

/** The `Set-Cookie` header that tells the id. Undefined when the cookie is secure, and the request is not. */
export function cookieLine(
  request: SessionRequest,
  settings: Settings,
  id: string,
  cookie: SessionCookie,
): string | undefined {
  if (cookie.secure && !cameByTls(request, settings)) return undefined;
  return line(settings.name, `s:${sign(id, settings.secrets[0]!)}`, cookie.data);
}

/** The `Set-Cookie` header that makes browsers drop the cookie. */
export function clearedLine({ name }: Settings, cookie: SessionCookie): string {
  return line(name, '', { ...cookie.data, expires: new Date(0) });
}

/** The options of a new cookie, with what `auto` means for this request. */
export function cookieOptions(request: SessionRequest, settings: Settings): ReturnType<Settings['cookieOf']> {
  const options = { ...settings.cookieOf(request) };
  const byTls = cameByTls(request, settings);
  if (options.secure === 'auto') options.secure = byTls;
  if (options.sameSite === 'auto') options.sameSite = byTls ? 'none' : 'lax';
  return options;
}

/** Whether the client came by TLS. `proxy` says whose word counts. */
export function cameByTls(request: SessionRequest, { proxy }: Settings): boolean {
  if ((request.socket as { readonly encrypted?: boolean } | undefined)?.encrypted) return true;
  if (proxy === false) return false;
  if (proxy === undefined) return request.secure === true;
  const [first = ''] = String(request.headers['x-forwarded-proto'] ?? '').split(',');
  return first.trim().toLowerCase() === 'https';
}

function line(name: string, value: string, data: CookieData): string {
  const { path, domain, httpOnly, partitioned, priority, expires, secure, sameSite } = data;
  const cookie: SetCookie = { name, value, path, httpOnly, secure: secure === true };
  if (domain !== undefined) cookie.domain = domain;
  if (partitioned !== undefined) cookie.partitioned = partitioned;
  if (priority !== undefined) cookie.priority = priority;
  if (expires instanceof Date) cookie.expires = expires;
  if (sameSite !== undefined && sameSite !== 'auto') cookie.sameSite = sameSite;
  return stringifySetCookie(cookie);
}
