/**
 * Attribute values to bytes and back: what JSON can carry, as MessagePack. Whatever would not come back as it was is refused, with the path to it.
 */
import { isAttributeName } from '#protocol';
import { Packr, Unpackr } from 'msgpackr';
import { LockedSessionError } from './errors.js';

/** Objects and arrays within each other, at most. */
const deepest = 64;

const packr = new Packr({ useRecords: false, skipValues: [undefined] } as object);
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' } as object);

/**
 * The value as bytes, the same bytes for the same value and order of keys. Properties that are undefined are left out, as JSON does.
 * Throws `value-not-serializable`.
 */
export function encodeValue(value: unknown, attribute: string): Uint8Array {
  const path: (string | number)[] = [];
  const culprit = unfit(value, 0, path);
  if (culprit === undefined) return packr.pack(value);
  const place = path
    .reverse()
    .reduce<string>((so, key) => so + (typeof key === 'number' ? `[${key}]` : `.${key}`), '');
  throw new LockedSessionError(
    'value-not-serializable',
    `attribute '${attribute}': ${place === '' ? 'the value' : place.replace(/^\./, '')} is ${culprit}: a session keeps what JSON can carry ` +
      '(null, booleans, finite numbers, strings, arrays, plain objects); convert it before',
  );
}

/** A fresh copy, to be changed at will. */
export function decodeValue(bytes: Uint8Array): unknown {
  return unpackr.unpack(bytes);
}

/** The value, deeply frozen. */
export function decodeFrozen(bytes: Uint8Array): unknown {
  return freeze(unpackr.unpack(bytes));
}

/** Throws `attribute-name`. */
export function assertAttributeName(name: unknown): asserts name is string {
  if (isAttributeName(name)) return;
  throw new LockedSessionError(
    'attribute-name',
    `${JSON.stringify(name)?.slice(0, 140)} is no name for an attribute: 1 to 128 characters, no control characters, ` +
      "not '*', '__proto__', 'constructor' or 'prototype'",
  );
}

/** What is wrong with the value, and in `path`, from the inside out, where. */
function unfit(value: unknown, depth: number, path: (string | number)[]): string | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined;
    case 'number':
      return Number.isFinite(value) ? undefined : String(value);
    case 'object':
      if (value === null) return undefined;
      if (depth >= deepest) return `nested more than ${deepest} deep, or a circle`;
      return Array.isArray(value) ? unfitArray(value, depth, path) : unfitObject(value, depth, path);
    case 'undefined':
      return 'undefined';
    default:
      return `a ${typeof value}`;
  }
}

function unfitArray(array: readonly unknown[], depth: number, path: (string | number)[]): string | undefined {
  for (let i = 0; i < array.length; i++) {
    const culprit = unfit(array[i], depth + 1, path);
    if (culprit === undefined) continue;
    path.push(i);
    return culprit;
  }
  return undefined;
}

function unfitObject(object: object, depth: number, path: (string | number)[]): string | undefined {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null)
    return `a ${object.constructor?.name || 'class instance'}`;
  if (Object.getOwnPropertySymbols(object).length > 0) return 'an object with a symbol for a key';
  for (const key of Object.keys(object)) {
    const value = (object as Record<string, unknown>)[key];
    if (value === undefined) continue;
    const culprit =
      key === '__proto__' ? 'a property that would change a prototype' : unfit(value, depth + 1, path);
    if (culprit === undefined) continue;
    path.push(key);
    return culprit;
  }
  return undefined;
}

function freeze(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  for (const key in value) freeze((value as Record<string, unknown>)[key]);
  return Object.freeze(value);
}
