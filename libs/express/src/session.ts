/**
 * `req.session` as applications know it from express-session: plain properties, and methods that no loop over
 * the properties meets.
 */
import type { SessionCookie } from './cookie.js';

export type Callback = (error?: unknown) => void;

/** What the methods of a session do. */
export interface SessionActions {
  save(session: Session, callback?: Callback): void;
  reload(session: Session, callback?: Callback): void;
  regenerate(session: Session, callback?: Callback): void;
  destroy(session: Session, callback?: Callback): void;
}

const actions = new WeakMap<Session, SessionActions>();

/** Whose session this is. Undefined for other values. */
export function actionsOf(session: unknown): SessionActions | undefined {
  return session instanceof Session ? actions.get(session) : undefined;
}

export class Session {
  declare readonly id: string;
  declare readonly req: object;
  declare cookie: SessionCookie;

  constructor(req: object, id: string, its: SessionActions, cookie: SessionCookie) {
    Object.defineProperty(this, 'req', { value: req });
    Object.defineProperty(this, 'id', { value: id });
    this.cookie = cookie;
    actions.set(this, its);
  }

  /** The time of the cookie counts from now on again. */
  touch(): this {
    return this.resetMaxAge();
  }

  resetMaxAge(): this {
    this.cookie.touch();
    return this;
  }

  /** Calls back when all changes so far are durable, or with the error that says what became of them. */
  save(callback?: Callback): this {
    actions.get(this)!.save(this, callback);
    return this;
  }

  /** Calls back when `req.session` is what the store has. Changes since the last `save` are dropped. */
  reload(callback?: Callback): this {
    actions.get(this)!.reload(this, callback);
    return this;
  }

  /** Calls back when the old id is dead on every server, and `req.session` is empty and has another id. */
  regenerate(callback?: Callback): this {
    actions.get(this)!.regenerate(this, callback);
    return this;
  }

  /** Calls back when the session is dead on every server. */
  destroy(callback?: Callback): this {
    actions.get(this)!.destroy(this, callback);
    return this;
  }
}
