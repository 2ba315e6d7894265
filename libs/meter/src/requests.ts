/**
 * Which request reads or saves a session. Express-session's sessions name theirs. A store under
 * @fastify/session is not told, so hooks that run before that plugin's own tell it.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

/** What both platforms' requests have, as far as it is read. */
interface AnyRequest {
  readonly method?: unknown;
  readonly url?: unknown;
  readonly originalUrl?: unknown;
  /** Express. */
  readonly baseUrl?: unknown;
  readonly route?: { readonly path?: unknown };
  /** Fastify. */
  readonly routeOptions?: { readonly url?: unknown };
}

/** What the plugin needs of Fastify, whose own types tell every hook apart. */
interface HookedFastify {
  addHook(...given: never[]): unknown;
}

const running = new AsyncLocalStorage<object>();

/**
 * A plugin for Fastify. It is registered before @fastify/session, so that the meter of that plugin's store
 * knows which request reads and saves.
 */
export function lostUpdateMeterFastify(fastify: HookedFastify, _options: unknown, done: () => void): void {
  hookFastify(fastify);
  done();
}
// As fastify-plugin does: the hooks are those of the server that registers it, not of a child of it.
Object.assign(lostUpdateMeterFastify, { [Symbol.for('skip-override')]: true });

/** Adds the hooks at once, which a plugin around @fastify/session needs. */
export function hookFastify(fastify: HookedFastify): void {
  const add = fastify.addHook.bind(fastify) as (name: string, hook: object) => void;
  const before = (request: object, _reply: unknown, done: () => void) => running.run(request, done);
  add('onRequest', before);
  // The context is left behind where a body is parsed, and where a handler waits for what others have begun.
  add('preValidation', before);
  add('onSend', (request: object, _reply: unknown, _payload: unknown, done: () => void) =>
    running.run(request, done),
  );
}

/** The request of Fastify whose hooks or handler run. */
export const runningRequest = (): object | undefined => running.getStore();

/** Of a session of express-session, else undefined. */
export function requestOf(session: object): object | undefined {
  const { req } = session as { readonly req?: unknown };
  return typeof req === 'object' && req !== null ? req : undefined;
}

/** Method and path, as the routes of the application have it where there is one: `POST /cart/:id`. */
export function routeOf(request: object | undefined): string {
  const { method, url, originalUrl, baseUrl, route, routeOptions } = (request ?? {}) as AnyRequest;
  if (typeof method !== 'string') return '(no request)';
  const path = route?.path;
  if (isPath(path)) return `${method} ${textOf(baseUrl)}${String(path)}`;
  if (typeof routeOptions?.url === 'string') return `${method} ${routeOptions.url}`;
  const whole = textOf(originalUrl) || textOf(url);
  return `${method} ${whole.split('?', 1)[0]}`;
}

/** Express takes a list of texts and patterns, too. */
const isPath = (path: unknown): path is string | RegExp =>
  typeof path === 'string' || path instanceof RegExp || Array.isArray(path);

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
