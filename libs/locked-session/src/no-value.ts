/**
 * Keeps a session's handle out of answers, attributes and logs, since it leads to all that the process has.
 * An error says what to give instead.
 */
import { inspect } from 'node:util';
import { LockedSessionError } from './errors.js';

/** Most characters of a scope's label. */
const labelChars = 200;

export abstract class NoValue {
  constructor(private readonly named: string | number) {}

  /** How messages name the scope: by the caller's name for it, or else by its number. */
  get label(): string {
    const { named } = this;
    return typeof named === 'string' ? named.slice(0, labelChars) : `scope ${named}`;
  }

  refused(): LockedSessionError {
    return new LockedSessionError(
      'value-not-serializable',
      `the session's handle of ${this.label} is no value. Give a value from it, such as session.get('cart')`,
    );
  }

  toJSON(): never {
    throw this.refused();
  }

  [inspect.custom](): string {
    return `[session handle of ${this.label}]`;
  }
}
