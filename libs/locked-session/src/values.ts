/**
 * Encodes attribute values as MessagePack, and decodes them. A value is anything that JSON can carry. A value
 * that would come back as something else is refused, with the path to the culprit: else a Map would come back
 * as an object, and the mistake would be found weeks later.
 */
import { isAttributeName, limits } from '#protocol';
import { shown } from '#settings';
import { Packr, Unpackr } from 'msgpackr';
import { LockedSessionError } from './errors.js';
import { NoValue } from './no-value.js';

/**
 * The value as bytes. Equal values with the same order of keys have the same bytes. Undefined properties are
 * left out, and `toJSON` is not called. Throws `value-not-serializable`.
 */
export function encodeValue(
  value: unknown,
  attribute: string,
  instances: ClassInstances = 'refuse',
): Uint8Array {
  try {
    const culprit = findCulprit(value, 0, instances === 'copy');
    if (culprit !== undefined) throw notSerializable(attribute, value, culprit);
    return packr.pack(value);
  } catch (cause) {
    if (cause instanceof LockedSessionError) throw cause;
    throw notSerializable(attribute, value, unreadable(cause)); // too long to be packed
  }
}

/**
 * Class instances are refused, or their own properties are kept as a plain object.
 */
export type ClassInstances = 'refuse' | 'copy';

/** A deeply frozen copy, to be shared. */
export function decodeFrozen(bytes: Uint8Array): unknown {
  const value: unknown = unpackr.unpack(bytes);
  freezeAll(objectsIn(value));
  return value;
}

/** A copy to be changed. */
export interface Draft {
  readonly value: unknown;
  /** Freezes the decoded objects, and none that the application has put into them since. */
  freeze(): void;
}

export function decodeDraft(bytes: Uint8Array): Draft {
  const value: unknown = unpackr.unpack(bytes);
  const own = objectsIn(value);
  return { value, freeze: () => freezeAll(own) };
}

/** A frozen copy of an application's value. Throws `value-not-serializable`. */
export function frozenCopy(value: unknown, attribute: string, instances: ClassInstances): unknown {
  return value === undefined ? undefined : decodeFrozen(encodeValue(value, attribute, instances));
}

/**
 * A handler's result, such that the application's interceptors may change it. Values of the session are
 * frozen: so frozen plain objects and arrays are copied, with those that contain them. No object of the
 * application is changed. Throws `value-not-serializable` for a session's handle.
 */
export function thawed(value: unknown): unknown {
  try {
    return thaw(value, new Map());
  } catch (error) {
    if (error instanceof LockedSessionError) throw error;
    return value; // a proxy of the application throws when it is read, or lists nest without end
  }
}

/** Most objects of a result that are visited. The others stay frozen. */
const maxThawed = 100_000;

/**
 * `done` maps each visited object to its copy or itself, so that an object in a cycle or in many places is
 * visited once.
 */
function thaw(value: unknown, done: Map<object, unknown>): unknown {
  if (typeof value !== 'object' || value === null) return value;
  const known = done.get(value);
  if (known !== undefined) return known;
  if (value instanceof NoValue) throw value.refused();
  if (!isPlain(value) || done.size === maxThawed) return value;
  const thawedCopy = Object.isFrozen(value) ? looseCopy(value) : undefined;
  done.set(value, thawedCopy ?? value);
  const copy = thawProperties(value, thawedCopy, done);
  if (copy !== undefined) done.set(value, copy);
  return copy ?? value;
}

/** Puts thawed properties into the copy. Makes one when a property needs it, and returns it. */
function thawProperties(
  value: object,
  copy: Record<string, unknown> | undefined,
  done: Map<object, unknown>,
): Record<string, unknown> | undefined {
  for (const key of Object.keys(value)) {
    // No getter of the application is called.
    const own: unknown = Object.getOwnPropertyDescriptor(value, key)?.value;
    const now = thaw(own, done);
    if (!Object.is(now, own)) (copy ??= looseCopy(value))[key] = now;
  }
  return copy;
}

function isPlain(value: object): boolean {
  return Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
}

/** A copy whose properties can be changed. A getter stays one. */
function looseCopy(value: object): Record<string, unknown> {
  if (Array.isArray(value)) return [...(value as unknown[])] as never;
  const properties = Object.getOwnPropertyDescriptors(value) as Record<string, PropertyDescriptor>;
  const all = Object.values(properties);
  if (all.every((property) => 'value' in property)) return { ...value };
  for (const property of all) {
    property.configurable = true;
    if ('value' in property) property.writable = true;
  }
  return Object.defineProperties({}, properties);
}

/** The objects and arrays of a decoded value, which has no cycles. */
function objectsIn(value: unknown, found: object[] = []): object[] {
  if (typeof value !== 'object' || value === null) return found;
  found.push(value);
  if (Array.isArray(value)) for (const item of value) objectsIn(item, found);
  else for (const key in value) objectsIn((value as Record<string, unknown>)[key], found);
  return found;
}

function freezeAll(objects: readonly object[]): void {
  for (const object of objects) Object.freeze(object);
}

/** Throws `attribute-name`. */
export function assertAttributeName(name: unknown): asserts name is string {
  if (isAttributeName(name)) return;
  throw new LockedSessionError(
    'attribute-name',
    `${shown(name)} cannot name an attribute. A name has 1 to ${limits.nameChars} characters, no control ` +
      'characters among them, ' +
      "and is not '*', '__proto__', 'constructor' or 'prototype'",
  );
}

/**
 * Most levels of objects and arrays within each other. A deeper value is a cycle, or a structure that belongs
 * in a database.
 */
const maxDepth = 64;

// Without records, which make the bytes depend on earlier values. Without `toJSON`, which may be the name of
// a property.
const packr = new Packr({ useRecords: false, skipValues: [undefined], useToJSON: false } as object);
const unpackr = new Unpackr({ useRecords: false, int64AsType: 'number' } as object);

/** The part of a value that cannot be carried, and the keys that lead to it, from the inside out. */
interface Culprit {
  readonly what: string;
  readonly keys: (string | number)[];
}

function findCulprit(value: unknown, depth: number, copies: boolean): Culprit | undefined {
  switch (typeof value) {
    case 'string':
      return isWellFormed(value) ? undefined : culprit('a string with half a surrogate pair');
    case 'number':
      if (Object.is(value, -0)) return culprit('-0');
      return Number.isFinite(value) ? undefined : culprit(String(value));
    case 'boolean':
      return undefined;
    case 'object':
      if (value === null) return undefined;
      if (depth === maxDepth) return culprit(`nested more than ${maxDepth} levels deep`);
      try {
        return Array.isArray(value) ? findInArray(value, depth, copies) : findInObject(value, depth, copies);
      } catch (cause) {
        return unreadable(cause); // a proxy of the application throws when it is read
      }
    case 'undefined':
      return culprit('undefined');
    default:
      return culprit(`a ${typeof value}`);
  }
}

function findInArray(array: readonly unknown[], depth: number, copies: boolean): Culprit | undefined {
  if (Object.getPrototypeOf(array) !== Array.prototype) return culprit(`a ${nameOfClass(array)}`);
  if (Object.getOwnPropertySymbols(array).length > 0) return culprit('an array with a symbol among its keys');
  const keys = Object.keys(array);
  if (keys.length > array.length) return within(keys.at(-1)!, culprit('a property of an array'));
  for (let i = 0; i < array.length; i++) {
    const found = findCulprit(array[i], depth + 1, copies);
    if (found !== undefined) return within(i, found);
  }
  return undefined;
}

function findInObject(object: object, depth: number, copies: boolean): Culprit | undefined {
  const ofClass = culpritByClass(object, copies);
  if (ofClass !== undefined) return ofClass;
  if (Object.getOwnPropertySymbols(object).length > 0)
    return culprit('an object with a symbol among its keys');
  for (const key of Object.keys(object)) {
    const property = Object.getOwnPropertyDescriptor(object, key)!;
    if (property.get !== undefined || property.set !== undefined)
      return within(key, culprit('a getter or setter'));
    if (property.value === undefined) continue;
    if (key === '__proto__' || !isWellFormed(key))
      return within(key, culprit('a property whose name cannot be kept'));
    const found = findCulprit(property.value, depth + 1, copies);
    if (found !== undefined) return within(key, found);
  }
  return undefined;
}

function culpritByClass(object: object, copies: boolean): Culprit | undefined {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype === Object.prototype) return undefined;
  if (prototype === null) return culprit('an object without a prototype');
  if (object instanceof NoValue) return culprit("a session's handle");
  if (!copies || !isOfOwnClass(object)) return culprit(`a ${nameOfClass(object)}`);
  // Its properties are not its meaning. Those of a decimal number, a moment or a document would be kept
  // without a warning.
  const isConverted = typeof (object as { toJSON?: unknown }).toJSON === 'function';
  return isConverted ? culprit(`a ${nameOfClass(object)} ${withToJson}`) : undefined;
}

function culprit(what: string): Culprit {
  return { what, keys: [] };
}

function unreadable(cause: unknown): Culprit {
  const thrown = cause instanceof Error ? cause.message : `a ${typeof cause}`;
  return culprit(`an object that throws when it is read (${thrown})`);
}

function within(key: string | number, found: Culprit): Culprit {
  found.keys.push(key);
  return found;
}

const withToJson = 'with a toJSON() of its own';

/** The advice for the values that people try most. */
const remedies: Record<string, string> = {
  'a Date': 'Keep its getTime() or toISOString()',
  'a Map': 'Keep Object.fromEntries() of it, or an array of its entries',
  'a Set': 'Keep an array of its values',
  'a bigint': 'Keep it as a string',
  'a Buffer': 'Keep it as a base64 string',
  'a Uint8Array': 'Keep it as a base64 string',
  undefined: 'Use null, or leave the property out',
  NaN: 'Use null',
  '-0': 'Use 0, for example by adding 0 to it',
  "a session's handle": "Keep a value from it, such as session.get('cart')",
  'an object without a prototype': 'Keep a copy, { ...it }',
  'a value of another realm (its own Object)': 'Keep a copy, structuredClone(it)',
  'a value of another realm (its own Array)': 'Keep a copy, structuredClone(it)',
};

function notSerializable(attribute: string, value: unknown, { what, keys }: Culprit): LockedSessionError {
  const path = keys.toReversed();
  const cycle = findCycle(value, path);
  const place = (cycle ?? path).map((key) =>
    /^[\w$]+$/.test(String(key)) && key !== +key ? `.${key}` : `[${JSON.stringify(key)}]`,
  );
  const shown = place.join('').replace(/^\./, '') || 'the value';
  const remedy =
    remedies[what] ??
    (what.endsWith(withToJson) ? 'Keep the value that it returns' : undefined) ??
    'A session keeps values that JSON can carry: null, booleans, finite numbers, strings, arrays and ' +
      'plain objects. Of a class ' +
      'instance, such as a validated body, keep a copy ({ ...it }, or instanceToPlain of ' +
      "class-transformer), or set classInstances: 'copy'";
  return new LockedSessionError(
    'value-not-serializable',
    `attribute '${attribute}': ${shown} is ${cycle ? 'part of itself' : what}. ${remedy}`,
  );
}

/** The path to the first object that contains itself. Undefined when there is none on the way. */
function findCycle(value: unknown, path: readonly (string | number)[]): (string | number)[] | undefined {
  const seen = new Set<unknown>();
  for (const [i, key] of path.entries()) {
    if (seen.has(value)) return path.slice(0, i);
    seen.add(value);
    value = Object.getOwnPropertyDescriptor(value, key)?.value;
  }
  return undefined;
}

/**
 * An instance of an application's class. The properties of a Date, Map, Buffer or the like are not its value.
 */
function isOfOwnClass(object: object): boolean {
  return Object.prototype.toString.call(object) === '[object Object]' && !isOfAnotherRealm(object, 'Object');
}

function nameOfClass(object: object): string {
  const { constructor } = object;
  const name = (typeof constructor === 'function' && constructor.name) || 'class instance';
  return isOfAnotherRealm(object, name) ? `value of another realm (its own ${name})` : name;
}

/** It comes from a place with other globals: a `vm` context, or a test runner. */
function isOfAnotherRealm(object: object, name: string): boolean {
  const prototype = Object.getPrototypeOf(object) as object;
  const above: unknown = Object.getPrototypeOf(prototype);
  const isPlain = name === 'Object' && above === null && Object.hasOwn(prototype, 'constructor');
  return isPlain || (name === 'Array' && Array.isArray(prototype));
}

/** Half a surrogate pair does not survive UTF-8. */
function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}
