/**
 * One call of a handler inside a scope of its session. Its answer leaves when the scope has ended and its
 * changes are durable. Two kinds of answers leave earlier, while the scope goes on and may change nothing
 * more: an answer that the handler sends itself and may be waiting for, and a stream that the handler has
 * returned.
 */
import type { CallHandler, ExecutionContext } from '@nestjs/common';
import type { Log } from '#broker';
import type { CookieAnswer, CookiePlan } from './cookie-answer.js';
import { LockedSessionError } from '../errors.js';
import { endObservables, isStream } from './handler-result.js';
import { isOver, responseOf, whenOver } from './http-exchange.js';
import type { LockedSessions } from '../sessions/locked-sessions.js';
import type { ResponseHead } from './response-head.js';
import type { RunOptions } from '../sessions/run-options.js';
import type { VisitOptions } from '../sessions/visit.js';
import { servedBy } from '../scope/outcome.js';
import { currentScope, type Scope } from '../scope/scope.js';
import type { Served } from '../scope/session-handle.js';
import { thawed } from '../values.js';

/** The answer to one HTTP request. Other kinds of handlers have none. */
export interface HttpAnswer {
  readonly head: ResponseHead;
  /**
   * The call whose answer is held. An interceptor may call the handler again before an earlier call has
   * ended.
   */
  owner?: HandlerRun;
  readonly cookie: CookieAnswer | undefined;
}

export interface HandlerRunSettings {
  readonly sessions: LockedSessions;
  readonly onServed: ((context: ExecutionContext, served: Served) => unknown) | undefined;
  /** For so long a handler that has returned a stream keeps its locks, in milliseconds. */
  readonly streamMs: number;
}

export interface HandlerCall {
  readonly context: ExecutionContext;
  readonly next: CallHandler;
  /** The handler, for messages. */
  readonly label: string;
  /** Undefined outside HTTP. */
  readonly http?: HttpAnswer;
}

export class HandlerRun {
  /** The handler was called. */
  hasBegun = false;
  private scope: Scope | undefined;
  private returned = false;
  private concluded = false;
  private plan: CookiePlan = {};
  /** The reason why nobody waits for the result any more. */
  private abandoned: LockedSessionError | undefined;
  /** Each ends the scope's wait, or the handler's work. */
  private readonly stops: (() => void)[] = [];
  /** Settles the client's answer, once. */
  private answered: { resolve(result: unknown): void; reject(error: unknown): void } | undefined;

  constructor(
    private readonly settings: HandlerRunSettings,
    private readonly call: HandlerCall,
    private readonly log: Log,
  ) {}

  /**
   * Resolves with the handler's result when it may be answered. Rejects as `LockedSessions.run` does. Then
   * nothing has left of an answer that the handler has sent itself.
   */
  serve(id: string, options: RunOptions, kind: VisitOptions, plan: CookiePlan = {}): Promise<unknown> {
    this.plan = plan;
    return new Promise((resolve, reject) => {
      this.answered = { resolve, reject };
      if (this.abandoned) return this.fail(this.abandoned);
      if (isOver(this.call.context)) return this.fail(this.clientGone());
      this.settings.sessions
        .visit(id, options, { ...kind, waitSignal: () => this.hangUp() }, (scope) => this.body(scope))
        .then((result) => this.succeed(thawed(result))) // the end of the scope has frozen its drafts
        .catch((error: unknown) => this.fail(error));
    });
  }

  /**
   * To be called when the interceptors around the handler stop waiting for its result, as RxJS's `timeout`
   * does. Their answer is not held. The scope fails: only changes that were sent before are kept, and its
   * locks are given back.
   */
  abandon(why = 'an interceptor around it stopped waiting for its result'): void {
    if (this.abandoned) return;
    // Nest itself stops waiting for an Observable whose client has gone.
    const clientGone = isOver(this.call.context);
    const error = clientGone ? this.clientGone() : this.givenUp(why);
    this.abandoned = error;
    if (!clientGone) this.log.warn(error.message);
    // The handler's changes are on their way to the store. The answer waits for them.
    if (this.returned) return;
    if (this.answered) this.fail(error);
    for (const stop of this.stops) stop();
  }

  /**
   * An error is answered while the handler runs. When it comes from elsewhere, such as a middleware with a
   * time-out, the client concludes that nothing was done. So the handler is ended, and its changes are
   * dropped. The handler's own error is an answer like others.
   */
  private giveWay(scope: Scope): boolean {
    if (currentScope.getStore()?.isInside(scope)) return false;
    this.abandon('an error was answered from outside of it');
    return !this.returned;
  }

  private async body(scope: Scope): Promise<unknown> {
    this.checkWanted();
    if (isOver(this.call.context)) throw this.clientGone();
    this.hasBegun = true;
    this.scope = scope;
    const sealing = this.call.http && this.holdHead(scope, this.call.http.head);
    if (sealing) await sealing;
    this.checkWanted();
    let result: unknown;
    try {
      result = thawed(await this.called());
    } finally {
      this.returned = true;
    }
    // A handler that answers by itself often returns the response.
    if (!this.call.http || result === responseOf(this.call.context) || !isStream(result)) return result;
    await this.settings.sessions.seal(scope);
    this.succeed(result);
    await this.settings.sessions.atMost(this.settings.streamMs, this.over());
    return result;
  }

  private checkWanted(): void {
    if (this.abandoned) throw this.abandoned;
  }

  /** The handler's last value, or a rejection as soon as nobody waits for it. */
  private called(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      let last: unknown;
      const next = (value: unknown) => (last = value);
      const subscription = this.call.next.handle().subscribe({
        next,
        error: reject,
        complete: () => resolve(last),
      });
      const stop = () => {
        subscription.unsubscribe();
        reject(this.abandoned);
      };
      // The handler itself may have caused it, before it returned.
      if (this.abandoned) stop();
      else this.stops.push(stop);
    });
  }

  /** Undefined when there is nothing to wait for. */
  private holdHead(scope: Scope, head: ResponseHead): Promise<void> | undefined {
    const { context } = this.call;
    endObservables(
      scope,
      (task) => whenOver(context, task),
      () => this.clientGone(),
    );
    this.call.http!.owner = this;
    // An answer of a guard or an interceptor cannot be taken back.
    if (head.hasLeft) return this.settings.sessions.seal(scope);
    head.hold({
      onUrgent: () => void this.leaveEarly(scope),
      givesWay: () => this.giveWay(scope),
    });
    return undefined;
  }

  /**
   * The handler has written an answer and goes on. It may wait for the answer to leave, so the answer must
   * not wait for it.
   */
  private async leaveEarly(scope: Scope): Promise<void> {
    if (this.returned) return;
    try {
      await this.settings.sessions.seal(scope);
      this.conclude();
      this.ownHead?.release();
    } catch (error) {
      this.fail(error);
    }
  }

  private succeed(result: unknown): void {
    this.conclude();
    this.ownHead?.release();
    this.answered?.resolve(result);
    this.answered = undefined;
  }

  private fail(error: unknown): void {
    if (!this.answered) {
      if (this.abandoned) return; // it is in the log
      this.log.warn(`${this.call.label} failed after its answer had left: ${String(error)}`);
      return;
    }
    // The handler may have made changes durable before it failed. So the answer has their cookie, whatever it
    // is.
    if (this.scope && !this.concluded) this.call.http?.cookie?.decide(this.scope, this.plan);
    if (this.abandoned && this.returned) this.ownHead?.release();
    else this.ownHead?.discard();
    this.answered.reject(error);
    this.answered = undefined;
  }

  private get ownHead(): ResponseHead | undefined {
    return this.call.http?.owner === this ? this.call.http.head : undefined;
  }

  /** The scope's changes are durable. */
  private conclude(): void {
    if (this.concluded) return;
    this.concluded = true;
    this.call.http?.cookie?.decide(this.scope!, this.plan);
    const { onServed } = this.settings;
    if (!onServed) return;
    // An error in the application's own function must not hide from the client what is durable.
    const failed = (error: unknown) =>
      this.log.error(`onServed has failed after ${this.call.label}: ${stackOf(error)}`);
    try {
      Promise.resolve(onServed(this.call.context, servedBy(this.scope!))).catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /**
   * Aborted when the client hangs up, has its answer, or nobody waits for the result. Made only for a request
   * that must wait.
   */
  private hangUp(): AbortSignal {
    const aborter = new AbortController();
    const abort = () => aborter.abort();
    this.stops.push(abort);
    if (this.call.http) whenOver(this.call.context, abort);
    return aborter.signal;
  }

  private over(): Promise<void> {
    return new Promise((resolve) => whenOver(this.call.context, resolve));
  }

  private givenUp(why: string): LockedSessionError {
    let what = 'was not called';
    if (this.hasBegun) what = 'was ended, and its changes are dropped';
    if (this.returned) what = 'has returned, and its changes may be kept';
    return new LockedSessionError('aborted', `${this.call.label} ${what}, since ${why}`);
  }

  private clientGone(): LockedSessionError {
    const what = this.hasBegun ? 'was ended' : 'was not called';
    return new LockedSessionError('aborted', `${this.call.label} ${what}, since its client had hung up`);
  }
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
