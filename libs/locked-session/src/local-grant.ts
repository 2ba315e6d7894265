/**
 * A new visitor's session before the store knows it (rule 16): nobody else can have its id, so this process has it without a lock. The first change asks the store
 * to make the session; later ones wait for its grant. A visit that sets nothing leaves nothing.
 */
import type { Changes, HeldAttribute, HeldGrant } from '#protocol';

export class LocalGrant implements HeldGrant {
  readonly token = [0, 0] as const;
  readonly recalled = false;
  readonly acknowledged = 0;
  used = false;
  inside = 0;
  /** Counts the changes made here: the same numbers that the real grant will give them. */
  seq = 0;
  readonly attributes = new Map<string, HeldAttribute>();
  /** Changes after the first, to be sent under the real grant. */
  readonly later: Changes[] = [];

  constructor(readonly session: string) {}

  /** Applies changes here. True for the first ones: they are to be sent as the session's creation. */
  change(changes: Changes): boolean {
    this.seq++;
    for (const name of changes.delete) this.attributes.delete(name);
    for (const [name, bytes] of changes.set) this.attributes.set(name, { bytes, seq: this.seq });
    if (this.seq > 1) this.later.push(changes);
    return this.seq === 1;
  }
}
