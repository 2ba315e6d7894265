/**
 * The kinds of fields that messages and records are made of: each checks and converts one value, both ways. What breaks a limit is
 * a `FrameError` that names the field's kind and what is wrong with it.
 */
import { limits } from './limits.js';
import type { Token, Version } from './order.js';
import { isAttributeName, isSessionId } from './session-id.js';

/** Bytes that are not a frame of this protocol; the message says in which way. */
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
/** A whole number from 0 to 2^53 - 1. */
export const count = checked('count', (v): v is number => Number.isSafeInteger(v) && (v as number) >= 0);
export const waitMs = checked('waitMs', (v): v is number => count.read(v) <= limits.waitMs);
export const token = checked('token', (v): v is Token => isCounts(v, 2));
export const version = checked('version', (v): v is Version => isCounts(v, 3));

export const names: Field<readonly string[]> = {
  write: (value) => names.read(value),
  read: (wire) => readList(wire, limits.attributes, name.read),
};

/** Attribute values, on the wire as [name, bytes, name, bytes, …]. */
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

export const sessionTokens = pairs('session and token', token);
export const sessionAges = pairs('session and age', count);

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

function pairs<T>(kind: string, second: Field<T>): Field<readonly (readonly [string, T])[]> {
  const read = (wire: unknown) =>
    readList(wire, limits.listed, (pair): readonly [string, T] => {
      if (!Array.isArray(pair) || pair.length !== 2) fail(kind, pair);
      return [id.read(pair[0]), second.read(pair[1])];
    });
  return { write: read, read };
}

function readList<T>(wire: unknown, most: number, read: (item: unknown) => T): T[] {
  if (!Array.isArray(wire) || wire.length > most) fail('list', wire);
  return wire.map((item) => read(item));
}

/** A field whose wire form is the value itself. Checked on the way out too: our own mistakes stay here. */
function checked<T>(kind: string, is: (value: unknown) => value is T): Field<T> {
  const read = (value: unknown): T => (is(value) ? value : fail(kind, value));
  return { write: read, read };
}

function isText(value: unknown, most: number): value is string {
  return typeof value === 'string' && value.length <= most;
}

function isCounts(value: unknown, length: number): boolean {
  if (!Array.isArray(value) || value.length !== length) return false;
  for (const part of value) if (!Number.isSafeInteger(part) || part < 0) return false;
  return true;
}

function fail(kind: string, value: unknown): never {
  throw new FrameError(`${shown(value)} is no ${kind} within the limits`);
}

/** A value for a message to people. Never throws, whatever MessagePack may carry: circles, bigints, objects that pretend to be something. */
export function shown(value: unknown): string {
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object' && value !== null) return 'an object';
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 60)) : String(value);
}
