/**
 * The options of `run` and of the decorators. One table has the allowed values of each. Every option is
 * checked where it is given. So NaN reaches no timer, and a typing error locks nothing.
 */
import { isSessionId, limits } from '#protocol';
import { shown } from '#settings';
import { LockedSessionError } from '../errors.js';
import { lockPlan, type LockPlan, type LockSpec } from '../locks/lock-plan.js';

export interface RunOptions extends LockSpec {
  /** How long to wait for the locks, in milliseconds, from 0 (no wait) to 600,000. */
  readonly waitMs?: number | undefined;
  /** Ends the wait when it is aborted. */
  readonly signal?: AbortSignal | undefined;
  /** Names the scope in messages, for example `POST /cart`. Messages show 200 characters of it. */
  readonly label?: string | undefined;
  /**
   * Makes the session when the store does not know it. Default true. Give false for ids that come from
   * outside (rule 14).
   */
  readonly create?: boolean | undefined;
}

type OptionName = keyof RunOptions | 'instance';

interface Option {
  readonly fits: (value: unknown) => boolean;
  readonly allowed: string;
}

/** `lockPlan` checks the names in `read` and `write`: wrong names have an error code of their own. */
const names: Option = {
  fits: (value) => typeof value === 'string' || (Array.isArray(value) && value.length <= limits.attributes),
  allowed: `an array of at most ${limits.attributes} names of attributes, or '*' for the whole session`,
};
const flag: Option = { fits: (value) => typeof value === 'boolean', allowed: 'true or false' };

const table: Readonly<Record<OptionName, Option>> = {
  read: names,
  write: names,
  waitMs: {
    fits: (value) => typeof value === 'number' && value >= 0 && value <= limits.waitMs,
    allowed: `a number of milliseconds from 0 to ${limits.waitMs}`,
  },
  signal: { fits: isSignal, allowed: 'an AbortSignal' },
  label: { fits: (value) => typeof value === 'string', allowed: 'text' },
  create: flag,
  instance: {
    fits: (value) => typeof value === 'string' && value !== '',
    allowed: "the 'instance' of a LockedSessionModule",
  },
};

const runOptions = optionSet('read', 'write', 'waitMs', 'signal', 'label', 'create');

/** The options of `@LockedSession`, and of `@LockedAttributes`. */
export const decorationOptions = optionSet('read', 'write', 'waitMs', 'instance');
export const nestedOptions = optionSet('read', 'write');

/**
 * Throws `settings` for an option that is unknown or has a wrong value. An undefined option counts as not
 * given. `place` is where the options stand, such as `@LockedSession`.
 */
export function checkOptions(options: unknown, known: ReadonlySet<string>, place: string): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw wrong(
      `${place}: the options are ${shown(options)}, and must be an object. {} locks the whole session`,
    );
  for (const name in options) {
    if (!known.has(name))
      throw wrong(`${place}: there is no option ${shown(name)}. There are ${[...known].join(', ')}`);
    const value = (options as Readonly<Record<string, unknown>>)[name];
    const { fits, allowed } = table[name as OptionName];
    if (value !== undefined && !fits(value))
      throw wrong(`${place}: '${name}' is ${shown(value)}, and must be ${allowed}`);
  }
}

/** The plan of a run. Throws `settings` and `attribute-name`. */
export function planOfRun(options: RunOptions): LockPlan {
  const made = plans.get(options);
  if (made && isAsChecked(options, made)) return made.plan;
  checkOptions(options, runOptions, 'run()');
  const plan = lockPlan(options);
  const { read, write, waitMs, signal, label, create } = options;
  plans.set(options, { read: copyOf(read), write: copyOf(write), waitMs, signal, label, create, plan });
  return plan;
}

/** Throws `session-id`. */
export function checkSessionId(id: unknown): asserts id is string {
  if (isSessionId(id)) return;
  throw new LockedSessionError(
    'session-id',
    `a session's id is 1 to ${limits.idChars} visible ASCII characters, not ${shown(id)}`,
  );
}

/** A copy that nobody else changes. */
export function copyOf(given: LockSpec['read']): LockSpec['read'] {
  return Array.isArray(given) ? [...(given as readonly string[])] : given;
}

/**
 * Callers mostly give one options object again and again. It is checked and its plan is made once, and again
 * when one of its values has changed.
 */
const plans = new WeakMap<object, RunOptions & { readonly plan: LockPlan }>();

function isAsChecked(now: RunOptions, then: RunOptions): boolean {
  return (
    now.waitMs === then.waitMs &&
    now.signal === then.signal &&
    now.label === then.label &&
    now.create === then.create &&
    isSame(then.read, now.read) &&
    isSame(then.write, now.write)
  );
}

function isSame(before: LockSpec['read'], now: LockSpec['read']): boolean {
  if (!Array.isArray(before) || !Array.isArray(now)) return before === now;
  if (before.length !== now.length) return false;
  for (let i = 0; i < now.length; i++) if (before[i] !== now[i]) return false;
  return true;
}

function optionSet(...names: readonly OptionName[]): ReadonlySet<string> {
  return new Set(names);
}

/** The class is not asked: a signal may come from another realm or a polyfill. */
function isSignal(value: unknown): boolean {
  const { aborted, addEventListener, removeEventListener } = (value ?? {}) as Partial<AbortSignal>;
  return (
    typeof aborted === 'boolean' &&
    typeof addEventListener === 'function' &&
    typeof removeEventListener === 'function'
  );
}

function wrong(what: string): LockedSessionError {
  return new LockedSessionError('settings', what);
}
