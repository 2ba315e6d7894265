/**
 * The kinds of fields in messages and records. Each kind checks and converts one value, in both directions. A
 * value that breaks a limit is a `FrameError`, which names the kind of the field and the value.
 */
import { limits } from './limits.js';
import type { ReclaimedLock, SessionAge, SessionToken } from './messages.js';
import type { Token, Version } from './order.js';
import { isAttributeName, isSessionId } from './session-id.js';

/** The bytes are not a frame of this protocol. The message says why. */
export class FrameError extends Error {
  override name = 'FrameError';
}

export interface Field<T> {
  write(value: T): unknown;
  /** Throws a `FrameError`. */
  read(wire: unknown): T;
}

export const id = checked('id', isSessionId);
export const queue = checked('queue', (v): v is string => isText(v, limits.queueChars));
export const text = checked('text', (v): v is string => isText(v, 500));
export const flag = checked('flag', (v): v is boolean => typeof v === 'boolean');
/** The limit of a count in a record. A record is read by the program that wrote it. */
export const stored = fieldsOfCounts(Number.MAX_SAFE_INTEGER);
/**
 * The limit of a count in a frame. It leaves room above, since a side counts on from it. A holder that is
 * granted seq n sends n + 1.
 */
const counted = fieldsOfCounts(limits.count);
export const count: Field<number> = { write: stored.count.write, read: counted.count.read };
export const token: Field<Token> = { write: stored.token.write, read: counted.token.read };
export const version: Field<Version> = { write: stored.version.write, read: counted.version.read };
export const waitMs = checked('waitMs', isCountUpTo(limits.waitMs));

export const names: Field<readonly string[]> = {
  write: (value) => names.read(value),
  read: (wire) => readList(wire, limits.attributes, name.read),
};

/** Attribute values. They travel as `[name, bytes, name, bytes, …]`. */
export const values: Field<ReadonlyMap<string, Uint8Array>> = {
  write(map) {
    const wire: unknown[] = [];
    for (const [key, bytes] of map) wire.push(key, bytes);
    values.read(wire);
    return wire;
  },
  read(wire) {
    if (!Array.isArray(wire) || wire.length % 2 !== 0 || wire.length > 2 * limits.attributes)
      fail('values', wire);
    const map = new Map<string, Uint8Array>();
    let total = 0;
    for (let i = 0; i < wire.length; i += 2) {
      const value: unknown = wire[i + 1];
      if (!(value instanceof Uint8Array) || value.length > limits.valueBytes) fail('value', value);
      total += value.length;
      map.set(name.read(wire[i]), value);
    }
    if (total > limits.sessionBytes) throw new FrameError(`values of ${total} bytes together`);
    if (map.size * 2 !== wire.length) throw new FrameError('an attribute is named twice');
    return map;
  },
};

export const sessionTokens = listOf('session and token', 2, (wire): SessionToken => [
  id.read(wire[0]),
  token.read(wire[1]),
]);
export const sessionAges = listOf('session and age', 2, (wire): SessionAge => [
  id.read(wire[0]),
  count.read(wire[1]),
]);
export const reclaimedLocks = listOf('session, token and seq', 3, (wire): ReclaimedLock => [
  id.read(wire[0]),
  token.read(wire[1]),
  count.read(wire[2]),
]);

export function oneOf<T extends string>(...options: T[]): Field<T> {
  const known: ReadonlySet<unknown> = new Set(options);
  return checked(options.join(' | '), (v): v is T => known.has(v));
}

/** Undefined travels as nil. */
export function optional<T>(inner: Field<T>): Field<T | undefined> {
  return {
    write: (value) => (value === undefined ? null : inner.write(value)),
    read: (wire) => (wire === null ? undefined : inner.read(wire)),
  };
}

const name = checked('attribute name', isAttributeName);

function listOf<T>(kind: string, length: number, item: (wire: unknown[]) => T): Field<readonly T[]> {
  const read = (wire: unknown) =>
    readList(wire, limits.listed, (tuple): T => {
      if (!Array.isArray(tuple) || tuple.length !== length) fail(kind, tuple);
      return item(tuple);
    });
  return { write: read, read };
}

function readList<T>(wire: unknown, max: number, read: (item: unknown) => T): T[] {
  if (!Array.isArray(wire) || wire.length > max) fail('list', wire);
  return wire.map((item) => read(item));
}

/**
 * A field that travels as it is. It is checked on the way out, too. So a mistake of ours does not reach the
 * other side.
 */
function checked<T>(kind: string, is: (value: unknown) => value is T): Field<T> {
  const read = (value: unknown): T => (is(value) ? value : fail(kind, value));
  return { write: read, read };
}

function isText(value: unknown, max: number): value is string {
  return typeof value === 'string' && value.length <= max;
}

function isCountUpTo(max: number) {
  return (value: unknown): value is number =>
    Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= max;
}

/** Whole numbers from 0 to `max`, alone and in lists. */
function fieldsOfCounts(max: number) {
  const isCount = isCountUpTo(max);
  const areCounts = (value: unknown, length: number): boolean => {
    if (!Array.isArray(value) || value.length !== length) return false;
    for (const part of value) if (!isCount(part)) return false;
    return true;
  };
  return {
    count: checked('count', isCount),
    token: checked('token', (value): value is Token => areCounts(value, 2)),
    version: checked('version', (value): value is Version => areCounts(value, 3)),
  };
}

function fail(kind: string, value: unknown): never {
  throw new FrameError(`${shown(value)} is no ${kind} within the limits`);
}

/**
 * A value as text, for a message to people. It never throws, whatever MessagePack may carry: cycles, bigints,
 * objects with methods of their own.
 */
export function shown(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 60)) : String(value);
}
