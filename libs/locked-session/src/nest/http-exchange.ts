/** Tells when the exchange of a request and its response is over, on Express and on Fastify. */
import type { ExecutionContext } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { rawOf, type PlatformResponse } from './response-head.js';
import { requestOf, type HttpRequest } from './session-of-request.js';

export function responseOf(context: ExecutionContext): PlatformResponse {
  return context.switchToHttp().getResponse<PlatformResponse>();
}

/**
 * Whether the response is over, or its client has hung up, so that nobody would learn the handler's result.
 */
export function isOver(context: ExecutionContext): boolean {
  if (context.getType() !== 'http') return false;
  // HTTP/2 has only the response's stream.
  const { closed, destroyed, stream } = rawOf(responseOf(context)) as Partial<ServerResponse> & {
    readonly stream?: { readonly destroyed: boolean };
  };
  if (closed || destroyed) return true;
  return (
    stream?.destroyed ?? (requestOf(context).socket as HttpRequest['socket'] | undefined)?.destroyed ?? false
  );
}

/**
 * Calls `task` when the whole response is sent, or its client has hung up. Returns a function that cancels
 * that.
 */
export function whenOver(context: ExecutionContext, task: () => void): () => void {
  const raw = rawOf(responseOf(context));
  if (isOver(context)) {
    queueMicrotask(task);
    return () => {};
  }
  raw.once('close', task);
  return () => raw.off('close', task);
}
