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
import type { Served } from './session-handle.js';

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
      const { cookie, resolve } = binding;
      const body = () => lastValueFrom(next.handle(), { defaultValue: undefined });
      if (!cookie) return (await this.run(context, binding, await resolve!(context), known, body)).result;

      const given = cookie.read(cookieHeader(context));
      if (given === undefined) return await this.serve(context, binding, newSessionId(), newcomer, body);
      let begun = false;
      const begin = () => {
        begun = true;
        return body();
      };
      try {
        return await this.serve(context, binding, given, known, begin);
      } catch (error) {
        const code = error instanceof LockedSessionError && !begun ? error.code : undefined;
        // An id that the store does not know is never adopted: the visitor gets another one (rule 14).
        if (code === 'unknown-session')
          return await this.serve(context, binding, newSessionId(), newcomer, body);
        // A slow request of a session that is over: it gets no cookie, which might replace the one of a new login (rule 17).
        if (code === 'session-destroyed')
          return (await this.run(context, binding, newSessionId(), { ...newcomer, unkept: true }, body))
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
  ): Promise<unknown> {
    const cookie = binding.cookie!;
    const { result, scope } = await this.run(context, binding, id, options, body);
    if (scope.destroyed) {
      if (!options.isNew) this.setHeader(context, 'Set-Cookie', cookie.clear());
    } else if (scope.nextId !== undefined || (options.isNew && scope.isKept)) {
      this.setHeader(context, 'Set-Cookie', cookie.write(scope.id));
    }
    return result;
  }

  private async run(
    context: ExecutionContext,
    { sessions, onServed }: SessionBinding,
    id: string,
    options: RunOptions,
    body: () => Promise<unknown>,
  ): Promise<{ result: unknown; scope: Scope }> {
    let scope!: Scope;
    const result = await sessions.run(id, options, (session) => {
      scope = session as Scope;
      return body();
    });
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
    const { httpAdapter } = this.http;
    const response: unknown = context.switchToHttp().getResponse();
    if (!httpAdapter.isHeadersSent(response)) httpAdapter.appendHeader(response, name, value);
    else
      this.log.warn(
        `${context.getHandler().name} sent its response itself, so the header ${name} did not go with it`,
      );
  }
}

function cookieHeader(context: ExecutionContext): string | undefined {
  return context.switchToHttp().getRequest<{ headers: { cookie?: string } }>().headers.cookie;
}
