/**
 * The record of a session, in memory and in the repository. It has a head (version, grant, ended grants) and
 * the attributes, each with the version of its last change. The head is written together with the data, in
 * one transaction (rule 6).
 */
import { pack as packValue, Unpackr } from 'msgpackr';
import * as field from '../wire/fields.js';
import { FrameError, shown } from '../wire/fields.js';
import type { Token, Version } from '../wire/order.js';

export interface SessionRecord {
  version: Version;
  /** The holder of the lock. */
  grant: GrantRecord | undefined;
  /** Ended grants, oldest first. Repeats of their changes get the original answer. */
  ended: EndedGrant[];
  /** When the session was last used, by the wall clock in milliseconds (rule 15). */
  touched: number;
  /** Its entry in the repository's expiry index. It may lag behind `touched`. */
  expiryEntry: number | undefined;
  /** Until when a destroyed session stays destroyed, by the wall clock (rule 14). */
  destroyed: number | undefined;
  readonly attributes: Map<string, StoredAttribute>;
}

export interface GrantRecord {
  readonly token: Token;
  readonly holder: string;
  /** The acquire that this grant answers. Only a repeat of that one gets the grant again. */
  readonly request: number;
  /** Where the store reached the holder when it granted. */
  readonly queue: string;
  /** The last seq applied. */
  seq: number;
  /**
   * The store took the lock away, but the holder may still use it. The store applies no change and grants the
   * lock to no other holder (rule 10).
   */
  revoked: boolean;
}

export interface EndedGrant {
  readonly token: Token;
  readonly holder: string;
  readonly seq: number;
}

export interface StoredAttribute {
  readonly bytes: Uint8Array;
  readonly version: Version;
}

/**
 * A session's record as it is now, and the attributes that changed since the last flush. Without a record the
 * session is removed.
 */
export interface RecordWrite {
  readonly session: string;
  readonly record: SessionRecord | undefined;
  readonly set: readonly string[];
  readonly removed: readonly string[];
  /** The session's entry in the expiry index moves. */
  readonly expires?: { readonly was: number | undefined; readonly is: number | undefined };
}

type Head = Omit<SessionRecord, 'attributes'>;

const headLayout = 2;

export function encodeHead(head: Head): Uint8Array {
  const { version, grant, ended, touched, expiryEntry, destroyed } = head;
  return packValue([
    headLayout,
    version,
    grant ? [grant.token, grant.holder, grant.request, grant.queue, grant.seq, grant.revoked] : null,
    ended.map(({ token, holder, seq }) => [token, holder, seq]),
    touched,
    expiryEntry ?? null,
    destroyed ?? null,
  ]);
}

/** Throws a `FrameError` when the bytes have no head in a layout that this program knows. */
export function decodeHead(bytes: Uint8Array): Head {
  const head = unpackHead(bytes);
  if (!Array.isArray(head)) throw new FrameError("a session's head is not a list");
  if (head[0] !== headLayout) {
    throw new FrameError(
      `a session's head has layout ${shown(head[0])}: this program knows ${headLayout} alone`,
    );
  }
  const [, version, grant, ended, touched, expiryEntry, destroyed] = tuple(head, 7);
  if (!Array.isArray(ended)) throw new FrameError('ended grants are not a list');
  return {
    version: field.stored.version.read(version),
    grant: grant === null ? undefined : decodeGrant(grant),
    ended: ended.map((wire) => {
      const [token, holder, seq] = tuple(wire, 3);
      return {
        token: field.stored.token.read(token),
        holder: field.id.read(holder),
        seq: field.stored.count.read(seq),
      };
    }),
    touched: field.stored.count.read(touched),
    expiryEntry: field.optional(field.stored.count).read(expiryEntry),
    destroyed: field.optional(field.stored.count).read(destroyed),
  };
}

/** A whole record in one piece of memory, which takes much less of it than the record's many objects. */
export function packRecord({ attributes, ...head }: SessionRecord): Uint8Array {
  const rows = Array.from(attributes, ([name, { bytes, version }]) => [name, bytes, version]);
  return new Uint8Array(packValue([encodeHead(head), rows])); // alone: the library's own buffer is larger
}

/** What was packed. The values stay in its piece of memory. */
export function unpackRecord(bytes: Uint8Array): SessionRecord {
  const [head, rows] = unpackr.unpack(bytes) as [Uint8Array, [string, Uint8Array, Version][]];
  const attributes = rows.map(([name, value, version]) => [name, { bytes: value, version }] as const);
  return { ...decodeHead(head), attributes: new Map(attributes) };
}

/** How long an attribute's row is. */
export const attributeRowBytes = ({ bytes }: StoredAttribute): number => versionBytes + bytes.length;

/**
 * An attribute's row. It has 24 bytes of version (three big-endian 64-bit counts), then the value. `row` has
 * `attributeRowBytes`, and the caller may take it from a pool.
 */
export function encodeAttribute(
  attribute: StoredAttribute,
  row: Uint8Array = new Uint8Array(attributeRowBytes(attribute)),
): Uint8Array {
  const { bytes, version } = attribute;
  for (let i = 0; i < 3; i++) {
    const part = version[i]!;
    writeHalf(row, 8 * i, Math.floor(part / 0x1_0000_0000));
    writeHalf(row, 8 * i + 4, part >>> 0);
  }
  row.set(bytes, versionBytes);
  return row;
}

/** 32 bits, big-endian. An array of bytes takes what is above each of them for nothing. */
function writeHalf(row: Uint8Array, at: number, half: number): void {
  row[at] = half >>> 24;
  row[at + 1] = half >>> 16;
  row[at + 2] = half >>> 8;
  row[at + 3] = half;
}

export function decodeAttribute(row: Uint8Array): StoredAttribute {
  if (row.length < versionBytes) throw new FrameError(`an attribute's row of ${row.length} bytes`);
  const view = new DataView(row.buffer, row.byteOffset, versionBytes);
  const part = (i: number) => Number(view.getBigUint64(8 * i));
  return { bytes: row.subarray(versionBytes), version: [part(0), part(1), part(2)] };
}

const versionBytes = 24;
const unpackr = new Unpackr({ useRecords: false });

function unpackHead(bytes: Uint8Array): unknown {
  try {
    return unpackr.unpack(bytes);
  } catch (error) {
    throw new FrameError("a session's head is not MessagePack, or cut short", { cause: error });
  }
}

function decodeGrant(wire: unknown): GrantRecord {
  const [token, holder, request, queue, seq, revoked] = tuple(wire, 6);
  return {
    token: field.stored.token.read(token),
    holder: field.id.read(holder),
    request: field.stored.count.read(request),
    queue: field.queue.read(queue),
    seq: field.stored.count.read(seq),
    revoked: field.flag.read(revoked),
  };
}

function tuple(wire: unknown, length: number): unknown[] {
  if (!Array.isArray(wire) || wire.length !== length) throw new FrameError(`no tuple of ${length}`);
  return wire;
}
