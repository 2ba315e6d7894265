/**
 * One session as the store keeps it in memory: its record, and what of it is not written yet. Here is what a change does to a
 * record; whether it may is decided by the partition's machine.
 */
import { limits } from './limits.js';
import type { Changes } from './messages.js';
import { compareVersions, sameToken, type Token, type Version } from './order.js';
import type { EndedGrant, GrantRecord, SessionRecord } from './record.js';
import type { RecordWrite } from './store-outputs.js';

export class SessionState {
  /** When the holder was first asked, or told by a contended grant, to release, by the monotonic clock (rule 4). */
  recalledAt: number | undefined;
  /** When a revoked grant is surely out of use, by the monotonic clock (rule 10). */
  limboEnd: number | undefined;
  /** Bytes of all values. */
  bytes = 0;

  /** The session is due, and goes when its holder has released it, unless it is used before (rule 15). */
  expiring = false;

  /** The mark in the expiry index is to move with the next write; and which one a removed session leaves there. */
  private moved = false;
  private nextMark: number | undefined;
  private removedMark: number | undefined;
  /** Names of the attributes that changed since the last write. */
  private set = new Set<string>();
  private removed = new Set<string>();

  constructor(
    readonly id: string,
    /** Undefined while the store does not know the session. */
    public record: SessionRecord | undefined,
  ) {
    for (const { bytes } of record?.attributes.values() ?? []) this.bytes += bytes.length;
  }

  /** Who holds the lock. */
  get grant(): GrantRecord | undefined {
    return this.record?.grant;
  }

  /** An ended grant that is still remembered (rule 6). */
  ended(holder: string, token: Token): EndedGrant | undefined {
    return this.record?.ended.find((grant) => grant.holder === holder && sameToken(grant.token, token));
  }

  /** The lock is the grant's. A session that was unknown is made with `create`, as the grant's seq 1 (rule 16). */
  begin(grant: GrantRecord, create: ReadonlyMap<string, Uint8Array> | undefined, wall: number): void {
    const isNew = this.record === undefined;
    this.record ??= {
      version: [...grant.token, 0],
      grant,
      ended: [],
      touched: 0,
      mark: this.removedMark,
      destroyed: undefined,
      attributes: new Map(),
    };
    if (isNew) this.moved = true;
    this.record.grant = grant;
    this.touch(wall);
    if (isNew && create && create.size > 0) this.apply({ set: create, delete: [] }, grant, 1);
  }

  /** The lock is free. The grant is remembered, the oldest beyond `remembered` forgotten. */
  end({ token, holder, seq }: GrantRecord, remembered: number): void {
    const record = this.record!;
    record.ended.push({ token, holder, seq });
    if (record.ended.length > remembered) record.ended.shift();
    record.grant = undefined;
    this.recalledAt = undefined;
    this.limboEnd = undefined;
  }

  /** The session was used at `wall` (rule 15). */
  touch(wall: number): void {
    const record = this.record!;
    record.touched = Math.max(record.touched, Math.floor(wall));
    this.expiring = false;
  }

  /** Nothing of it is left but that it was destroyed, until `until` by the wall clock (rule 14). */
  destroy(grant: GrantRecord, seq: number, until: number): void {
    this.apply({ set: new Map(), delete: [...this.record!.attributes.keys()] }, grant, seq);
    this.record!.destroyed = until;
    this.moved = true;
  }

  /** When the record is to be removed, by the wall clock, unless it is used before. */
  dueAt(ttlMs: number): number {
    const { destroyed, touched } = this.record!;
    return destroyed ?? touched + ttlMs;
  }

  /** The index has this mark for the session: it is what the next write moves or clears. */
  namedAs(mark: number): void {
    if (this.record) this.record.mark = mark;
    else this.removedMark = mark;
  }

  /** The session is not due before `at`, though the index named it: its mark moves with the next write. */
  remark(at: number): void {
    this.moved = true;
    this.nextMark = at;
  }

  /** The session is gone. If it is made anew before the next write, that must still clear what was there. */
  remove(): void {
    this.removedMark = this.record!.mark;
    for (const name of this.record!.attributes.keys()) this.removed.add(name);
    this.set.clear();
    this.record = undefined;
    this.bytes = 0;
    this.expiring = false;
  }

  /** Whether the session keeps within the limits with these changes. */
  fits({ set, delete: removed }: Changes): boolean {
    const { attributes } = this.record!;
    let bytes = this.bytes;
    let count = attributes.size;
    for (const name of new Set([...removed, ...set.keys()])) {
      const old = attributes.get(name);
      if (!old) continue;
      bytes -= old.bytes.length;
      count--;
    }
    for (const value of set.values()) bytes += value.length;
    return bytes <= limits.sessionBytes && count + set.size <= limits.attributes;
  }

  /** A change of the grant: first names go, then values come. */
  apply({ set, delete: removed }: Changes, grant: GrantRecord, seq: number): void {
    grant.seq = seq;
    if (set.size === 0 && removed.length === 0) return;
    const { attributes } = this.record!;
    const version: Version = [...grant.token, seq];
    this.record!.version = version;
    for (const name of removed) {
      const old = attributes.get(name);
      if (!old) continue;
      this.bytes -= old.bytes.length;
      attributes.delete(name);
      this.set.delete(name);
      this.removed.add(name);
    }
    for (const [name, bytes] of set) {
      this.bytes += bytes.length - (attributes.get(name)?.bytes.length ?? 0);
      attributes.set(name, { bytes, version });
      this.removed.delete(name);
      this.set.add(name);
    }
  }

  /** The whole state for a holder with a copy of version `known`: what it lacks, and the names of what it has. */
  since(known: Version | undefined): { set: Map<string, Uint8Array>; keep: string[] } {
    const trusted = known && this.had(known) ? known : undefined;
    const set = new Map<string, Uint8Array>();
    const keep: string[] = [];
    for (const [name, { bytes, version }] of this.record!.attributes) {
      if (trusted && compareVersions(version, trusted) <= 0) keep.push(name);
      else set.set(name, bytes);
    }
    return { set, keep };
  }

  /** The record as it is now, and which of its attributes changed since the last call. */
  takeWrite(ttlMs: number): RecordWrite {
    const { id: session, record } = this;
    const write = { session, record, set: [...this.set], delete: [...this.removed] };
    const was = record ? record.mark : this.removedMark;
    this.set = new Set();
    this.removed = new Set();
    if (!record) return { ...write, expires: { was, is: undefined } };
    if (was !== undefined && !this.moved) return write;
    this.moved = false;
    record.mark = Math.ceil(this.nextMark ?? this.dueAt(ttlMs));
    this.nextMark = undefined;
    return { ...write, expires: { was, is: record.mark } };
  }

  /**
   * Whether this state grew out of that version. It may never have been: a power loss takes back what a holder has a copy of (race 7), and what was sent under a lock
   * that was revoked is not applied. Only the version that the record has, and changes of grants that it remembers, are sure.
   */
  private had(known: Version): boolean {
    const { version, ended } = this.record!;
    const age = compareVersions(known, version);
    if (age >= 0) return age === 0;
    const [epoch, n, seq] = known;
    return ended.some((grant) => sameToken(grant.token, [epoch, n]) && seq <= grant.seq);
  }
}
