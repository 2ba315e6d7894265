/**
 * A session's record in the words of the protocol, and in those of the repository, which knows bytes alone.
 */
import { decodeAttribute, decodeHead, encodeAttribute, encodeHead, type RecordWrite } from '#protocol';
import type { SessionWrite, StoredSession } from '#repository';

export function toRepository({ session, record, set, removed, expires }: RecordWrite): SessionWrite {
  const moves = expires && { expires };
  if (!record) return { session, head: undefined, set: new Map(), removed: [], ...moves };
  const rows = set.map((name): [string, Uint8Array] => [name, encodeAttribute(record.attributes.get(name)!)]);
  return { session, head: encodeHead(record), set: new Map(rows), removed, ...moves };
}

export function fromRepository(stored: StoredSession | undefined) {
  if (!stored) return undefined;
  const rows = [...stored.attributes].map(([name, row]) => [name, decodeAttribute(row)] as const);
  return { ...decodeHead(stored.head), attributes: new Map(rows) };
}
