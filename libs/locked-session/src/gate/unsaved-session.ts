/**
 * A new visitor's session before the store knows it (rule 16). No other process can have its id, so this one
 * has it without a lock. The first change asks the store to make the session. Later ones wait for its grant.
 * A visit that sets nothing leaves nothing.
 */
import { noChanges, type ChangeSet, type HeldAttribute, type HeldGrant } from '#protocol';

export class UnsavedSession implements HeldGrant {
  readonly token = [0, 0] as const;
  readonly recalled = false;
  readonly untilIdle = false;
  readonly acknowledged = 0;
  used = false;
  inside = 0;
  /** Counts the changes made here. The store's grant gives them the same numbers. */
  seq = 0;
  readonly attributes = new Map<string, HeldAttribute>();
  /**
   * The store makes the session with the first change. The later ones are sent under its grant.
   */
  first: ChangeSet = noChanges;
  readonly later: ChangeSet[] = [];

  constructor(readonly session: string) {}

  /** Makes changes here. */
  change(changes: ChangeSet): void {
    this.seq++;
    for (const name of changes.removed) this.attributes.delete(name);
    for (const [name, bytes] of changes.set) this.attributes.set(name, { bytes, seq: this.seq });
    if (this.seq === 1) this.first = changes;
    else this.later.push(changes);
  }
}
