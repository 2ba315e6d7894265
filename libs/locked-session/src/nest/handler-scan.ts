/**
 * Scans an application's handlers once, before Nest makes its routes. It finds `@LockedSession` on every
 * class, stops the start when one is misplaced, and makes its interceptor the innermost one. So a lock is
 * held while the handler runs, and not while another interceptor reads an upload, wherever the decorator
 * stands.
 */
import type { Type } from '@nestjs/common';
import type { ModulesContainer } from '@nestjs/core';
import { LockedSessionError } from '../errors.js';
import { isTelling, tellingOf } from './handler-result.js';
import {
  bindingToken,
  interceptorsOf,
  LockedSessionInterceptor,
  lockedSessionMetadata,
  setInterceptors,
  type HandlerLock,
} from './interceptor.js';

/** The metadata keys of Nest's decorators. */
const controllerMetadata = '__controller__';
const gatewayMetadata = 'websockets:is_gateway';
const resolverMetadata = 'graphql:resolver_type';
const sseMetadata = '__sse__';
/** The keys on a method: the path of a route, the pattern of a message or event, the message of a gateway. */
const handlerMetadata = ['path', 'microservices:handler_type', 'websockets:message_mapping'];

type NestModule = ModulesContainer extends Map<string, infer M> ? M : never;
type Method = (...args: unknown[]) => unknown;
/** A class, and the lock of its methods that have no other one. */
interface LockedClass {
  readonly type: Type;
  readonly lock: HandlerLock | undefined;
}

/** Throws `settings` for a decorator that has no effect, or that names a missing instance. */
export function arrangeHandlers(modules: ModulesContainer): void {
  const bindings = [...modules.values()].flatMap((module) => [...module.providers.keys()]);
  refuseIdleLocks(modules);
  for (const module of modules.values()) {
    for (const type of handlerClassesOf(module)) arrange(type, module, bindings);
  }
}

/**
 * Throws `settings` for a lock in a class without handlers. Values, and providers from factories, have their
 * instances only later. The module calls this again then.
 */
export function refuseIdleLocks(modules: ModulesContainer): void {
  const controllers = new Set([...modules.values()].flatMap(({ controllers: its }) => [...its.keys()]));
  for (const module of modules.values()) {
    for (const { metatype, isNotMetatype, instance } of module.providers.values()) {
      const type = isNotMetatype ? classOf(instance) : metatype;
      if (typeof type !== 'function' || !isLocked(type as Type) || hasHandlers(type)) continue;
      if (!controllers.has(type)) throw idleLock(type as Type);
    }
  }
}

/** An object's class. No method of it is called, since it may be a test's mock. */
function classOf(instance: unknown): unknown {
  if (typeof instance !== 'object' || instance === null) return undefined;
  const prototype = Object.getPrototypeOf(instance) as object | null;
  return prototype && Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value;
}

function handlerClassesOf(module: NestModule): Type[] {
  const controllers = [...module.controllers.values()].map(({ metatype }) => metatype);
  const providers = [...module.providers.values()]
    .filter(({ isNotMetatype }) => !isNotMetatype)
    .map(({ metatype }) => metatype);
  const all = [...controllers, ...providers.filter((type) => type && hasHandlers(type))] as (Type | null)[];
  return all.filter((type) => type?.prototype && isLocked(type)) as Type[];
}

function arrange(type: Type, module: NestModule, bindings: readonly unknown[]): void {
  const its: LockedClass = {
    type,
    lock: Reflect.getMetadata(lockedSessionMetadata, type) as HandlerLock | undefined,
  };
  for (const [name, method, noted] of methodsOf(type)) {
    const own = Reflect.getMetadata(lockedSessionMetadata, method) as HandlerLock | undefined;
    if (!own && noted) throw lostLock(`${type.name}.${name}`);
    const lock = own ?? its.lock;
    if (!lock) continue;
    if (!isHandler(type, method)) {
      if (own) throw noHandler(`${type.name}.${name}`);
      continue;
    }
    check(lock, `${type.name}.${name}`, method, bindings);
    // Nest looks up the interceptors of the lists there, and skips those that are missing.
    if (!module.injectables.has(LockedSessionInterceptor)) throw lostLock(`${type.name}.${name}`);
    moveInside(ownOf(type, name, method));
  }
}

function check(lock: HandlerLock, handler: string, method: object, bindings: readonly unknown[]): void {
  if (!bindings.includes(bindingToken(lock.instance))) {
    const which = lock.instance === undefined ? 'without a name' : `named '${lock.instance}'`;
    throw new LockedSessionError(
      'settings',
      `${handler}: there is no LockedSessionModule ${which}. Import it, or correct 'instance' in ` +
        '@LockedSession',
    );
  }
  if (Reflect.getMetadata(sseMetadata, method) === true) {
    throw new LockedSessionError(
      'settings',
      `${handler} is an @Sse handler, which has no end: its lock would be held for as long as the client ` +
        'listens. ' +
        'Take @LockedSession away, and use sessions.run() for each event that needs the session',
    );
  }
}

/**
 * The last interceptor in the method's list is the innermost one. Nest runs those of the class, and the
 * global ones, around them. The class's list stays as it is: a class that inherits it, also in another
 * application, tells Nest by it which interceptors to make.
 */
function moveInside(method: object): void {
  const others = interceptorsOf(method).filter((one) => one !== LockedSessionInterceptor);
  setInterceptors(method, [...others, LockedSessionInterceptor]);
}

/**
 * The wrapper of a method, which tells the scope what the method returns. An inherited method gets a wrapper
 * in this class, since other classes that inherit it may lock otherwise.
 */
function ownOf(type: Type, name: string, method: Method): object {
  const prototype = type.prototype as object;
  if (Object.hasOwn(prototype, name) && isTelling(method)) return method;
  const value = tellingOf(method);
  Object.defineProperty(prototype, name, { value, writable: true, configurable: true });
  return value;
}

function isLocked(type: Type): boolean {
  if (Reflect.hasMetadata(lockedSessionMetadata, type)) return true;
  for (const [, method, noted] of methodsOf(type))
    if (noted || Reflect.hasMetadata(lockedSessionMetadata, method)) return true;
  return false;
}

/** Whether a class among a module's providers has handlers. */
function hasHandlers(type: object): boolean {
  return Reflect.hasMetadata(gatewayMetadata, type) || Reflect.hasMetadata(resolverMetadata, type);
}

/** All methods of a resolver count as handlers, since they are called in many ways. */
function isHandler(type: object, method: object): boolean {
  if (Reflect.hasMetadata(resolverMetadata, type)) return true;
  return handlerMetadata.some((key) => Reflect.hasMetadata(key, method));
}

/** Own and inherited methods, each once. `noted` is true when `@LockedSession` stands on it. */
function* methodsOf(type: Type): Generator<[name: string, method: Method, noted: boolean]> {
  const seen = new Set(['constructor']);
  let prototype = type.prototype as object | null | undefined;
  for (
    ;
    prototype && prototype !== Object.prototype;
    prototype = Object.getPrototypeOf(prototype) as object | null
  ) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype))) {
      if (typeof value === 'function' && !seen.has(name))
        yield [name, value as Method, Reflect.hasOwnMetadata(lockedSessionMetadata, prototype, name)];
      seen.add(name);
    }
  }
}

function idleLock(type: Type): LockedSessionError {
  const what = Reflect.hasMetadata(controllerMetadata, type)
    ? "which is in no module's 'controllers'"
    : 'which is no controller, gateway or resolver';
  return new LockedSessionError(
    'settings',
    `@LockedSession does nothing in ${type.name}, ${what}. Use @LockedAttributes on methods that run ` +
      'inside a ' +
      'handler, or sessions.run() elsewhere',
  );
}

function noHandler(method: string): LockedSessionError {
  return new LockedSessionError(
    'settings',
    `@LockedSession does nothing on ${method}, since ${method} is no handler of a route or message. Use ` +
      '@LockedAttributes on methods that run inside a handler',
  );
}

function lostLock(method: string): LockedSessionError {
  return new LockedSessionError(
    'settings',
    `@LockedSession does nothing on ${method}, since a decorator above it has replaced the method, and ` +
      'dropped its metadata. Put @LockedSession above that decorator',
  );
}
