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
import { from, lastValueFrom, type Observable } from 'rxjs';
import type { LockSpec } from './lock-plan.js';
import { LockedSessionError } from './errors.js';
import { LockedSessions, type RunOptions } from './locked-sessions.js';
import type { Scope } from './scope.js';
import { newSessionId, SessionCookie } from './session-cookie.js';

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
      if (!cookie) return await sessions.run(await resolve!(context), known, body);

      const given = cookie.read(requestOf(context).headers.cookie);
      if (!given) return await this.serve(context, binding, newSessionId(), newcomer, body);
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
          return await this.serve(context, binding, newSessionId(), newcomer, body);
        // A slow request of a session that is over: it gets no cookie, which might replace the one of a new login (rule 17).
        if (code === 'session-destroyed')
          return await sessions.run(newSessionId(), { ...newcomer, unkept: true }, body);
        throw error;
      }
    } catch (error) {
      throw error instanceof LockedSessionError ? this.httpError(error, context) : error;
    }
  }

  /** Runs the handler; then, when all is durable, the client learns which session it has now (rules 16 and 17). */
  private async serve(
    context: ExecutionContext,
    { sessions, cookie }: SessionBinding,
    id: string,
    options: RunOptions,
    body: () => Promise<unknown>,
    renew = false,
  ): Promise<unknown> {
    let scope: Scope | undefined;
    const byTls = () => requestOf(context).protocol === 'https';
    const renewal = () => {
      // A handler that answers by itself has done so by now: its client's cookie is renewed another time.
      if (renew && !this.hasAnswered(context))
        this.setHeader(context, 'Set-Cookie', cookie!.write(id, byTls()));
    };
    let result: unknown;
    try {
      result = await sessions.run(id, options, (session) => {
        scope = session as Scope;
        return body();
      });
    } catch (error) {
      // The handler failed, but the session is there, and in use.
      if (scope && !(error instanceof LockedSessionError)) renewal();
      throw error;
    }
    const { destroyed, nextId, isKept } = scope!;
    if (destroyed) {
      if (!options.isNew) this.setHeader(context, 'Set-Cookie', cookie!.clear(byTls()));
    } else if (nextId !== undefined || (options.isNew && isKept)) {
      this.setHeader(context, 'Set-Cookie', cookie!.write(nextId ?? id, byTls()));
    } else renewal();
    return result;
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

function clientGone(label: string): LockedSessionError {
  return new LockedSessionError(
    'aborted',
    `${label} was not called: its client had gone before its turn came`,
  );
}
