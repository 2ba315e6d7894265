/**
 * The session's id in a cookie: 256 random bits, signed, so that nobody can make one up. This file makes and
 * reads the text of headers. Others send and receive them.
 */
import { randomBytes } from 'node:crypto';
import { parseCookie, stringifySetCookie } from 'cookie';
import { sign, unsign } from 'cookie-signature';
import type { CookieSettings } from './settings.js';

/** Most cookies of one name that are tried, since each may cost a request to the store. */
const maxCandidates = 4;

/**
 * An id of a session and its signature. A value of another form is refused without computing a signature.
 */
const signedForm = /^[!-~]{1,128}\.[\w+/-]{43}$/;

/** So many values whose signatures were found right are remembered, so that they are not computed again. */
const maxVerified = 4_096;

/** A request's cookie. */
export interface GivenCookie {
  readonly id: string;
  /** The answer sends the cookie again: it is a rolling one, or an older secret signed it. */
  readonly renew: boolean;
}

export class SessionCookie {
  /** The cookies by their signed values, the last verified at the end. Only signed values come in here. */
  private readonly verified = new Map<string, GivenCookie>();

  constructor(private readonly settings: CookieSettings) {}

  get name(): string {
    return this.settings.name;
  }

  /** How many values are remembered. */
  get remembered(): number {
    return this.verified.size;
  }

  get secure(): boolean | 'auto' {
    return this.settings.secure;
  }

  /**
   * The cookies in a request's `Cookie` header that a known secret signed. Browsers send several of one name
   * after a change of `path` or `domain`, and where another program of the domain uses the same name. Node's
   * `maxHeaderSize` alone limits the header, since a session that is not found in it is lost.
   */
  read(header: string | undefined): GivenCookie[] {
    if (!header) return [];
    const { name } = this.settings;
    const found = new Map<string, GivenCookie>();
    for (const pair of header.split(';')) {
      if (!pair.includes(name)) continue;
      const value = parseCookie(pair)[name];
      const given = value && signedForm.test(value) ? this.verify(value) : undefined;
      if (given && !found.has(given.id)) found.set(given.id, given);
      if (found.size === maxCandidates) break;
    }
    return [...found.values()];
  }

  private verify(value: string): GivenCookie | undefined {
    const known = this.verified.get(value);
    if (known) return known;
    const given = this.compute(value);
    if (!given) return undefined;
    if (this.verified.size === maxVerified) this.verified.delete(this.verified.keys().next().value!);
    this.verified.set(value, given);
    return given;
  }

  private compute(value: string): GivenCookie | undefined {
    const { secrets, rolling } = this.settings;
    for (const [age, secret] of secrets.entries()) {
      const id = unsign(value, secret);
      if (id !== false) return { id, renew: rolling || age > 0 };
    }
    return undefined;
  }

  /** The `Set-Cookie` header with the id. `byTls` tells whether the answer goes by TLS. */
  write(id: string, byTls: boolean): string {
    return this.header(sign(id, this.settings.secrets[0]!), this.settings.maxAgeMs, byTls);
  }

  /** The `Set-Cookie` header that makes browsers drop the cookie. */
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
