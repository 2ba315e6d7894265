/**
 * Handles results that are neither a value nor a promise of one. An Observable may have no end. A stream is
 * sent after the handler has returned. Nest does not tell an interceptor which of them it was: so a wrapper
 * of the handler's method tells it to the scope. The wrapper checks, too, that the method gets the drafts
 * that its parameters name.
 */
import { StreamableFile } from '@nestjs/common';
import { isObservable, Observable } from 'rxjs';
import { inPlaceOf } from './in-place.js';
import { currentScope, type Scope } from '../scope/scope.js';

type Method = (this: unknown, ...args: unknown[]) => unknown;
type EndsWith = (observable: Observable<unknown>) => Observable<unknown>;

/** The drafts for a handler's parameters, and the callback for one that the handler does not get. */
const drafts = new WeakMap<Scope, Map<unknown, () => void>>();
const endings = new WeakMap<Scope, EndsWith>();
const telling = new WeakSet<object>();

/**
 * The wrapper of `method`. Ends an Observable that it returns as `endObservables` says, and reports lost
 * drafts.
 */
export function tellingOf(method: Method): Method {
  const told: Method = function (...args) {
    const scope = currentScope.getStore();
    if (scope) missDrafts(scope, args);
    const result = method.apply(this, args);
    const ending = endingOf(scope);
    if (!ending) return result;
    return result instanceof Promise ? result.then(ending) : ending(result);
  };
  telling.add(told);
  return inPlaceOf(method, told) as Method;
}

export function isTelling(method: object): boolean {
  return telling.has(method);
}

/**
 * Calls `onLost` when the handler of this scope is called without the draft, since a pipe has replaced it.
 */
export function expectDraft(scope: Scope, draft: object, onLost: () => void): void {
  let its = drafts.get(scope);
  if (!its) drafts.set(scope, (its = new Map()));
  its.set(draft, onLost);
}

function missDrafts(scope: Scope, args: readonly unknown[]): void {
  for (const [draft, onLost] of drafts.get(scope) ?? []) if (!args.includes(draft)) onLost();
  drafts.delete(scope);
}

/**
 * Has an Observable that the handler of this scope returns fail with `error()` when `whenOver` calls back.
 */
export function endObservables(
  scope: Scope,
  whenOver: (task: () => void) => () => void,
  error: () => Error,
): void {
  endings.set(
    scope,
    (observable) =>
      new Observable((subscriber) => {
        const callOff = whenOver(() => subscriber.error(error()));
        const inner = observable.subscribe(subscriber);
        return () => {
          callOff();
          inner.unsubscribe();
        };
      }),
  );
}

function endingOf(scope: Scope | undefined): ((result: unknown) => unknown) | undefined {
  const ending = scope && endings.get(scope);
  return ending && ((result) => (isObservable(result) ? ending(result) : result));
}

/** Whether Nest or the platform sends the result piece by piece, after the handler has returned. */
export function isStream(result: unknown): boolean {
  if (typeof result !== 'object' || result === null) return false;
  if (result instanceof StreamableFile) return true;
  if (result instanceof Response) return result.body !== null;
  const { pipe, on, getReader } = result as Record<'pipe' | 'on' | 'getReader', unknown>;
  if (typeof getReader === 'function') return true;
  return typeof pipe === 'function' && typeof on === 'function';
}
