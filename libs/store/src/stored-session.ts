/**
 * A session's record in the words of the protocol, and in those of the repository, which knows bytes alone.
 */
import {
  attributeRowBytes,
  decodeAttribute,
  decodeHead,
  encodeAttribute,
  encodeHead,
  type RecordWrite,
} from '#protocol';
import type { SessionWrite, StoredSession } from '#repository';

export function toRepository({ session, record, set, removed, expires }: RecordWrite): SessionWrite {
  const moves = expires && { expires };
  if (!record) return { session, head: undefined, set: new Map(), removed: [], ...moves };
  const rows = new Map<string, Uint8Array>();
  for (const name of set) {
    const attribute = record.attributes.get(name)!;
    rows.set(name, encodeAttribute(attribute, Buffer.allocUnsafe(attributeRowBytes(attribute))));
  }
  return { session, head: encodeHead(record), set: rows, removed, ...moves };
}

export function fromRepository(stored: StoredSession | undefined) {
  if (!stored) return undefined;
  const rows = [...stored.attributes].map(([name, row]) => [name, decodeAttribute(row)] as const);
  return { ...decodeHead(stored.head), attributes: new Map(rows) };
}
