/** The options of `lockedSession`: those of express-session, and those of this library. */
import type { SessionOptions } from 'express-session';
import type { IncomingMessage } from 'node:http';
import { LockedSessionError, type LockedSessions } from '#locked-session';
import type { SessionCookie } from './cookie.js';

/** A request as Express hands it to middleware. */
export type ExpressRequest = Parameters<NonNullable<SessionOptions['genid']>>[0];

/** What the middleware reads and sets on a request. A WebSocket's request has no more than Node's. */
export interface SessionRequest extends IncomingMessage {
  session?: unknown;
  sessionID?: unknown;
  sessionStore?: unknown;
  readonly originalUrl?: string;
  readonly secure?: boolean;
}

/**
 * The options of express-session mean here what they mean there, but for `resave`: what has not changed is
 * never written. `store` is not among them.
 */
export interface ExpressSessionOptions extends Omit<SessionOptions, 'store'> {
  /** Where the sessions are: `app.get(LockedSessions)` of a Nest application or an application context. */
  sessions: LockedSessions;
  /**
   * Whether a request only reads its session. Such requests run beside each other. A change in one fails with
   * `not-locked`.
   */
  readOnly?: ((request: ExpressRequest) => boolean) | undefined;
  /** Whether the changes of a request are dropped. Asked when the answer is complete. */
  drops?: ((request: ExpressRequest, statusCode: number) => boolean) | undefined;
  /**
   * A request whose session was ended while it waited, by a login for example: it gets an empty session that
   * is not kept, or the error `session-destroyed`.
   */
  ended?: 'empty' | 'refuse' | undefined;
  /** Whether `destroy()` clears the cookie. express-session leaves it. */
  clearCookie?: boolean | undefined;
  /** How long a request waits for its session, in milliseconds. As of the sessions where it is not given. */
  waitMs?: number | undefined;
  /** How long a request keeps the lock after the head of its answer has left, in milliseconds. */
  streamMs?: number | undefined;
  /** How long a handler keeps the lock after its client has gone, in milliseconds. */
  goneMs?: number | undefined;
  /** A new `expires` of the cookie is stored when it has moved by this, or by a tenth of `maxAge`. */
  touchMs?: number | undefined;
}

export type CookieSettings = NonNullable<ConstructorParameters<typeof SessionCookie>[0]>;

export interface Settings {
  readonly sessions: LockedSessions;
  readonly secrets: readonly NonNullable<SessionOptions['secret'] & string>[];
  readonly name: string;
  readonly cookieOf: (request: SessionRequest) => CookieSettings;
  readonly saveUninitialized: boolean;
  readonly rolling: boolean;
  readonly unset: 'destroy' | 'keep';
  readonly proxy: boolean | undefined;
  readonly genid: ((request: SessionRequest) => string) | undefined;
  readonly isReadOnly: (request: SessionRequest) => boolean;
  readonly drops: (request: SessionRequest, statusCode: number) => boolean;
  readonly ended: 'empty' | 'refuse';
  readonly clearCookie: boolean;
  readonly waitMs: number | undefined;
  readonly streamMs: number;
  readonly goneMs: number;
  readonly touchMs: number;
}

interface Option {
  readonly fits: (value: unknown) => boolean;
  readonly allowed: string;
}

const flag: Option = { fits: (value) => typeof value === 'boolean', allowed: 'true or false' };
const task: Option = { fits: (value) => typeof value === 'function', allowed: 'a function' };
const oneOf = (...words: readonly unknown[]): Option => ({
  fits: (value) => words.includes(value),
  allowed: words.join(' or '),
});
const upTo = (most: number): Option => ({
  fits: (value) => typeof value === 'number' && value >= 0 && value <= most,
  allowed: `a number of milliseconds from 0 to ${most}`,
});

/** The allowed values of each option. Those that are not here are checked by nobody, and ignored. */
const table: Readonly<Partial<Record<keyof ExpressSessionOptions | 'store', Option>>> = {
  sessions: {
    fits: (value) => typeof (value as Partial<LockedSessions> | null)?.visit === 'function',
    allowed: 'the LockedSessions of an application: app.get(LockedSessions)',
  },
  secret: {
    fits: (value) => [value].flat().length > 0 && [value].flat().every((one) => Boolean(one)),
    allowed: 'one secret, or a list of them',
  },
  store: { fits: () => false, allowed: "left out, since 'sessions' takes its place" },
  name: { fits: (value) => typeof value === 'string' && value !== '', allowed: 'a text' },
  cookie: {
    fits: (value) => typeof value === 'function' || (typeof value === 'object' && value !== null),
    allowed: 'an object, or a function that returns one',
  },
  unset: oneOf('destroy', 'keep'),
  ended: oneOf('empty', 'refuse'),
  saveUninitialized: flag,
  resave: flag,
  rolling: flag,
  proxy: flag,
  clearCookie: flag,
  genid: task,
  readOnly: task,
  drops: task,
  waitMs: upTo(600_000),
  streamMs: upTo(3_600_000),
  goneMs: upTo(600_000),
  touchMs: upTo(86_400_000),
};
const defaults = {
  name: 'connect.sid',
  saveUninitialized: true,
  rolling: false,
  unset: 'keep',
  proxy: undefined,
  genid: undefined,
  ended: 'empty',
  clearCookie: true,
  waitMs: undefined,
  streamMs: 60_000,
  goneMs: 10_000,
  touchMs: 60_000,
} as const;
const required: ReadonlySet<string> = new Set(['sessions', 'secret']);

/** Throws `settings` with a line for each option that is wrong. */
export function settingsOf(options: ExpressSessionOptions): Settings {
  const wrong = wrongIn(options);
  if (wrong.length > 0)
    throw new LockedSessionError('settings', wrong.map((line) => `lockedSession(): ${line}`).join('\n'));
  const { secret, cookie = {}, readOnly, drops } = options;
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return {
    ...defaults,
    ...(given as Partial<Settings> & Pick<Settings, 'sessions'>),
    secrets: [secret].flat() as Settings['secrets'],
    cookieOf: typeof cookie === 'function' ? (cookie as Settings['cookieOf']) : () => cookie,
    isReadOnly: (readOnly as Settings['isReadOnly'] | undefined) ?? (() => false),
    drops: (drops as Settings['drops'] | undefined) ?? (() => false),
  };
}

function wrongIn(options: ExpressSessionOptions): string[] {
  return Object.entries(table).flatMap(([name, { fits, allowed }]) => {
    const value = (options as unknown as Readonly<Record<string, unknown>>)[name];
    if (value === undefined ? !required.has(name) : fits(value)) return [];
    return [`'${name}' must be ${allowed}`];
  });
}
