/**
 * What an application is told of wrong options of a module: a line for each, with the module, the option's
 * name, its value where that is no secret, and what is wrong with it.
 */
import type { z } from 'zod';
import { shown } from './shown.js';

type Path = readonly PropertyKey[];

export interface WrongOptions {
  readonly module: string;
  readonly options: object;
  readonly issues: readonly z.core.$ZodIssue[];
  readonly isSecret: (path: Path) => boolean;
}

export function wrongOptions({ module, options, issues, isSecret }: WrongOptions): string[] {
  return issues.map(({ path, message, code }) => {
    const name = path.join('.');
    if (code === 'unrecognized_keys') return `${module}: ${message}${name === '' ? '' : ` in '${name}'`}`;
    const value = path.reduce<unknown>(
      (at, key) => (at as Record<PropertyKey, unknown> | null | undefined)?.[key],
      options,
    );
    if (value === undefined) return `${module}: '${name}' (not set): ${message}`;
    return `${module}: '${name}' (${isSecret(path) ? 'what is set' : shown(value)}): ${message}`;
  });
}

/** What is wrong when there are no options at all, such as a `useFactory` whose braces are a block. */
export function wrongWhole(module: string, options: unknown): string | undefined {
  if (typeof options === 'object' && options !== null) return undefined;
  return `${module}: the options are ${shown(options)}, but must be an object. Does 'useFactory' return one?`;
}
