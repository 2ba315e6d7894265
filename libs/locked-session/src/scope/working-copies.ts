/** The working copies that one family of scopes shares, and the changes in them (rule 18). */
import { noChanges, type ChangeSet } from '#protocol';
import type { WorkingCopy } from './working-copy.js';

export class WorkingCopies {
  private readonly copies = new Map<string, WorkingCopy>();

  /** The copy of this attribute. `make` makes it on first use. */
  of(name: string, make: () => WorkingCopy): WorkingCopy {
    let copy = this.copies.get(name);
    if (!copy) this.copies.set(name, (copy = make()));
    return copy;
  }

  get(name: string): WorkingCopy | undefined {
    return this.copies.get(name);
  }

  [Symbol.iterator](): Iterator<[string, WorkingCopy]> {
    return this.copies.entries();
  }

  /** The copies of the attributes that pass `moves` belong to another family from now on. */
  moveTo(other: WorkingCopies, moves: (name: string) => boolean): void {
    for (const [name, copy] of this.copies) {
      if (!moves(name)) continue;
      other.copies.set(name, copy);
      this.copies.delete(name);
    }
  }

  /**
   * The differences from the held state, in the attributes that pass `counts`. Throws
   * `value-not-serializable`.
   */
  changes(counts: (name: string) => boolean): ChangeSet {
    if (this.copies.size === 0) return noChanges;
    const set = new Map<string, Uint8Array>();
    const removed: string[] = [];
    for (const [name, copy] of this.copies) {
      if (!counts(name)) continue;
      const { base } = copy;
      const bytes = copy.encoded();
      if (!bytes) {
        if (base) removed.push(name);
      } else if (!base || !sameBytes(base, bytes)) {
        set.set(name, bytes);
      }
    }
    return set.size === 0 && removed.length === 0 ? noChanges : { set, removed };
  }

  /** The changes are made: the copies no longer differ from the held state. */
  made(changes: ChangeSet): void {
    for (const name of changes.removed) this.copies.get(name)!.base = undefined;
    for (const [name, bytes] of changes.set) this.copies.get(name)!.base = bytes;
  }

  end(): void {
    for (const copy of this.copies.values()) copy.end();
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
