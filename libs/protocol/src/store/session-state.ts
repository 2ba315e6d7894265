/**
 * One session in the store's memory: its record, and the parts that are not written yet. Here a change is
 * applied to a record. The machine decides whether it may be.
 */
import { limits } from '../wire/limits.js';
import type { ChangeSet } from '../wire/messages.js';
import { sameToken, type Token, type Version } from '../wire/order.js';
import type { EndedGrant, GrantRecord, RecordWrite, SessionRecord } from './record.js';

/**
 * What a session, an attribute and an ended grant take in memory beside the bytes of their values, with their
 * entries in maps and what V8 leaves unused. `npm run bench -- memory` compares the sum with the store's
 * process.
 */
const own = { session: 1_600, attribute: 800, ended: 400 };

/** Of a session without a change that is not written yet. */
const noNames: ReadonlySet<string> = new Set();

export class SessionState {
  /**
   * When the holder was first asked to release, by a recall or a contended grant, by the monotonic clock
   * (rule 4).
   */
  recalledAt: number | undefined;
  /** When the lock was last granted in this ownership, by the monotonic clock, and to which holder. */
  granted: { readonly at: number; readonly holder: string } | undefined;
  /** How often in a row the lock has soon gone to another holder (rule 23). */
  passes = 0;
  /** When a revoked grant certainly is out of use, by the monotonic clock (rule 10). */
  outOfUseAt: number | undefined;
  /** Bytes of all values. */
  bytes = 0;

  /**
   * The session is due. It is removed when its holder has released it, unless it is used before (rule 15).
   */
  expiring = false;

  /** The entry in the expiry index moves with the next write. */
  private moved = false;
  private nextExpiryEntry: number | undefined;
  private removedExpiryEntry: number | undefined;
  /** Names of the attributes that changed since the last write. */
  private changed: { readonly set: Set<string>; readonly removed: Set<string> } | undefined;

  constructor(
    readonly id: string,
    /** Undefined while the store does not know the session. */
    public record: SessionRecord | undefined,
  ) {
    for (const { bytes } of record?.attributes.values() ?? []) this.bytes += bytes.length;
  }

  /** How many bytes of memory the session takes, about. */
  get weight(): number {
    const { record, bytes } = this;
    if (!record) return own.session;
    return own.session + record.attributes.size * own.attribute + record.ended.length * own.ended + bytes;
  }

  /** The holder of the lock. */
  get grant(): GrantRecord | undefined {
    return this.record?.grant;
  }

  /** An ended grant, if it is still remembered (rule 6). */
  ended(holder: string, token: Token): EndedGrant | undefined {
    return this.record?.ended.find((grant) => grant.holder === holder && sameToken(grant.token, token));
  }

  /**
   * Gives the lock to the grant. An unknown session is made with `create`, as the grant's seq 1 (rule 16).
   */
  begin(grant: GrantRecord, create: ReadonlyMap<string, Uint8Array> | undefined, wall: number): void {
    const isNew = this.record === undefined;
    this.record ??= {
      version: [...grant.token, 0],
      grant,
      ended: [],
      touched: 0,
      expiryEntry: this.removedExpiryEntry,
      destroyed: undefined,
      attributes: new Map(),
    };
    if (isNew || this.record.destroyed !== undefined) this.moved = true;
    this.record.destroyed = undefined;
    this.record.grant = grant;
    this.touch(wall);
    if (isNew && create && create.size > 0) this.apply({ set: create, removed: [] }, grant, 1);
  }

  /** Frees the lock. The grant joins the ended ones. The oldest beyond `remembered` are dropped. */
  end({ token, holder, seq }: GrantRecord, remembered: number): void {
    const record = this.record!;
    record.ended.push({ token, holder, seq });
    if (record.ended.length > remembered) record.ended.shift();
    record.grant = undefined;
    this.recalledAt = undefined;
    this.outOfUseAt = undefined;
  }

  /** The session was used at `wall` (rule 15). */
  touch(wall: number): void {
    const record = this.record!;
    record.touched = Math.max(record.touched, Math.floor(wall));
    this.expiring = false;
  }

  /** Leaves only a tombstone, until `until` by the wall clock (rule 14). */
  destroy(grant: GrantRecord, seq: number, until: number): void {
    this.apply({ set: new Map(), removed: [...this.record!.attributes.keys()] }, grant, seq);
    this.record!.destroyed = until;
    this.moved = true;
  }

  /** When the record is to be removed, by the wall clock, unless the session is used before. */
  dueAt(ttlMs: number): number {
    const { destroyed, touched } = this.record!;
    return destroyed ?? touched + ttlMs;
  }

  /** The index has this entry for the session. The next write moves or clears it. */
  indexedAt(expiryEntry: number): void {
    if (this.record) this.record.expiryEntry = expiryEntry;
    else this.removedExpiryEntry = expiryEntry;
  }

  /** The session is not due before `at`, although the index named it. Its entry moves with the next write. */
  moveExpiry(at: number): void {
    this.moved = true;
    this.nextExpiryEntry = at;
  }

  /**
   * Removes the session. If it is made anew before the next write, that write must still clear the old rows.
   */
  remove(): void {
    this.removedExpiryEntry = this.record!.expiryEntry;
    this.nextExpiryEntry = undefined;
    const { set, removed } = this.changes;
    for (const name of this.record!.attributes.keys()) removed.add(name);
    set.clear();
    this.record = undefined;
    this.bytes = 0;
    this.expiring = false;
  }

  /** Whether the session keeps within the limits with these changes. */
  fits({ set, removed }: ChangeSet): boolean {
    const { attributes } = this.record!;
    let bytes = this.bytes;
    let count = attributes.size;
    const without = (name: string) => {
      const old = attributes.get(name);
      if (!old) return;
      bytes -= old.bytes.length;
      count--;
    };
    for (const name of set.keys()) without(name);
    for (const name of new Set(removed)) if (!set.has(name)) without(name);
    for (const value of set.values()) bytes += value.length;
    return bytes <= limits.sessionBytes && count + set.size <= limits.attributes;
  }

  /** Applies a change of the grant. It removes names first, then sets values. */
  apply({ set, removed }: ChangeSet, grant: GrantRecord, seq: number): void {
    grant.seq = seq;
    if (set.size === 0 && removed.length === 0) return;
    const { attributes } = this.record!;
    const version: Version = [...grant.token, seq];
    this.record!.version = version;
    const { changes } = this;
    for (const name of removed) {
      const old = attributes.get(name);
      if (!old) continue;
      this.bytes -= old.bytes.length;
      attributes.delete(name);
      changes.set.delete(name);
      changes.removed.add(name);
    }
    for (const [name, bytes] of set) {
      this.bytes += bytes.length - (attributes.get(name)?.bytes.length ?? 0);
      attributes.set(name, { bytes, version });
      changes.removed.delete(name);
      changes.set.add(name);
    }
  }

  /**
   * The whole state, for a holder that has attributes of some versions: the values that it lacks, and the
   * names of those that it has.
   */
  since(isKnown: (version: Version) => boolean): { set: Map<string, Uint8Array>; keep: string[] } {
    const set = new Map<string, Uint8Array>();
    const keep: string[] = [];
    for (const [name, { bytes, version }] of this.record!.attributes) {
      if (isKnown(version)) keep.push(name);
      else set.set(name, bytes);
    }
    return { set, keep };
  }

  /** The record as it is now, and the attributes that changed since the last call. */
  takeWrite(ttlMs: number): RecordWrite {
    const { id: session, record } = this;
    const { set = noNames, removed = noNames } = this.changed ?? {};
    const write = { session, record, set: [...set], removed: [...removed] };
    const was = record ? record.expiryEntry : this.removedExpiryEntry;
    this.changed = undefined;
    if (!record) return { ...write, expires: { was, is: undefined } };
    if (was !== undefined && !this.moved) return write;
    this.moved = false;
    record.expiryEntry = Math.ceil(this.nextExpiryEntry ?? this.dueAt(ttlMs));
    this.nextExpiryEntry = undefined;
    return { ...write, expires: { was, is: record.expiryEntry } };
  }

  private get changes() {
    return (this.changed ??= { set: new Set(), removed: new Set() });
  }
}
