/**
 * Finds the session of a request, and runs the handler inside a scope of it. Turns errors of the library into
 * HTTP errors.
 */
import {
  HttpException,
  Injectable,
  InternalServerErrorException,
  Logger,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
  type OnModuleInit,
} from '@nestjs/common';
import { HttpAdapterHost, ModuleRef, ModulesContainer, Reflector } from '@nestjs/core';
import { Observable, type Subscriber } from 'rxjs';
import { calmLog, type Broker } from '#broker';
import { CookieAnswer, CookieLines } from './cookie-answer.js';
import { clientTexts, LockedSessionError } from '../errors.js';
import { HandlerRun, type HandlerRunSettings, type HttpAnswer } from './handler-run.js';
import { isOver, responseOf, whenOver } from './http-exchange.js';
import type { LockSpec } from '../locks/lock-plan.js';
import type { LockedSessions } from '../sessions/locked-sessions.js';
import { rawOf, ResponseHead } from './response-head.js';
import type { Scope } from '../scope/scope.js';
import type { RunOptions } from '../sessions/run-options.js';
import type { VisitOptions } from '../sessions/visit.js';
import type { GivenCookie, SessionCookie } from './session-cookie.js';
import { scopeOfMiddleware } from './session-of-middleware.js';
import { cameByTls, noCookieHere, requestOf, type ResolveSession } from './session-of-request.js';

export const lockedSessionMetadata = 'locked-session:lock';
/** Nest's metadata key for the interceptors of a class or method. */
const interceptorsMetadata = '__interceptors__';

export function interceptorsOf(target: object): readonly unknown[] {
  return (Reflect.getMetadata(interceptorsMetadata, target) as unknown[] | undefined) ?? [];
}

export function setInterceptors(target: object, list: readonly unknown[]): void {
  Reflect.defineMetadata(interceptorsMetadata, list, target);
}

export interface HandlerLock extends LockSpec {
  readonly waitMs?: number | undefined;
  readonly instance?: string | undefined;
}

/** The part of one `LockedSessionModule` that the interceptor uses. */
export class SessionBinding implements HandlerRunSettings {
  readonly cookieLines = new CookieLines();
  readonly onServed: HandlerRunSettings['onServed'];
  readonly streamMs: number;

  constructor(
    readonly sessions: LockedSessions,
    readonly cookie: SessionCookie | undefined,
    readonly resolve: ResolveSession | undefined,
    { onServed, streamMs }: Pick<HandlerRunSettings, 'onServed' | 'streamMs'>,
    /** The broker, when the module has made it. Then it is closed with the sessions. */
    readonly ownBroker?: Broker,
  ) {
    this.onServed = onServed;
    this.streamMs = streamMs;
  }
}

/** The injection token of a named instance's binding. */
export function bindingToken(instance: string | undefined): string | typeof SessionBinding {
  return instance === undefined ? SessionBinding : bindingPrefix + instance;
}

const bindingPrefix = 'locked-session:binding:';

interface Route {
  readonly binding: SessionBinding;
  /** The same objects for every request, so that their lock plans are made once. */
  readonly known: RunOptions;
  readonly newcomer: RunOptions;
  /** Whether the application finds the session's id by `resolve`. */
  readonly fixedId: boolean;
  /** How many times Nest nests the interceptor, since class and method may both have it. */
  readonly layers: number;
}

/** One run of a handler. */
interface ServingCall {
  run?: HandlerRun;
  isOver?: boolean;
}

@Injectable()
export class LockedSessionInterceptor implements NestInterceptor, OnModuleInit {
  private readonly log = calmLog(new Logger('LockedSession'));
  /** By class and handler, since a class may inherit a handler and lock otherwise. */
  private readonly routes = new WeakMap<object, WeakMap<object, Route>>();
  /** The number of layers that a request has passed. The innermost one takes the lock. */
  private readonly passed = new WeakMap<ExecutionContext, number>();
  /**
   * Requests whose handler runs, and the call of this interceptor that runs it. An interceptor around it may
   * call it again.
   */
  private readonly serving = new WeakMap<ExecutionContext, object>();
  /** The answer to a request, however often its handler is called. */
  private readonly answers = new WeakMap<ExecutionContext, HttpAnswer>();

  constructor(
    private readonly modules: ModuleRef,
    private readonly reflector: Reflector,
    private readonly http: HttpAdapterHost,
    private readonly container: ModulesContainer,
  ) {}

  onModuleInit(): void {
    const tokens = [...this.container.values()].flatMap(({ providers }) => [...providers.keys()]);
    if (tokens.some((token) => token === SessionBinding || String(token).startsWith(bindingPrefix))) return;
    throw new LockedSessionError(
      'settings',
      'there are handlers with @LockedSession. Import LockedSessionModule.forRoot(…), or ' +
        'EmbeddedLockedSessionModule.forRoot(…)',
    );
  }

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const { layers } = this.route(context);
    if (layers > 1) {
      const layer = (this.passed.get(context) ?? 0) + 1;
      this.passed.set(context, layer);
      if (layer < layers || this.serving.has(context)) return next.handle();
    }
    const call: ServingCall = {};
    this.serving.set(context, call);
    // At once, and not on subscription: only now the asynchronous context is that of the interceptors around.
    const result = this.handle(context, next, call);
    return new Observable((subscriber) => {
      result.then(
        (value) => answer(subscriber, value),
        (error: unknown) => subscriber.error(error),
      );
      // Unsubscribed before the end: an interceptor around this one, such as a time-out, has stopped waiting.
      return () => {
        if (this.end(context, call)) call.run?.abandon();
      };
    });
  }

  /** The call serves no more. Returns false when it was so already. */
  private end(context: ExecutionContext, call: ServingCall): boolean {
    const isFirst = !call.isOver;
    call.isOver = true;
    if (this.serving.get(context) === call) this.serving.delete(context);
    return isFirst;
  }

  private async handle(context: ExecutionContext, next: CallHandler, call: ServingCall): Promise<unknown> {
    try {
      const route = this.route(context);
      const label = route.known.label!;
      const { cookie, resolve } = route.binding;
      if (context.getType() !== 'http') return await this.serveElsewhere(context, next, call);
      const around = scopeOfMiddleware(requestOf(context), route.binding.sessions);
      const brought = (!around && cookie?.read(requestOf(context).headers.cookie)) || [];
      const http = this.answerOf(context, route.binding, brought[0]?.id, around !== undefined);
      // An earlier call of the handler may have begun a session, or renamed it. The next call goes on with
      // that one.
      const told = http.cookie?.told;
      const given = told === undefined ? brought : [{ id: told, renew: false }, ...brought];
      const run = new HandlerRun(route.binding, { context, next, label, http }, this.log);
      call.run = run;
      // The middleware sends the cookie.
      if (around) return await run.serve(around.id, route.known, insideOf(around));
      return await (cookie
        ? this.serveByCookie(run, route, given)
        : this.serveFixed(run, route, await resolve!(context)));
    } catch (error) {
      const told = error instanceof LockedSessionError ? this.httpError(error, context) : error;
      this.answerHijacked(context, told);
      throw told;
    } finally {
      this.end(context, call);
    }
  }

  /** Serves a handler of another kind than HTTP. There are no cookies. */
  private async serveElsewhere(
    context: ExecutionContext,
    next: CallHandler,
    call: ServingCall,
  ): Promise<unknown> {
    const route = this.route(context);
    const label = route.known.label!;
    if (route.binding.cookie) throw noCookieHere(label, context.getType());
    const run = new HandlerRun(route.binding, { context, next, label }, this.log);
    call.run = run;
    return this.serveFixed(run, route, await route.binding.resolve!(context));
  }

  /**
   * Tries the sessions of the request's cookies in their order. The first one that the store knows is the
   * visitor's.
   */
  private async serveByCookie(
    run: HandlerRun,
    { binding, known, newcomer }: Route,
    given: readonly GivenCookie[],
  ): Promise<unknown> {
    const { sessions } = binding;
    let isDestroyed = false;
    for (const { id, renew } of given) {
      try {
        return await run.serve(id, known, {}, { renews: renew, clears: true });
      } catch (error) {
        const code = run.hasBegun ? undefined : goneCode(error);
        if (!code) throw error;
        isDestroyed ||= code === 'session-destroyed';
      }
    }
    if (isDestroyed) return run.serve(sessions.newId(), newcomer, { isNew: true, readOnly: true });
    // An unknown id is never adopted. The visitor gets another one (rule 14).
    return run.serve(sessions.newId(), newcomer, { isNew: true }, { clears: given.length > 0 });
  }

  /** Uses the session whose id the application has found. */
  private async serveFixed(
    run: HandlerRun,
    { binding, known, newcomer, fixedId }: Route,
    id: string,
  ): Promise<unknown> {
    try {
      return await run.serve(id, known, { fixedId });
    } catch (error) {
      if (run.hasBegun || goneCode(error) !== 'session-destroyed') throw error;
      return run.serve(binding.sessions.newId(), newcomer, { isNew: true, readOnly: true });
    }
  }

  private answerOf(
    context: ExecutionContext,
    { cookie, cookieLines }: SessionBinding,
    brought: string | undefined,
    isTold: boolean,
  ): HttpAnswer {
    const before = this.answers.get(context);
    if (before) return before;
    const byTls = () => cameByTls(requestOf(context), cookie!, (message) => this.log.warn(message));
    const answer = cookie && !isTold ? new CookieAnswer(cookie, cookieLines, brought, byTls) : undefined;
    if (answer && brought !== undefined) whenOver(context, () => answer.over());
    const head = new ResponseHead(responseOf(context), () => answer?.leaving());
    const its: HttpAnswer = { cookie: answer, head };
    this.answers.set(context, its);
    return its;
  }

  private route(context: ExecutionContext): Route {
    const handler = context.getHandler();
    const type = context.getClass();
    let routes = this.routes.get(type);
    if (!routes) this.routes.set(type, (routes = new WeakMap()));
    let route = routes.get(handler);
    if (!route) {
      const lock = this.reflector.getAllAndOverride<HandlerLock>(lockedSessionMetadata, [
        handler,
        context.getClass(),
      ]);
      const binding = this.modules.get<SessionBinding>(bindingToken(lock.instance), { strict: false });
      const label = `${context.getClass().name}.${handler.name}`;
      const { instance: _instance, ...options } = lock;
      const fixedId = binding.cookie === undefined;
      const lists = [...interceptorsOf(type), ...interceptorsOf(handler)];
      route = {
        layers: lists.filter((one) => one === LockedSessionInterceptor).length,
        binding,
        // An id from the application is trusted: the store makes the session when it does not know it.
        known: { ...options, label, create: fixedId },
        newcomer: { ...options, label },
        fixedId,
      };
      routes.set(handler, route);
    }
    return route;
  }

  /** Mistakes of the application pass unchanged. Nest logs them and answers 500 without their text. */
  private httpError(error: LockedSessionError, context: ExecutionContext): Error {
    if (context.getType() !== 'http' || error.status === 500) return error;
    if (error.status === 503) this.setHeader(context, 'Retry-After', '1');
    const { status: statusCode, code } = error;
    if (code !== 'aborted') this.log.warn(error.message);
    return new HttpException({ statusCode, code, message: clientTexts[code] }, statusCode, { cause: error });
  }

  /** Nest's adapter tells Express from Fastify. */
  private setHeader(context: ExecutionContext, name: string, value: string): void {
    const response = responseOf(context);
    if (!this.http.httpAdapter.isHeadersSent(response))
      this.http.httpAdapter.appendHeader(response, name, value);
  }

  /** After Fastify's `reply.hijack()` neither Nest nor Fastify would answer an error. */
  private answerHijacked(context: ExecutionContext, error: unknown): void {
    if (context.getType() !== 'http') return;
    const response = responseOf(context);
    const raw = rawOf(response);
    if (raw.headersSent || !this.http.httpAdapter.isHeadersSent(response) || isOver(context)) return;
    const http = error instanceof HttpException ? error : new InternalServerErrorException();
    raw.statusCode = http.getStatus();
    raw.setHeader('Content-Type', 'application/json; charset=utf-8');
    raw.end(JSON.stringify(http.getResponse()));
  }
}

function answer(subscriber: Subscriber<unknown>, value: unknown): void {
  subscriber.next(value);
  subscriber.complete();
}

/** The id that a scope will have at its end has no session yet. */
function insideOf(around: Scope): VisitOptions {
  return { within: around, isNew: around.isNew && !around.sessionEnd.isWanted };
}

/** The error's code when there is no session under this id. Undefined for other errors. */
function goneCode(error: unknown): 'unknown-session' | 'session-destroyed' | undefined {
  const code = error instanceof LockedSessionError ? error.code : undefined;
  return code === 'unknown-session' || code === 'session-destroyed' ? code : undefined;
}
