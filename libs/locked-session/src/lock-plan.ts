/** From what a scope names to the locks it takes, one after the other. */
import { LockedSessionError } from './errors.js';
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

/** The plan for `spec`: each name once, sorted; writing includes reading, the whole session includes its attributes. Throws `attribute-name`. */
export function lockPlan(spec: LockSpec): LockPlan {
  const nothingNamed = spec.read === undefined && spec.write === undefined;
  const write = nothingNamed ? wholeSession : namesOf(spec.write);
  const read = namesOf(spec.read);
  // Reading all and writing some is writing all: two scopes that read all could never both go on to write.
  if (write === wholeSession || (read === wholeSession && write.length > 0)) {
    return [{ name: wholeSession, mode: 'write' }];
  }
  if (read === wholeSession) return [{ name: wholeSession, mode: 'read' }];
  const modes = new Map<string, LockMode>();
  for (const name of read) modes.set(name, 'read');
  for (const name of write) modes.set(name, 'write');
  for (const name of modes.keys()) assertAttributeName(name);
  return [...modes].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, mode]) => ({ name, mode }));
}

function namesOf(names: LockSpec['read']): readonly string[] | '*' {
  if (names === undefined) return [];
  if (names === wholeSession || names.includes(wholeSession)) return wholeSession;
  if (typeof names !== 'string') return names;
  throw new LockedSessionError('attribute-name', `name attributes in an array: ['${String(names)}']`);
}
