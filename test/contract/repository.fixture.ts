/** An open repository for the contract of `SessionRepository`, and its sessions as text. */
import type { SessionRepository, SessionWrite, StoredSession } from '#repository';

export interface Fixture {
  /** Open and empty. */
  readonly repository: SessionRepository;
  /** Closes the repository and opens it again: for adapters whose state outlives their process. */
  reopen?(): Promise<SessionRepository>;
  dispose(): Promise<void>;
}

export const deployment = { partitions: 4, hash: 1, leaseMs: 5_000 };

/** A session as text: its head and its attributes. */
export type Text = readonly [head: string, attributes: Readonly<Record<string, string>>];

/** A change of one session. A null head removes the session, a null attribute removes the attribute. */
export function write(
  session: string,
  head: string | null,
  attributes: Readonly<Record<string, string | null>> = {},
  expires?: SessionWrite['expires'],
): SessionWrite {
  const set = new Map<string, Uint8Array>();
  const deleted: string[] = [];
  for (const [name, value] of Object.entries(attributes))
    if (value === null) deleted.push(name);
    else set.set(name, Buffer.from(value));
  return {
    session,
    head: head === null ? undefined : Buffer.from(head),
    set,
    removed: deleted,
    ...(expires && { expires }),
  };
}

/** The sessions of `ids` that exist. */
export async function stored(
  repository: SessionRepository,
  partition: number,
  ids: readonly string[],
): Promise<Record<string, Text>> {
  const sessions = await repository.load(partition, ids);
  return Object.fromEntries(Array.from(sessions, ([id, session]) => [id, asText(session)]));
}

/** Entries of the expiry index: those due before a time, up to a limit. */
export async function marks(
  repository: SessionRepository,
  partition: number,
  { before = Number.MAX_SAFE_INTEGER, limit = 100 } = {},
): Promise<[session: string, expires: number][]> {
  const due = await repository.due(partition, before, limit);
  return due.map(({ session, expires }) => [session, expires]);
}

function asText({ head, attributes }: StoredSession): Text {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();
  return [text(head), Object.fromEntries(Array.from(attributes, ([name, value]) => [name, text(value)]))];
}
