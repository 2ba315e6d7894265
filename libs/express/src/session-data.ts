/**
 * The properties of `req.session`, and the attributes of the session that they come from. Each property is
 * one attribute. A property has what JSON keeps of its value, as in express-session.
 */
import type { Scope } from '#locked-session';
import { isCookieDue, SessionCookie, type CookieData } from './cookie.js';
import type { Session } from './session.js';

const cookieName = 'cookie';

/** The parts of a session's handle that are used here, with names that are not declared. */
type Attributes = Pick<Scope, 'names'> & {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  delete(name: string): void;
};

interface Difference {
  /** Names and JSON texts. */
  readonly set: ReadonlyMap<string, string>;
  readonly removed: readonly string[];
}

export class SessionData {
  /** The JSON text of each attribute, as it is in the scope or the store. */
  private readonly base = new Map<string, string>();
  private wasModified = false;

  /** `touchMs`: a cookie's new `expires` alone is written when it has moved so far. */
  constructor(private readonly touchMs: number) {}

  /** The cookie that was kept with the session. */
  static cookieOf(scope: Scope): SessionCookie | undefined {
    const data = attributesOf(scope).get(cookieName) as CookieData | undefined;
    return data && new SessionCookie(data);
  }

  /** Fills a session from its attributes. */
  load(session: Session, scope: Scope): void {
    this.base.clear();
    const attributes = attributesOf(scope);
    for (const name of attributes.names()) this.take(session, name, JSON.stringify(attributes.get(name)));
  }

  /** Whether a property differs from what the session had when it was filled. The cookie does not count. */
  isModified(session: Session): boolean {
    if (this.wasModified) return true;
    const { set, removed } = this.difference(session);
    return set.size > 0 || removed.length > 0;
  }

  /** Makes in the scope what was changed in the session. Its cookie is written when it must be. */
  push(session: Session, scope: Scope, withCookie = false): void {
    const attributes = attributesOf(scope);
    const difference = this.difference(session);
    for (const [name, text] of difference.set) attributes.set(name, JSON.parse(text));
    for (const name of difference.removed) attributes.delete(name);
    this.made(difference);
    if (withCookie && this.isDue(session)) {
      const text = JSON.stringify(session.cookie);
      attributes.set(cookieName, JSON.parse(text));
      this.base.set(cookieName, text);
    }
  }

  /** Takes into the session what others have changed in the scope. What the session itself changed stays. */
  pull(session: Session, scope: Scope): void {
    const attributes = attributesOf(scope);
    const names = new Set(attributes.names());
    const own = this.difference(session);
    for (const name of names) {
      const text = JSON.stringify(attributes.get(name));
      if (this.base.get(name) === text) continue;
      this.wasModified = true;
      if (own.set.has(name) || own.removed.includes(name)) this.base.set(name, text);
      else this.take(session, name, text);
    }
    for (const name of [...this.base.keys()].filter((name) => !names.has(name))) {
      this.wasModified = true;
      this.base.delete(name);
      if (!own.set.has(name)) Reflect.deleteProperty(session, name);
    }
  }

  /**
   * Makes the session's changes in a scope that was entered anew. Returns the names that somebody else has
   * changed meanwhile. Then nothing is made.
   */
  merge(session: Session, scope: Scope): string[] {
    const attributes = attributesOf(scope);
    const difference = this.difference(session);
    const texts = new Map(attributes.names().map((name) => [name, JSON.stringify(attributes.get(name))]));
    const names = [...difference.set.keys(), ...difference.removed];
    const stale = names.filter((name) => {
      const now = texts.get(name);
      return now !== this.base.get(name) && now !== difference.set.get(name);
    });
    if (stale.length === 0) this.push(session, scope, true);
    return stale;
  }

  private take(session: Session, name: string, text: string): void {
    this.base.set(name, text);
    // As in express-session a value never hides a method.
    if (name === cookieName) session.cookie = new SessionCookie(JSON.parse(text) as CookieData);
    else if (Object.hasOwn(session, name) || !(name in session))
      Object.assign(session, { [name]: JSON.parse(text) as unknown });
  }

  private difference(session: Session): Difference {
    const set = new Map<string, string>();
    const present = new Set<string>([cookieName]);
    for (const [name, value] of Object.entries(session)) {
      if (name === cookieName) continue;
      const text = JSON.stringify(value) as string | undefined;
      if (text === undefined) continue; // a function, or undefined
      present.add(name);
      if (this.base.get(name) !== text) set.set(name, text);
    }
    const isOwn = (name: string) => Object.hasOwn(session, name) || !(name in session);
    const removed = [...this.base.keys()].filter((name) => !present.has(name) && isOwn(name));
    return { set, removed };
  }

  private made({ set, removed }: Difference): void {
    this.wasModified ||= set.size > 0 || removed.length > 0;
    for (const [name, text] of set) this.base.set(name, text);
    for (const name of removed) this.base.delete(name);
  }

  /** A session that others have made may have no cookie. It gets one with its first change. */
  private isDue({ cookie }: Session): boolean {
    const before = this.base.get(cookieName);
    if (before !== undefined) return isCookieDue(JSON.parse(before) as CookieData, cookie.data, this.touchMs);
    return this.wasModified || this.base.size === 0 || cookie.expires instanceof Date;
  }
}

function attributesOf(scope: Scope): Attributes {
  return scope;
}
