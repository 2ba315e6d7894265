/**
 * A session's cookie as applications know it from express-session: `req.session.cookie`. It is kept with the
 * session, so that each session may have a time of its own.
 */

/** What is kept of a cookie. An `expires` is a date in the session, and its text in the store. */
export interface CookieData {
  originalMaxAge: number | null;
  partitioned?: boolean | undefined;
  priority?: 'low' | 'medium' | 'high' | undefined;
  expires?: Date | string | false | null | undefined;
  secure?: boolean | 'auto' | undefined;
  httpOnly: boolean;
  domain?: string | undefined;
  path: string;
  sameSite?: boolean | 'lax' | 'strict' | 'none' | 'auto' | undefined;
}

type Options = { [Name in keyof CookieData]?: CookieData[Name] | undefined } & {
  readonly maxAge?: number | null | undefined;
};

const kept = ['path', 'httpOnly', 'domain', 'secure', 'sameSite', 'priority', 'partitioned'] as const;

export class SessionCookie {
  path = '/';
  httpOnly = true;
  originalMaxAge: number | null = null;
  declare domain?: string;
  declare secure?: boolean | 'auto';
  declare sameSite?: Exclude<CookieData['sameSite'], undefined>;
  declare priority?: 'low' | 'medium' | 'high';
  declare partitioned?: boolean;
  private end: Date | false | null | undefined = null;

  /** `options` are those of the middleware, or what was kept of a cookie. */
  constructor(options: Options = {}) {
    for (const name of kept) if (options[name] !== undefined) Object.assign(this, { [name]: options[name] });
    const { expires, maxAge, originalMaxAge } = options;
    if (expires !== undefined) this.expires = typeof expires === 'string' ? new Date(expires) : expires;
    if (maxAge !== undefined) this.maxAge = maxAge;
    if (originalMaxAge !== undefined) this.originalMaxAge = originalMaxAge;
    Object.defineProperty(this, 'end', { enumerable: false });
  }

  /** When browsers and the middleware forget the session. Null or false: at the end of the browser. */
  get expires(): Date | false | null | undefined {
    return this.end;
  }

  set expires(date: Date | false | null | undefined) {
    this.end = date;
    this.originalMaxAge = this.maxAge ?? null;
  }

  /** The time until `expires`, in milliseconds. */
  get maxAge(): number | null | undefined {
    return this.end instanceof Date ? this.end.valueOf() - Date.now() : undefined;
  }

  set maxAge(ms: number | null | undefined) {
    this.end = typeof ms === 'number' ? new Date(Date.now() + ms) : null;
    this.originalMaxAge = ms ?? null;
  }

  /** The time counts from now on again. */
  touch(): void {
    if (this.originalMaxAge !== null) this.maxAge = this.originalMaxAge;
  }

  get isExpired(): boolean {
    return this.end instanceof Date && this.end.valueOf() <= Date.now();
  }

  get data(): CookieData {
    const { originalMaxAge, partitioned, priority, expires, secure, httpOnly, domain, path, sameSite } = this;
    return { originalMaxAge, partitioned, priority, expires, secure, httpOnly, domain, path, sameSite };
  }

  toJSON(): CookieData {
    return this.data;
  }
}

/**
 * Whether the store must learn of the cookie. A new `expires` alone is told when it has moved by `touchMs`,
 * or by a tenth of the cookie's time. So most requests write nothing, and a session ends so much early.
 */
export function isCookieDue(before: CookieData, now: CookieData, touchMs: number): boolean {
  const moved = Math.abs(timeOf(now.expires) - timeOf(before.expires));
  if (moved >= Math.min(touchMs, (now.originalMaxAge ?? Infinity) / 10)) return true;
  // Without `expires` on one side the difference is no number.
  if (Number.isNaN(moved) && Boolean(now.expires) !== Boolean(before.expires)) return true;
  return JSON.stringify({ ...now, expires: null }) !== JSON.stringify({ ...before, expires: null });
}

function timeOf(expires: CookieData['expires']): number {
  return expires === null || expires === undefined || expires === false ? NaN : new Date(expires).valueOf();
}
