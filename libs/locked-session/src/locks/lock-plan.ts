/**
 * Makes the plan of a scope: from the attributes that it names, the locks that it takes one after the other.
 */
import { shown } from '#settings';
import { LockedSessionError } from '../errors.js';
import { assertAttributeName } from '../values.js';

export type LockMode = 'read' | 'write';

/**
 * The attributes that a scope locks, for reading and for writing. `'*'` is the whole session. With neither
 * `read` nor `write` the whole session is locked for writing.
 */
export interface LockSpec {
  readonly read?: readonly string[] | '*' | undefined;
  readonly write?: readonly string[] | '*' | undefined;
}

/**
 * Locks in the order of taking. All scopes take them in one order, so that two scopes never wait for each
 * other.
 */
export type LockPlan = readonly { readonly name: string; readonly mode: LockMode }[];

/** The lock on the whole session, in place of a name. */
export const wholeSession = '*';

/**
 * The plan for `spec`: each name once, sorted. Writing includes reading, and the whole session includes its
 * attributes. Throws `attribute-name`.
 */
export function lockPlan(spec: LockSpec): LockPlan {
  const nothingNamed = spec.read === undefined && spec.write === undefined;
  const write = nothingNamed ? wholeSession : namesOf(spec.write);
  const read = namesOf(spec.read);
  // A scope that reads all and writes some writes all: two scopes that read all could never both go on to
  // write.
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
  if (names === wholeSession) return wholeSession;
  if (typeof names === 'string')
    throw new LockedSessionError('attribute-name', `name attributes in an array: [${shown(names)}]`);
  return names.includes(wholeSession) ? wholeSession : names;
}
