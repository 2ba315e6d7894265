/** The only file that knows Express: where the cookie is read from, and written to. */
import type { ExecutionContext } from '@nestjs/common';
import type { Request, Response } from 'express';

export function cookieHeader(context: ExecutionContext): string | undefined {
  return context.switchToHttp().getRequest<Request>().headers.cookie;
}

/** False when the response has begun already, so that the header cannot go with it. */
export function setCookie(context: ExecutionContext, cookie: string): boolean {
  const response = context.switchToHttp().getResponse<Response>();
  if (response.headersSent) return false;
  response.append('Set-Cookie', cookie);
  return true;
}

export function setRetryAfter(context: ExecutionContext, seconds: number): void {
  const response = context.switchToHttp().getResponse<Response>();
  if (!response.headersSent) response.setHeader('Retry-After', String(seconds));
}

/** For messages: `POST /cart/items`. */
export function routeOf(context: ExecutionContext): string {
  const { method, route, path } = context
    .switchToHttp()
    .getRequest<Request & { route?: { path?: string } }>();
  return `${method} ${route?.path ?? path}`;
}
