/**
 * Attribute values to bytes and back: what JSON can carry, as MessagePack. Whatever would come back as something else is
 * refused, with the path to it: a Map that comes back as an object is a mistake found weeks later.
 */
import { isAttributeName, limits } from '#protocol';
import { Packr, Unpackr } from 'msgpackr';
import { LockedSessionError } from './errors.js';

/**
 * The value as bytes: the same bytes for equal values with the same order of keys. Properties that are undefined are left
 * out, and `toJSON` is not called. Throws `value-not-serializable`.
 */
export function encodeValue(value: unknown, attribute: string): Uint8Array {
  const culprit = findCulprit(value, 0);
  if (culprit !== undefined) throw notSerializable(attribute, value, culprit);
  return packr.pack(value);
}

/** A fresh copy, to be changed at will. */
export function decodeValue(bytes: Uint8Array): unknown {
  return unpackr.unpack(bytes);
}

/** A copy that is frozen throughout, to be shared. */
export function decodeFrozen(bytes: Uint8Array): unknown {
  return freeze(unpackr.unpack(bytes));
}

/** Throws `attribute-name`. */
export function assertAttributeName(name: unknown): asserts name is string {
  if (isAttributeName(name)) return;
  const shown =
    typeof name === 'string' ? JSON.stringify(name.slice(0, limits.nameChars + 1)) : `a ${typeof name}`;
  throw new LockedSessionError(
    'attribute-name',
    `${shown} cannot name an attribute: a name has 1 to ${limits.nameChars} characters, no control characters among them, ` +
      "and is not '*', '__proto__', 'constructor' or 'prototype'",
  );
}

/** Objects and arrays within each other, at most: deeper is a circle, or a structure that belongs in a database. */
const maxDepth = 64;

// No records: they make the bytes depend on what was packed before. No `toJSON`: an attribute may well have that name.
const packr = new Packr({ useRecords: false, skipValues: [undefined], useToJSON: false } as object);
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' } as object);

/** What cannot be carried, and where: its keys, from the inside out. */
interface Culprit {
  readonly what: string;
  readonly keys: (string | number)[];
}

function findCulprit(value: unknown, depth: number): Culprit | undefined {
  switch (typeof value) {
    case 'string':
      return isWellFormed(value) ? undefined : culprit('a string with half a surrogate pair');
    case 'number':
      return Number.isFinite(value) ? undefined : culprit(String(value));
    case 'boolean':
      return undefined;
    case 'object':
      if (value === null) return undefined;
      if (depth === maxDepth) return culprit(`nested more than ${maxDepth} levels deep`);
      return Array.isArray(value) ? findInArray(value, depth) : findInObject(value, depth);
    case 'undefined':
      return culprit('undefined');
    default:
      return culprit(`a ${typeof value}`);
  }
}

function findInArray(array: readonly unknown[], depth: number): Culprit | undefined {
  if (Object.getPrototypeOf(array) !== Array.prototype) return culprit(`a ${nameOfClass(array)}`);
  for (let i = 0; i < array.length; i++) {
    const found = findCulprit(array[i], depth + 1);
    if (found !== undefined) return within(i, found);
  }
  return undefined;
}

function findInObject(object: object, depth: number): Culprit | undefined {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) return culprit(`a ${nameOfClass(object)}`);
  if (Object.getOwnPropertySymbols(object).length > 0)
    return culprit('an object with a symbol among its keys');
  for (const key of Object.keys(object)) {
    const property = Object.getOwnPropertyDescriptor(object, key)!;
    if (property.get !== undefined || property.set !== undefined)
      return within(key, culprit('a getter or setter'));
    if (property.value === undefined) continue;
    if (key === '__proto__' || !isWellFormed(key))
      return within(key, culprit('a property whose name cannot be kept'));
    const found = findCulprit(property.value, depth + 1);
    if (found !== undefined) return within(key, found);
  }
  return undefined;
}

function culprit(what: string): Culprit {
  return { what, keys: [] };
}

function within(key: string | number, found: Culprit): Culprit {
  found.keys.push(key);
  return found;
}

/** What to do instead, for what people try most. */
const remedies: Record<string, string> = {
  'a Date': 'keep its getTime() or toISOString()',
  'a Map': 'keep Object.fromEntries() of it, or an array of its entries',
  'a Set': 'keep an array of its values',
  'a bigint': 'keep it as a string',
  'a Buffer': 'keep it as a base64 string',
  'a Uint8Array': 'keep it as a base64 string',
  undefined: 'use null, or leave the property out',
  NaN: 'use null',
};

function notSerializable(attribute: string, value: unknown, { what, keys }: Culprit): LockedSessionError {
  const path = keys.toReversed();
  const circle = findCircle(value, path);
  const place = (circle ?? path).map((key) =>
    /^[\w$]+$/.test(String(key)) && key !== +key ? `.${key}` : `[${JSON.stringify(key)}]`,
  );
  const shown = place.join('').replace(/^\./, '') || 'the value';
  const remedy =
    remedies[what] ??
    'a session keeps what JSON can carry: null, booleans, finite numbers, strings, arrays and plain objects';
  return new LockedSessionError(
    'value-not-serializable',
    `attribute '${attribute}': ${shown} is ${circle ? 'part of itself' : what}; ${remedy}`,
  );
}

/** The path to where it first comes back to an object on the way. */
function findCircle(value: unknown, path: readonly (string | number)[]): (string | number)[] | undefined {
  const seen = new Set<unknown>();
  for (const [i, key] of path.entries()) {
    if (seen.has(value)) return path.slice(0, i);
    seen.add(value);
    value = (value as Record<string | number, unknown>)[key];
  }
  return undefined;
}

function nameOfClass(object: object): string {
  const { constructor } = object;
  return (typeof constructor === 'function' && constructor.name) || 'class instance';
}

/** Halves of surrogate pairs do not survive UTF-8. */
function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}

/** Freezes a value that JSON can carry, throughout; of anything else what can be. Circles do no harm. */
export function freeze(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value) || ArrayBuffer.isView(value))
    return value;
  Object.freeze(value);
  if (Array.isArray(value)) for (const item of value) freeze(item);
  else for (const key in value) freeze((value as Record<string, unknown>)[key]);
  return value;
}
