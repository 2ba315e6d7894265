/**
 * `req.sessionStore`, for applications that reach sessions by hand. Each call takes the lock of its session
 * for itself. In the request that has the session it is inside of that request's lock.
 */
import { EventEmitter } from 'node:events';
import { LockedSessionError, type RunOptions, type Scope, type SessionHandle } from '#locked-session';
import { forExpress, goneCode } from './answers.js';
import { SessionCookie, type CookieData } from './cookie.js';
import type { SessionRequest, Settings } from './options.js';
import { actionsOf, Session, type Callback } from './session.js';

type Values = Readonly<Record<string, unknown>>;
type Loose = Pick<Scope, 'clear' | 'names' | 'destroy'> & {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
};

/** Express-session's stores emit events, and some applications listen. */
export class RequestStore extends EventEmitter {
  constructor(private readonly settings: Settings) {
    super();
  }

  /** What the store has of the session, or undefined. */
  get(id: string, callback?: (error: unknown, session?: Values) => void): Promise<Values | undefined> {
    return this.answer<Values | undefined>(callback, () =>
      this.run(id, { read: '*', create: false }, (session) => {
        const names = session.names();
        return names.length === 0
          ? undefined
          : Object.fromEntries(names.map((name) => [name, copy(session.get(name))]));
      }).catch(noneIfGone),
    );
  }

  /** As `get`, with the methods of a session. They act on the session of no request, and take the lock. */
  load(id: string, callback: (error: unknown, session?: Session) => void): void {
    void this.get(id).then(
      (values) =>
        callback(undefined, values && this.createSession({ sessionID: id } as SessionRequest, values)),
      (error: unknown) => callback(error),
    );
  }

  /** Replaces all that the session has. Makes the session if there is none. */
  set(id: string, values: object, callback?: Callback): Promise<void> {
    const own = actionsOf(values);
    if (own && (values as Session).id === id && isOfRequest(values as Session))
      return this.answer(callback, () => asPromise((done) => own.save(values as Session, done)));
    const texts = Object.entries(values).flatMap(([name, value]) => {
      const text = JSON.stringify(value) as string | undefined;
      return text === undefined ? [] : [[name, JSON.parse(text) as unknown] as const];
    });
    return this.answer(callback, () =>
      this.run(id, {}, (session) => {
        session.clear();
        for (const [name, value] of texts) session.set(name, value);
      }),
    );
  }

  destroy(id: string, callback?: Callback): Promise<void> {
    return this.answer(callback, () =>
      this.run(id, { create: false }, (session) => session.destroy()).catch(noneIfGone),
    );
  }

  /** Keeps the cookie of a session that is still there, and nothing else of it. */
  touch(id: string, values: Values, callback?: Callback): Promise<void> {
    const cookie = copy(values['cookie']);
    return this.answer(callback, () =>
      this.run(id, { write: ['cookie'], create: false }, (session) => session.set('cookie', cookie)).catch(
        noneIfGone,
      ),
    );
  }

  regenerate(request: SessionRequest, callback: Callback): void {
    const actions = actionsOf(request.session);
    if (actions) actions.regenerate(request.session as Session, callback);
    else callback(notHere('regenerate() of a request without a session'));
  }

  createSession(request: SessionRequest, values: Values): Session {
    const id = String(request.sessionID);
    const { cookie, ...others } = values;
    const session = new Session(request, id, this.actions(id), new SessionCookie(cookie as CookieData));
    for (const [name, value] of Object.entries(others))
      if (!(name in session)) Object.assign(session, { [name]: value });
    request.session ??= session;
    return session;
  }

  generate(): never {
    throw notHere('generate()');
  }

  all(callback: Callback): void {
    callback(notHere('all()'));
  }

  length(callback: Callback): void {
    callback(notHere('length()'));
  }

  clear(callback?: Callback): void {
    callback?.(notHere('clear()'));
  }

  /** The methods of a session that was loaded by hand. */
  private actions(id: string): ReturnType<typeof actionsOf> & object {
    return {
      save: (session, callback) => void this.set(id, session, callback),
      destroy: (_session, callback) => void this.destroy(id, callback),
      reload: (session, callback) =>
        this.load(id, (error, loaded) => {
          if (loaded) Object.assign(session, loaded);
          callback?.(error ?? (loaded ? undefined : notHere('a session that is gone')));
        }),
      regenerate: (_session, callback) => callback?.(notHere('regenerate() without a request')),
    };
  }

  private run<T>(id: string, options: RunOptions, body: (session: Loose) => T): Promise<T> {
    const { sessions, waitMs } = this.settings;
    const wait = waitMs === undefined ? {} : { waitMs };
    return sessions.run(id, { ...options, ...wait }, (session: SessionHandle) => body(session as never));
  }

  /** By callback, or by promise where there is none. */
  private async answer<T>(
    callback: ((error: unknown, value?: T) => void) | undefined,
    task: () => Promise<T>,
  ): Promise<T> {
    if (!callback) return task();
    let told: (() => void) | undefined;
    const result = task().then(
      (value) => {
        told = () => callback(undefined, value);
        return value;
      },
      (error: unknown) => {
        told = () => callback(forExpress(error));
        return undefined as T;
      },
    );
    const value = await result;
    process.nextTick(() => told?.());
    return value;
  }
}

function isOfRequest({ req }: Session): boolean {
  return 'headers' in req;
}

function copy(value: unknown): unknown {
  return value === undefined ? undefined : (JSON.parse(JSON.stringify(value)) as unknown);
}

function asPromise(task: (done: Callback) => void): Promise<void> {
  return new Promise((resolve, reject) =>
    task((error) => {
      if (error) reject(error);
      else resolve();
    }),
  );
}

function noneIfGone(error: unknown): undefined {
  if (goneCode(error)) return undefined;
  throw error;
}

function notHere(what: string): LockedSessionError {
  return new LockedSessionError('settings', `req.sessionStore has no ${what}: sessions are not listed here`);
}
