/**
 * Copies and fingerprints of what a process has in memory. The machines are plain object graphs: class
 * instances, maps, sets, lists, numbers and text. So one copier serves them all, and no machine knows that it
 * is explored. Two graphs with the same fingerprint are the same but for the names of holders, which a
 * folding exchanges.
 */
import type { Folding } from './folding.js';

/** What never changes after it was made is shared by all copies, and is no part of a fingerprint. */
const fixedKeys: ReadonlySet<string> = new Set(['rules', 'parameters', 'ownership']);
/** What only operators look at decides nothing. */
const countingKeys: ReadonlySet<string> = new Set(['counters']);

/** Messages and frames never change, and the machines compare them by identity. */
function isFixed(value: object): boolean {
  return 'kind' in value || value instanceof Uint8Array || ('messages' in value && 'epoch' in value);
}

/** A graph of its own, with the same shape: what was one object in two places is one object in the copy. */
export function copyOf<T>(root: T): T {
  const copies = new Map<object, object>();
  const copy = (value: unknown): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    const known = copies.get(value);
    if (known) return known;
    if (isFixed(value)) return value;
    if (Array.isArray(value)) {
      const list: unknown[] = [];
      copies.set(value, list);
      for (const item of value) list.push(copy(item));
      return list;
    }
    if (value instanceof Map) {
      const map = new Map<unknown, unknown>();
      copies.set(value, map);
      for (const [key, item] of value) map.set(copy(key), copy(item));
      return map;
    }
    if (value instanceof Set) {
      const set = new Set<unknown>();
      copies.set(value, set);
      for (const item of value) set.add(copy(item));
      return set;
    }
    const made = Object.create(Object.getPrototypeOf(value) as object | null) as Record<string, unknown>;
    copies.set(value, made);
    for (const key of Object.keys(value)) {
      const item = (value as Record<string, unknown>)[key];
      made[key] = fixedKeys.has(key) ? item : copy(item);
    }
    return made;
  };
  return copy(root) as T;
}

const tags = {
  nothing: 0,
  back: 1,
  text: 2,
  whole: 3,
  float: 4,
  flag: 5,
  list: 6,
  map: 7,
  set: 8,
  object: 9,
} as const;

const floats = new Float64Array(1);
const words = new Int32Array(floats.buffer);
const decoder = new TextDecoder();

/** The graph as a list of tagged numbers, where a text stands as its number in the folding's table. */
function flatten(root: unknown, folding: Folding): number[] {
  const out: number[] = [];
  const seen = new Map<object, number>();
  const text = (value: string) => out.push(tags.text, folding.numberOf(value));
  const visit = (value: unknown): void => {
    switch (typeof value) {
      case 'string':
        return void text(value);
      case 'boolean':
        return void out.push(tags.flag, Number(value));
      case 'number':
        if (Number.isInteger(value) && Math.abs(value) < 2 ** 31) return void out.push(tags.whole, value);
        floats[0] = value;
        return void out.push(tags.float, words[0]!, words[1]!);
      case 'object':
        return value === null ? void out.push(tags.nothing) : object(value);
      default: // undefined, and functions, which never change
        out.push(tags.nothing);
    }
  };
  const object = (value: object): void => {
    const before = seen.get(value);
    if (before !== undefined) return void out.push(tags.back, before);
    if (value instanceof Uint8Array) return void text(decoder.decode(value));
    seen.set(value, seen.size);
    if (Array.isArray(value)) {
      out.push(tags.list, value.length);
      for (const item of value) visit(item);
    } else if (value instanceof Map) {
      out.push(tags.map, value.size);
      for (const [key, item] of value) {
        visit(key);
        visit(item);
      }
    } else if (value instanceof Set) {
      out.push(tags.set, value.size);
      for (const item of value) visit(item);
    } else {
      const keys = Object.keys(value);
      out.push(tags.object, keys.length);
      for (const key of keys) {
        if (fixedKeys.has(key) || countingKeys.has(key)) continue;
        text(key);
        visit((value as Record<string, unknown>)[key]);
      }
    }
  };
  visit(root);
  return out;
}

/** Mixes a number into one half of a fingerprint. */
export function mix(hash: number, value: number): number {
  let mixed = Math.imul(value, 0xcc9e2d51);
  mixed = Math.imul((mixed << 15) | (mixed >>> 17), 0x1b873593);
  mixed = hash ^ mixed;
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0;
}

/** Spreads the last numbers that were mixed in over all bits. */
export function finish(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
}

/** How many words follow a tag. */
function wordsOf(tag: number): number {
  if (tag === tags.nothing) return 0;
  return tag === tags.float ? 2 : 1;
}

/** 64 bits that are the same for graphs that are the same: for each way to exchange the holders. */
export function printsOf(root: unknown, folding: Folding): Int32Array {
  const flat = flatten(root, folding);
  const prints = new Int32Array(2 * folding.ways);
  for (let way = 0; way < folding.ways; way++) {
    let [high, low] = [0x9747b28c, 0x3c6ef372];
    for (let at = 0; at < flat.length; at++) {
      const tag = flat[at]!;
      high = mix(high, tag);
      low = mix(low, ~tag);
      for (let left = wordsOf(tag); left > 0; left--) {
        const value = flat[++at]!;
        const number = tag === tags.text ? folding.exchanged(value, way) : value;
        high = mix(high, number);
        low = mix(low, ~number);
      }
    }
    prints[2 * way] = finish(high);
    prints[2 * way + 1] = finish(low);
  }
  return prints;
}
