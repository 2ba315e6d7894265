/**
 * The session's id in a cookie: 256 random bits, signed, so that nobody can make one up. Reading and writing headers is the transport's;
 * this file knows only their text.
 */
import { randomBytes } from 'node:crypto';
import { parseCookie, stringifySetCookie } from 'cookie';
import { sign, unsign } from 'cookie-signature';
import { isSessionId } from '#protocol';
import type { CookieSettings } from './locked-session.settings.js';

/** A cookie header longer than this is not looked at. */
const longestHeader = 16_384;

export class SessionCookie {
  constructor(private readonly settings: CookieSettings) {}

  /** The id in a request's `Cookie` header; undefined when there is none that any secret signed. */
  read(header: string | undefined): string | undefined {
    if (!header || header.length > longestHeader) return undefined;
    const value = parseCookie(header)[this.settings.name];
    if (!value) return undefined;
    for (const secret of this.settings.secrets) {
      const id = unsign(value, secret);
      if (id !== false && isSessionId(id)) return id;
    }
    return undefined;
  }

  /** The `Set-Cookie` header that carries the id. */
  write(id: string): string {
    return this.header(sign(id, this.settings.secrets[0]!), this.settings.maxAgeMs);
  }

  /** The `Set-Cookie` header that makes browsers forget. */
  clear(): string {
    return this.header('', 0);
  }

  private header(value: string, maxAgeMs: number | undefined): string {
    const { name, path, domain, secure, sameSite } = this.settings;
    return stringifySetCookie({
      name,
      value,
      path,
      secure,
      sameSite,
      httpOnly: true,
      ...(domain !== undefined && { domain }),
      ...(maxAgeMs !== undefined && { maxAge: Math.floor(maxAgeMs / 1_000) }),
    });
  }
}

/** 256 random bits, in 43 characters that are safe in cookies, queue names and keys. */
export function newSessionId(): string {
  return randomBytes(32).toString('base64url');
}
