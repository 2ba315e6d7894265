/**
 * The decorators of app servers. They name the locks of a handler or a provider's method, and give it the
 * session. Each throws `attribute-name` or `settings` when its class is loaded, so that a wrong name or
 * option stops the start.
 */
import {
  applyDecorators,
  createParamDecorator,
  Logger,
  SetMetadata,
  UseInterceptors,
  type ExecutionContext,
} from '@nestjs/common';
import { calmLog } from '#broker';
import { shown } from '#settings';
import { LockedSessionError } from '../errors.js';
import { expectDraft } from './handler-result.js';
import { inPlaceOf } from './in-place.js';
import { lockPlan, type LockSpec } from '../locks/lock-plan.js';
import { LockedSessionInterceptor, lockedSessionMetadata, type HandlerLock } from './interceptor.js';
import { checkOptions, copyOf, decorationOptions, nestedOptions } from '../sessions/run-options.js';
import { requireScope } from '../scope/scope.js';
import type { AttributeName, AttributeValue, SessionHandle } from '../scope/session-handle.js';
import { assertAttributeName } from '../values.js';

export interface LockedSessionDecoration extends LockSpec {
  /** How long to wait for the locks, in milliseconds, from 0 (no wait) to 600,000. */
  readonly waitMs?: number | undefined;
  /** The name of the `LockedSessionModule`, when there are several. */
  readonly instance?: string | undefined;
}

/**
 * Runs the handler in a scope of the client's session. It locks attributes for writing
 * (`@LockedSession('cart')`) or reading (`@LockedSession({ read: ['user'] })`), or without an argument the
 * whole session. Changes are durable before the client is answered.
 */
export function LockedSession(
  ...locks: AttributeName[] | [LockedSessionDecoration]
): MethodDecorator & ClassDecorator {
  const lock: HandlerLock = specOf(locks, decorationOptions, '@LockedSession');
  const note: MethodDecorator & ClassDecorator = (target: object, key?: string | symbol) => {
    if (key !== undefined) Reflect.defineMetadata(lockedSessionMetadata, lock, target, key);
  };
  // This note is kept under the method's name. The start finds it also when a decorator above has replaced
  // the method.
  return applyDecorators(
    SetMetadata(lockedSessionMetadata, lock),
    UseInterceptors(LockedSessionInterceptor),
    note,
  );
}

/**
 * Runs a provider's method in a scope nested in the one around it, and locks these attributes, too. The
 * method returns a promise. Rejects as `LockedSessions.run` does, and with `no-scope` outside of a scope.
 */
export function LockedAttributes(...locks: AttributeName[] | [LockSpec]): MethodDecorator {
  const spec = specOf(locks, nestedOptions, '@LockedAttributes');
  return (_target, key, descriptor: PropertyDescriptor) => {
    const method = descriptor.value as (...args: unknown[]) => unknown;
    const options = { ...spec, label: String(key) };
    const locked = async function (this: unknown, ...args: unknown[]) {
      const { sessions, id } = requireScope();
      return sessions.run(id, options, () => method.apply(this, args));
    };
    // Nest's decorators write metadata to the method that they find. Those below have written to this one.
    descriptor.value = inPlaceOf(method, locked);
  };
}

/** Injects the handle of the handler's session. */
export const CurrentSession: () => ParameterDecorator = createParamDecorator((): SessionHandle =>
  requireScope(),
);

/**
 * Injects one attribute of the handler's session: a draft to change when it is locked for writing, else a
 * readonly value. `initial` makes the value where there is none. It is kept only when the attribute is locked
 * for writing.
 */
export function SessionAttribute<N extends AttributeName>(
  name: N,
  initial?: () => AttributeValue<N>,
): ParameterDecorator {
  assertAttributeName(name);
  if (initial !== undefined && typeof initial !== 'function')
    throw new LockedSessionError(
      'settings',
      `@SessionAttribute(${shown(name)}): the initial value is ${shown(initial)}, and must be a function ` +
        'that returns one',
    );
  return attributeOf({ name, initial });
}

const attributeOf = createParamDecorator(
  (
    { name, initial }: { name: AttributeName; initial: (() => unknown) | undefined },
    context: ExecutionContext,
  ) => {
    const scope = requireScope();
    if (!scope.mayWrite(name)) return scope.read(name, initial);
    const draft: unknown = initial ? scope.draft(name, initial as never) : scope.draft(name);
    if (typeof draft === 'object' && draft !== null)
      expectDraft(scope, draft, () => warnOnce(context, name, lostDraft(name)));
    else if (draft !== undefined) warnOnce(context, name, primitive(name));
    return draft;
  },
);

const log = calmLog(new Logger('LockedSession'));

/** Handlers and attributes with a warning in the log. There are no more than parameters. */
const warned = new Set<string>();

function warnOnce(context: ExecutionContext, name: string, what: string): void {
  const handler = `${context.getClass().name}.${context.getHandler().name}`;
  const key = `${handler} ${name}`;
  if (warned.has(key)) return;
  warned.add(key);
  log.warn(`${handler}: ${what}`);
}

/**
 * A number or text that the handler assigns to its parameter is lost. Nothing else would tell so.
 */
const primitive = (name: string) =>
  `the parameter of '${name}' is no object, so that a value which the handler assigns to it is lost. ` +
  `Use session.set('${name}', …) with @CurrentSession(), and lock it with { read: ['${name}'] } if it is ` +
  'only read';

const lostDraft = (name: string) =>
  `a pipe gave the parameter of '${name}' something else than the session's draft, so that changes in it ` +
  'are ' +
  `lost. Have the pipe pass on values with the metadata.type 'custom', or use session.draft('${name}') ` +
  'with @CurrentSession()';

/** A checked copy of the decorator's arguments. */
function specOf<T extends LockSpec>(
  locks: readonly AttributeName[] | readonly [T],
  known: ReadonlySet<string>,
  decorator: string,
): T | LockSpec {
  const [first] = locks;
  const isSpec = isObject(first);
  if (isSpec && locks.length > 1)
    throw new LockedSessionError('settings', `${decorator}: give names, or one object with options`);
  if (isSpec) checkOptions(first, known, decorator);
  const writes = locks.length > 0 ? { write: locks as readonly string[] } : {};
  const given: T | LockSpec = isSpec ? first : writes;
  lockPlan(given);
  return { ...given, read: copyOf(given.read), write: copyOf(given.write) };
}

/** JavaScript gives what it likes: `null`, too. */
function isObject<T extends LockSpec>(given: AttributeName | T | null | undefined): given is T {
  return typeof given === 'object' && given !== null;
}
