/**
 * Runs a handler inside a scope of the client's session: finds the session, takes the locks, calls the handler, and answers when the changes are durable.
 * Errors of the library become HTTP errors here.
 */
import {
  HttpException,
  Injectable,
  Logger,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { HttpAdapterHost, ModuleRef, Reflector } from '@nestjs/core';
import type { EventEmitter } from 'node:events';
import { from, lastValueFrom, type Observable } from 'rxjs';
import type { LockSpec } from './lock-plan.js';
import { LockedSessionError } from './errors.js';
import { LockedSessions, type RunOptions } from './locked-sessions.js';
import type { Scope } from './scope.js';
import type { SessionCookie } from './session-cookie.js';
import type { Served, SessionHandle } from './session-handle.js';

export const lockedSessionMetadata = 'locked-session:lock';

export interface HandlerLock extends LockSpec {
  readonly waitMs?: number;
  readonly instance?: string;
}

/** What one `LockedSessionModule` gives the interceptor. */
export class SessionBinding {
  constructor(
    readonly sessions: LockedSessions,
    readonly cookie: SessionCookie | undefined,
    readonly resolve: ((context: ExecutionContext) => string | Promise<string>) | undefined,
    readonly onServed: ((context: ExecutionContext, served: Served) => void) | undefined,
  ) {}
}

/** The injection token of a named instance's binding. */
export function bindingToken(instance: string | undefined): string | typeof SessionBinding {
  return instance === undefined ? SessionBinding : `locked-session:binding:${instance}`;
}

interface Route {
  readonly binding: SessionBinding;
  /** The same objects for every request: their lock plans are made once. */
  readonly known: RunOptions;
  readonly newcomer: RunOptions;
}

@Injectable()
export class LockedSessionInterceptor implements NestInterceptor {
  private readonly log = new Logger('LockedSession');
  private readonly routes = new WeakMap<object, Route>();

  constructor(
    private readonly modules: ModuleRef,
    private readonly reflector: Reflector,
    private readonly http: HttpAdapterHost,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return from(this.handle(context, next));
  }

  private async handle(context: ExecutionContext, next: CallHandler): Promise<unknown> {
    try {
      const { binding, known, newcomer } = this.route(context);
      const { sessions, cookie, resolve } = binding;
      const body = () => {
        if (isAbandoned(context)) throw clientGone(known.label!);
        return lastValueFrom(next.handle(), { defaultValue: undefined });
      };
      if (!cookie) return (await this.run(context, binding, await resolve!(context), known, body)).result;

      const given = cookie.read(requestOf(context).headers.cookie);
      if (!given) return await this.serve(context, binding, sessions.newId(), newcomer, body);
      let begun = false;
      const begin = () => {
        begun = true;
        return body();
      };
      try {
        return await this.serve(context, binding, given.id, known, begin, given.renew);
      } catch (error) {
        const code = error instanceof LockedSessionError && !begun ? error.code : undefined;
        // An id that the store does not know is never adopted: the visitor gets another one (rule 14).
        if (code === 'unknown-session')
          return await this.serve(context, binding, sessions.newId(), newcomer, body);
        // A slow request of a session that is over: it gets no cookie, which might replace the one of a new login (rule 17).
        if (code === 'session-destroyed')
          return (await this.run(context, binding, sessions.newId(), { ...newcomer, unkept: true }, body))
            .result;
        throw error;
      }
    } catch (error) {
      throw error instanceof LockedSessionError ? this.httpError(error, context) : error;
    }
  }

  /** Runs the handler; then, when all is durable, the client learns which session it has now (rules 16 and 17). */
  private async serve(
    context: ExecutionContext,
    binding: SessionBinding,
    id: string,
    options: RunOptions,
    body: () => Promise<unknown>,
    renew = false,
  ): Promise<unknown> {
    const cookie = binding.cookie!;
    const byTls = () => requestOf(context).protocol === 'https';
    const tell = (kept: string) => this.setHeader(context, 'Set-Cookie', cookie.write(kept, byTls()));
    // A handler that answers by itself has done so by now: its client's cookie is renewed another time.
    const renewal = () => renew && !this.hasAnswered(context) && tell(id);
    let began = false;
    const begin = () => {
      began = true;
      return body();
    };
    try {
      const { result, scope } = await this.run(context, binding, id, options, begin);
      if (scope.destroyed) {
        if (!options.isNew) this.setHeader(context, 'Set-Cookie', cookie.clear(byTls()));
      } else if (scope.nextId !== undefined || (options.isNew && scope.isKept)) {
        tell(scope.id);
      } else {
        renewal();
      }
      return result;
    } catch (error) {
      // The handler failed, but the session is there, and in use.
      if (began && !(error instanceof LockedSessionError)) renewal();
      throw error;
    }
  }

  private async run(
    context: ExecutionContext,
    { sessions, onServed }: SessionBinding,
    id: string,
    options: RunOptions,
    body: () => Promise<unknown>,
  ): Promise<{ result: unknown; scope: Scope }> {
    let scope!: Scope;
    const begin = (session: SessionHandle) => {
      scope = session as Scope;
      return body();
    };
    const result = await sessions.run(id, options, begin, () => hangUpOf(context));
    onServed?.(context, scope.served);
    return { result, scope };
  }

  private route(context: ExecutionContext): Route {
    const handler = context.getHandler();
    let route = this.routes.get(handler);
    if (!route) {
      const lock = this.reflector.getAllAndOverride<HandlerLock>(lockedSessionMetadata, [
        handler,
        context.getClass(),
      ]);
      const binding = this.modules.get<SessionBinding>(bindingToken(lock.instance), { strict: false });
      const label = `${context.getClass().name}.${handler.name}`;
      const { instance: _instance, ...options } = lock;
      const create = binding.cookie === undefined;
      route = { binding, known: { ...options, label, create }, newcomer: { ...options, label, isNew: true } };
      this.routes.set(handler, route);
    }
    return route;
  }

  /** Mistakes of the application stay what they are: Nest logs them and answers 500 without their text. */
  private httpError(error: LockedSessionError, context: ExecutionContext): Error {
    if (context.getType() !== 'http' || error.status === 500) return error;
    if (error.status === 503) this.setHeader(context, 'Retry-After', '1');
    const { status: statusCode, code, message } = error;
    return new HttpException({ statusCode, code, message }, statusCode, { cause: error });
  }

  /** By way of Nest's adapter, which knows Express from Fastify. */
  private setHeader(context: ExecutionContext, name: string, value: string): void {
    if (!this.hasAnswered(context))
      this.http.httpAdapter.appendHeader(context.switchToHttp().getResponse(), name, value);
    else
      this.log.warn(
        `${context.getHandler().name} sent its response itself, so the header ${name} did not go with it`,
      );
  }

  private hasAnswered(context: ExecutionContext): boolean {
    return this.http.httpAdapter.isHeadersSent(context.switchToHttp().getResponse());
  }
}

/** What the requests of Express and of Fastify have in common. */
interface HttpRequest {
  readonly headers: { readonly cookie?: string };
  /** `http` or `https`: behind a proxy by what the application lets its framework believe. */
  readonly protocol: string;
  readonly socket: { readonly destroyed: boolean };
}

function requestOf(context: ExecutionContext): HttpRequest {
  return context.switchToHttp().getRequest<HttpRequest>();
}

/** The client has hung up: nobody would learn what the handler did. A client that asks again must not find it done twice. */
function isAbandoned(context: ExecutionContext): boolean {
  return context.getType() === 'http' && requestOf(context).socket?.destroyed;
}

/** Aborted when the client hangs up, or has its answer. Made only for a request that must wait. */
function hangUpOf(context: ExecutionContext): AbortSignal | undefined {
  if (context.getType() !== 'http') return undefined;
  const aborter = new AbortController();
  const response = context.switchToHttp().getResponse<{ raw?: EventEmitter } & EventEmitter>();
  (response.raw ?? response).once('close', () => aborter.abort());
  return aborter.signal;
}

function clientGone(label: string): LockedSessionError {
  return new LockedSessionError(
    'aborted',
    `${label} was not called: its client had gone before its turn came`,
  );
}
