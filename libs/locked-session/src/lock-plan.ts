/** From what a scope names to the locks it takes, one after the other. */
import { assertAttributeName } from './values.js';

export type LockMode = 'read' | 'write';

/** What a scope locks: attributes, or `'*'` for the whole session; that, for writing, is also what nothing named means. */
export interface LockSpec {
  readonly read?: readonly string[] | '*' | undefined;
  readonly write?: readonly string[] | '*' | undefined;
}

/** In the order of taking. All scopes take locks in one order, so that two of them never wait for each other. */
export type LockPlan = readonly { readonly name: string; readonly mode: LockMode }[];

/** The lock on the whole session, in place of a name. */
export const wholeSession = '*';

/** The plan for `spec`: each name once, sorted; writing includes reading, the whole session includes its attributes. */
export function lockPlan({ read, write }: LockSpec): LockPlan {
  const readsAll = includesAll(read);
  const writesAll = includesAll(write) || (read === undefined && write === undefined);
  const writes = new Set(writesAll ? [] : write);
  // Reading all and writing some is writing all: two scopes that read all could never both go on to write.
  if (writesAll || (readsAll && writes.size > 0)) return [{ name: wholeSession, mode: 'write' }];
  if (readsAll) return [{ name: wholeSession, mode: 'read' }];
  const names = [...new Set([...writes, ...(read ?? [])])].sort();
  for (const name of names) assertAttributeName(name);
  return names.map((name) => ({ name, mode: writes.has(name) ? 'write' : 'read' }));
}

function includesAll(names: LockSpec['read']): boolean {
  return names !== undefined && names.includes(wholeSession);
}
