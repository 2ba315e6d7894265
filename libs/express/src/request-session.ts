/**
 * The session of one request: found by its cookie, locked, shown as `req.session`, and kept at the end. The
 * lock is held from the session's finding to the answer's end. A request that has left it, such as that of a
 * WebSocket, takes it for each call.
 */
import type { Log } from '#broker';
import {
  durableIdOf,
  type EnteredSession,
  type LockedSessions,
  type Mirror,
  type RunOptions,
  type Scope,
} from '#locked-session';
import * as answers from './answers.js';
import { SessionCookie } from './cookie.js';
import { cameByTls, clearedLine, cookieLine, cookieOptions, idsOf } from './identity.js';
import { freshId, maxTries } from './fresh-id.js';
import { OpenScope } from './open-scope.js';
import type { SessionRequest, Settings } from './options.js';
import { Session, actionsOf, type Callback, type SessionActions } from './session.js';
import { SessionData } from './session-data.js';
import { notice } from './warnings.js';

export class RequestSession implements EnteredSession, SessionActions, Mirror {
  readonly sessions: LockedSessions;
  /** The head of the answer has left, so that no cookie can be told. */
  headHasLeft = false;

  private readonly data: SessionData;
  private readonly isReadOnly: boolean;
  private open: OpenScope | undefined;
  /** The scope whose end the answer tells. */
  private last: Scope | undefined;
  private id: string | undefined;
  /** The session of the request's cookie, if the store has it. */
  private brought: string | undefined;
  private told: string | undefined;
  /** The session that the request's cookie names was ended. Nothing is kept. */
  private isEnded = false;
  private isDestroyed = false;
  /** The calls under way, one after the other. */
  private running: Promise<void> | undefined;

  constructor(
    private readonly request: SessionRequest,
    private readonly settings: Settings,
    private readonly label: string,
    private readonly log: Log,
  ) {
    this.sessions = settings.sessions;
    this.data = new SessionData(settings.touchMs);
    this.isReadOnly = settings.isReadOnly(request);
  }

  get scope(): Scope | undefined {
    return this.open?.scope;
  }

  /** Finds the session, or begins one, and sets `req.session`. Rejects as `run` does. */
  async enter(waitSignal: () => AbortSignal | undefined): Promise<void> {
    for (const id of idsOf(this.request, this.settings)) {
      const open = await this.tried(id, waitSignal);
      if (!open) continue;
      this.brought = id;
      return this.show(open, id, new SessionCookie(cookieOptions(this.request, this.settings)));
    }
    if (this.isEnded && this.settings.ended === 'refuse') throw answers.sessionOver('of the cookie');
    await this.begin(waitSignal);
  }

  /** Calls a function in the context of the session's scope, if there is one. */
  inside(task: () => void): void {
    if (this.open) this.open.inside(task);
    else task();
  }

  /** Makes durable what was changed so far, since the head of the answer leaves. */
  async commitSoFar(): Promise<void> {
    await this.running;
    const { scope } = this;
    if (!scope) return;
    this.settle(scope);
    await (scope.sessionEnd.isWanted ? this.sessions.seal(scope) : scope.commit());
  }

  /**
   * Makes durable what the request has changed, or ends its session. Reads `req.session` in this turn, if no
   * call is under way. Rejects as `run` does. `leave` or `drop` must follow.
   */
  async conclude(statusCode: number): Promise<void> {
    if (this.running) await this.running;
    const { scope } = this;
    if (!scope) return this.concludeLate();
    if (this.settings.drops(this.request, statusCode)) return this.drop();
    if (this.current) this.settle(scope);
    else this.unset(scope);
    await this.sessions.seal(scope);
  }

  /** Leaves the lock. Rejects as `run` does. */
  async leave(): Promise<void> {
    const { open } = this;
    this.open = undefined;
    await open?.leave();
  }

  /** Leaves the lock, and drops what was not made durable. */
  async drop(): Promise<void> {
    const { open } = this;
    this.open = undefined;
    await open?.drop();
  }

  /** The `Set-Cookie` of the answer, whose head leaves now. */
  cookieLine(): string | undefined {
    const { last, settings, request, current, brought } = this;
    if (!last || this.isEnded) return undefined;
    if (this.isDestroyed || isDestroyedIn(last)) return this.clearing();
    const id = durableIdOf(last);
    if (!current || id === undefined || typeof request.sessionID !== 'string') return undefined;
    if (id === brought && !this.isRenewed(current, last)) return undefined;
    const line = cookieLine(request, settings, id, current.cookie);
    if (line === undefined) this.warnOfSecure();
    else this.told = id;
    return line;
  }

  // What applications call on `req.session`. ----------------------------------------------------------------

  save(session: Session, callback?: Callback): void {
    this.call(callback, async () => {
      this.checkCurrent(session);
      const { scope } = this;
      if (!scope) return this.saveLate(session);
      if (this.isReadOnly && this.data.isModified(session)) throw answers.readsOnly(this.label);
      if (this.isReadOnly) return;
      if (this.isUntold(scope)) throw answers.tooLate(this.label, 'save()');
      this.data.push(session, scope, true);
      // A handler inside has asked for another id. The answer waits for that.
      if (!scope.sessionEnd.isWanted) await scope.commit();
    });
  }

  reload(session: Session, callback?: Callback): void {
    this.call(callback, async () => {
      this.checkCurrent(session);
      const { scope } = this;
      const id = this.id!;
      if (!scope)
        return this.sessions.visit(id, { ...this.lock(true), create: false }, {}, (its) =>
          this.display(its, id, session.cookie),
        );
      if (scope.held.lost) throw scope.held.lost;
      if (!scope.isKept) throw answers.sessionOver(id);
      this.display(scope, id, session.cookie);
    });
  }

  regenerate(session: Session, callback?: Callback): void {
    this.call(callback, async () => {
      this.checkCurrent(session);
      const { open } = this;
      if (this.isEnded) throw answers.sessionOver(this.id);
      if (!open || this.headHasLeft) throw answers.tooLate(this.label, 'regenerate()');
      if (this.isReadOnly) throw answers.readsOnly(this.label);
      if (open.scope.children?.size) throw answers.insideHandler(this.label);
      await this.replace(open);
    });
  }

  destroy(session: Session, callback?: Callback): void {
    if (this.request.session === session) delete this.request.session;
    this.call(callback, async () => {
      if (session.id !== this.id || this.isDestroyed) return;
      if (this.isReadOnly) throw answers.readsOnly(this.label);
      const { scope, id } = this;
      if (!scope) await this.sessions.run(id, { create: false }, (its) => its.destroy()).catch(unlessGone);
      else {
        scope.destroy();
        await this.sessions.seal(scope);
        await this.leave();
      }
      this.isDestroyed = true;
    });
  }

  // What scopes inside the request see of `req.session`, and what it sees of them. --------------------------

  push(): void {
    const { scope, current } = this;
    if (scope && current && !this.isReadOnly && !scope.sessionEnd.isWanted) this.data.push(current, scope);
  }

  pull(): void {
    const { scope, current } = this;
    if (scope && current && !scope.sessionEnd.isDestroyed) this.data.pull(current, scope);
  }

  // ---------------------------------------------------------------------------------------------------------

  /** The request's own session, unless the application has put something else in its place. */
  private get current(): Session | undefined {
    const { session } = this.request;
    return actionsOf(session) === this ? (session as Session) : undefined;
  }

  /** Undefined when there is no session of this id any more. */
  private async tried(id: string, waitSignal: () => AbortSignal | undefined): Promise<OpenScope | undefined> {
    try {
      const options = { ...this.lock(this.isReadOnly), create: false };
      const open = await OpenScope.enter(this.sessions, id, options, { waitSignal });
      if (!SessionData.cookieOf(open.scope)?.isExpired) return open;
      if (!this.isReadOnly) open.scope.destroy();
      await open.leave();
    } catch (error) {
      const code = answers.goneCode(error);
      if (!code) throw error;
      this.isEnded ||= code === 'session-destroyed';
    }
    return undefined;
  }

  /** Begins a session. The store learns of it with its first change. */
  private async begin(waitSignal: () => AbortSignal | undefined): Promise<void> {
    for (let i = 0; ; i++) {
      const id = await freshId(this.request, this.settings, this.lock(true));
      const kind = { isNew: true, readOnly: this.isEnded, waitSignal };
      const open = await OpenScope.enter(this.sessions, id, this.lock(this.isReadOnly), kind);
      const isOurs = !open.scope.isKept && open.scope.names().length === 0;
      if (isOurs) return this.show(open, id, new SessionCookie(cookieOptions(this.request, this.settings)));
      await open.drop();
      if (i === maxTries) throw answers.idUsed(id);
    }
  }

  private lock(reads: boolean): RunOptions {
    const { label } = this;
    const { waitMs } = this.settings;
    return { label, ...(waitMs !== undefined && { waitMs }), ...(reads && { read: '*' }) };
  }

  private show(open: OpenScope, id: string, cookie: SessionCookie): void {
    this.open = open;
    this.last = open.scope;
    open.scope.mirror = this;
    this.display(open.scope, id, cookie);
  }

  /** Sets `req.session` to a new object with the attributes of the scope. */
  private display(scope: Scope, id: string, cookie: SessionCookie): void {
    const session = new Session(this.request, id, this, cookie);
    this.data.load(session, scope);
    this.id = id;
    this.request.sessionID = id;
    this.request.session = session;
  }

  /**
   * The next session is made before the old one is destroyed, under the old one's lock. So there is always
   * one, and nobody finds both (rule 17).
   */
  private async replace(open: OpenScope): Promise<void> {
    const { scope } = open;
    const id = await freshId(this.request, this.settings, this.lock(true));
    const cookie = new SessionCookie(cookieOptions(this.request, this.settings));
    scope.clear();
    const attributes = scope as { set(name: string, value: unknown): void };
    attributes.set('cookie', JSON.parse(JSON.stringify(cookie)));
    scope.askedEnd.nextId = id;
    await this.sessions.seal(scope);
    await this.leave();
    const next = await OpenScope.enter(this.sessions, id, { ...this.lock(false), create: false }, {});
    scope.successor = next.scope;
    this.show(next, id, cookie);
  }

  /** Passes on to the scope what `req.session` has. Throws when that must not be kept. */
  private settle(scope: Scope): void {
    const { current } = this;
    if (!current || typeof this.request.sessionID !== 'string') return;
    const isModified = this.data.isModified(current);
    if (this.isReadOnly && isModified) throw answers.readsOnly(this.label);
    if (scope.sessionEnd.isDestroyed || !this.isKept(scope, isModified)) return;
    if (this.isUntold(scope)) return this.warnOfUntold();
    current.touch();
    if (!this.isReadOnly) this.data.push(current, scope, true);
  }

  /** A session that is new and has nothing in it is kept only by setting. */
  private isKept(scope: Scope, isModified: boolean): boolean {
    if (isModified || this.id === this.brought || scope.isKept) return true;
    const { saveUninitialized } = this.settings;
    return saveUninitialized && !this.isEnded && !this.isReadOnly && !isPreflight(this.request);
  }

  /** The application has put nothing, or something else, in the place of `req.session`. */
  private unset(scope: Scope): void {
    const { settings, request } = this;
    if (settings.unset !== 'destroy' || typeof request.sessionID !== 'string') return;
    if (this.isReadOnly) throw answers.readsOnly(this.label);
    if (!scope.sessionEnd.isWanted) scope.destroy();
  }

  /** A session that the client does not know, and cannot be told any more. */
  private isUntold(scope: Scope): boolean {
    return this.headHasLeft && this.id !== this.brought && this.told === undefined && !scope.isKept;
  }

  private isRenewed(session: Session, scope: Scope): boolean {
    if (scope.held.lost) return false;
    const { expires } = session.cookie;
    const hasTime = expires !== undefined && expires !== null;
    return this.settings.rolling || (hasTime && this.data.isModified(session));
  }

  private async concludeLate(): Promise<void> {
    const { current } = this;
    if (current && !this.isDestroyed && this.data.isModified(current)) await this.saveLate(current);
  }

  /** Takes the lock anew, and keeps what nobody else has changed. */
  private async saveLate(session: Session): Promise<void> {
    const id = this.id!;
    if (this.isReadOnly) throw answers.readsOnly(this.label);
    if (this.isEnded) throw answers.sessionOver(id);
    const options = { ...this.lock(false), create: false };
    const stale = await this.sessions.visit(id, options, {}, (scope) => this.data.merge(session, scope));
    if (stale.length > 0) throw answers.changedMeanwhile(id, stale);
  }

  private checkCurrent(session: Session): void {
    if (this.isDestroyed || session.id !== this.id) throw answers.sessionOver(session.id);
  }

  /** One call after the other. The first one begins in this turn. */
  private call(callback: Callback | undefined, task: () => Promise<void>): void {
    const result = this.running ? this.running.then(task) : task();
    const settled = result
      .catch(() => {})
      .finally(() => {
        if (this.running === settled) this.running = undefined;
      });
    this.running = settled;
    result.then(
      () => this.callBack(callback),
      (error: unknown) => {
        if (callback) this.callBack(callback, answers.forExpress(error));
        else this.log.warn(`${this.label}: ${String(error)}`);
      },
    );
  }

  /** An error in the application's function is the application's, and not a rejection here. */
  private callBack(callback: Callback | undefined, error?: unknown): void {
    if (callback) process.nextTick(() => this.inside(() => callback(error)));
  }

  private clearing(): string | undefined {
    const { settings, request, brought } = this;
    if (brought === undefined || !settings.clearCookie) return undefined;
    return clearedLine(settings, new SessionCookie(cookieOptions(request, settings)));
  }

  private warnOfUntold(): void {
    notice(
      this.log,
      this.settings,
      `${this.label} has begun a session after the head of its answer had left. It is not kept, since no ` +
        'cookie can tell it',
    );
  }

  private warnOfSecure(): void {
    const byProxy = cameByTls(this.request, { ...this.settings, proxy: true });
    notice(
      this.log,
      this.settings,
      `the session's cookie is 'secure', and the request came by plain http. Browsers get no cookie. ${
        byProxy
          ? "Trust the proxy ('trust proxy' of Express, or 'proxy')"
          : "Serve by TLS, or set 'secure' to 'auto'"
      }`,
    );
  }
}

function isDestroyedIn({ sessionEnd }: Scope): boolean {
  return sessionEnd.isDone && sessionEnd.isDestroyed;
}

/** A browser asks whether it may ask. It sends no cookie, and keeps none. */
function isPreflight({ method, headers }: SessionRequest): boolean {
  return method === 'OPTIONS' && headers['access-control-request-method'] !== undefined;
}

function unlessGone(error: unknown): void {
  if (!answers.goneCode(error)) throw error;
}
