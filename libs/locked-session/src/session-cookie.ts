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

/** What a request's cookie says. */
export interface GivenCookie {
  readonly id: string;
  /** The answer is to bring the cookie again: it is a rolling one, or an older secret signed it. */
  readonly renew: boolean;
}

export class SessionCookie {
  constructor(private readonly settings: CookieSettings) {}

  /** The cookie in a request's `Cookie` header; undefined when there is none that any secret signed. */
  read(header: string | undefined): GivenCookie | undefined {
    if (!header || header.length > longestHeader) return undefined;
    const { name, secrets, rolling } = this.settings;
    const value = parseCookie(header)[name];
    if (!value) return undefined;
    for (const [age, secret] of secrets.entries()) {
      const id = unsign(value, secret);
      if (id !== false && isSessionId(id)) return { id, renew: rolling || age > 0 };
    }
    return undefined;
  }

  /** The `Set-Cookie` header that carries the id, in an answer that goes by TLS or not. */
  write(id: string, byTls: boolean): string {
    return this.header(sign(id, this.settings.secrets[0]!), this.settings.maxAgeMs, byTls);
  }

  /** The `Set-Cookie` header that makes browsers forget. */
  clear(byTls: boolean): string {
    return this.header('', 0, byTls);
  }

  private header(value: string, maxAgeMs: number | undefined, byTls: boolean): string {
    const { name, path, domain, secure, sameSite, partitioned, priority } = this.settings;
    return stringifySetCookie({
      name,
      value,
      path,
      secure: secure === 'auto' ? byTls : secure,
      sameSite,
      partitioned,
      httpOnly: true,
      ...(priority !== undefined && { priority }),
      ...(domain !== undefined && { domain }),
      ...(maxAgeMs !== undefined && { maxAge: Math.floor(maxAgeMs / 1_000) }),
    });
  }
}

/** 256 random bits, in 43 characters that are safe in cookies, queue names and keys. */
export function newSessionId(): string {
  return randomBytes(32).toString('base64url');
}
