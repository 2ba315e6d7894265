/**
 * The decorators of app servers: what a handler or a provider's method locks, and how it gets at the session. Each throws `attribute-name`
 * where it stands, when the class is loaded: a wrong name stops the start.
 */
import { applyDecorators, createParamDecorator, SetMetadata, UseInterceptors } from '@nestjs/common';
import { lockPlan, type LockSpec } from './lock-plan.js';
import {
  LockedSessionInterceptor,
  lockedSessionMetadata,
  type HandlerLock,
} from './locked-session.interceptor.js';
import { requireScope } from './scope.js';
import type { AttributeName, AttributeValue, SessionHandle } from './session-handle.js';
import { assertAttributeName } from './values.js';

export interface LockedSessionDecoration extends LockSpec {
  /** How long to wait for the locks, in milliseconds. */
  readonly waitMs?: number;
  /** Which `LockedSessionModule`, when there are several. */
  readonly instance?: string;
}

/**
 * The handler runs in a scope of the client's session, with these attributes locked for writing (`@LockedSession('cart')`), for reading
 * (`{ read: ['user'] }`), or the whole session (no argument). What it changes is durable before the client is answered.
 */
export function LockedSession(
  ...locks: AttributeName[] | [LockedSessionDecoration]
): MethodDecorator & ClassDecorator {
  const lock: HandlerLock = specOf(locks);
  return applyDecorators(SetMetadata(lockedSessionMetadata, lock), UseInterceptors(LockedSessionInterceptor));
}

/** The method of a provider runs in a nested scope of the scope around it, with these attributes locked besides. It returns a promise. */
export function LockedAttributes(...locks: AttributeName[] | [LockSpec]): MethodDecorator {
  const spec = specOf(locks);
  return (_target, key, descriptor: PropertyDescriptor) => {
    const method = descriptor.value as (...args: unknown[]) => unknown;
    const options = { ...spec, label: String(key) };
    descriptor.value = async function (this: unknown, ...args: unknown[]) {
      const { sessions, id } = requireScope();
      return sessions.run(id, options, () => method.apply(this, args));
    };
  };
}

/** The handle of the handler's session. */
export const CurrentSession: () => ParameterDecorator = createParamDecorator((): SessionHandle =>
  requireScope(),
);

/**
 * One attribute of the handler's session: a draft to change when it is locked for writing, else a readonly value. `initial` makes the value where
 * there is none; it is kept only when it was locked for writing.
 */
export function SessionAttribute<N extends AttributeName>(
  name: N,
  initial?: () => AttributeValue<N>,
): ParameterDecorator {
  assertAttributeName(name);
  return attributeOf({ name, initial });
}

const attributeOf = createParamDecorator(
  ({ name, initial }: { name: AttributeName; initial: (() => unknown) | undefined }) => {
    const scope = requireScope();
    if (scope.mayWrite(name)) return initial ? scope.draft(name, initial as never) : scope.draft(name);
    return scope.get(name) ?? initial?.();
  },
);

function specOf<T extends LockSpec>(locks: readonly AttributeName[] | readonly [T]): T | LockSpec {
  const spec = isSpec(locks) ? locks[0] : locks.length > 0 ? { write: locks as readonly string[] } : {};
  lockPlan(spec);
  return spec;
}

function isSpec<T extends LockSpec>(locks: readonly unknown[]): locks is readonly [T] {
  return typeof locks[0] === 'object' && locks[0] !== null;
}
