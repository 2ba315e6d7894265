/**
 * The parts of states. A part never changes, and of two that are the same only one is kept: so a million
 * states share some thousand processes. What a process makes of an input is remembered with it, since the
 * same comes up in many states.
 */
import type { Folding } from './folding.js';
import { copyOf, printsOf } from './graph.js';

export class Part<T> {
  private readonly known = new Map<string, unknown>();

  constructor(
    /** Another one for each part. */
    readonly id: number,
    readonly value: T,
    /** 64 bits for each way to exchange the holders. */
    readonly prints: Int32Array,
  ) {}

  /** What was made of this part and of all that `key` names; it is made only once. */
  remember<R>(key: string, make: () => R): R {
    if (this.known.has(key)) return this.known.get(key) as R;
    const made = make();
    this.known.set(key, made);
    return made;
  }
}

export class Parts {
  private parts = new Map<number, Part<unknown>>();
  private made = 0;

  constructor(private readonly folding: Folding) {}

  /** The value as a part; or one that is the same and was made before. */
  part<T>(value: T): Part<T> {
    const prints = printsOf(value, this.folding);
    const key = keyOf(prints);
    const known = this.parts.get(key);
    if (known?.prints.every((print, at) => print === prints[at])) return known as Part<T>;
    const part = new Part(this.made++, value, prints);
    this.parts.set(key, part);
    return part;
  }

  /** A copy that may be changed. */
  copy<T>(value: T): T {
    return copyOf(value);
  }

  /** Nothing is kept but these. */
  keep(parts: Iterable<Part<unknown>>): void {
    this.parts = new Map();
    for (const part of parts) this.parts.set(keyOf(part.prints), part);
  }
}

function keyOf(prints: Int32Array): number {
  return (prints[0]! >>> 0) * 2 ** 21 + (prints[1]! >>> 11);
}
