/**
 * The rows in which the embedded repository keeps its state, and how changes of sessions become rows. A session is
 * one range of keys, and a row of the expiry index where it has a mark; a space never occurs in a session id, so no
 * two keys can be taken for each other. A change writes the head and what differs among the attributes and the index,
 * nothing else.
 *
 *     layout                               {"version":1,"program":"0.1.0"}
 *     deployment                           {"partitions":64,"hash":1}
 *     partition <p>                        {"epoch":7,"longestLeaseMs":5000}
 *     due <p> <mark, of 16 digits> <id>    nothing: the mark is in the key, so that the keys are in its order
 *     session <p> <id> attribute <name>    a value
 *     session <p> <id> head                a head
 *     synced                               nothing: written when a sync has nothing else to write
 */
import type { DueSession, SessionWrite, StoredSession } from './repository.js';

export const keys = {
  layout: 'layout',
  deployment: 'deployment',
  synced: 'synced',
  partitions: { gte: 'partition ', lt: 'partition!' },
  partition: (partition: number) => `partition ${partition}`,
  session: (partition: number, id: string) => {
    const own = `session ${partition} ${id}`;
    return { gte: `${own} `, lt: `${own}!` }; // '!' comes right after the space
  },
  mark: (partition: number, expires: number, id: string) => `due ${partition} ${digits(expires)} ${id}`,
  marks: (partition: number, before: number) => ({
    gte: `due ${partition} `,
    lt: `due ${partition} ${digits(before)}!`,
  }),
};

/** Padded to the length of the largest safe integer, marks sort as text as they do as numbers. */
const digits = (mark: number) => String(mark).padStart(16, '0');
const HEAD = 'head';
const ATTRIBUTE = 'attribute ';
const NOTHING = new Uint8Array();

/** The version of this layout, and the oldest program that reads it: they rise together. */
export const LAYOUT = { version: 1, program: '0.1.0' };

export type Row =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: string };

/** A row of JSON: all rows are but those of sessions. */
export const put = (key: string, value: unknown): Row => ({
  type: 'put',
  key,
  value: Buffer.from(JSON.stringify(value)),
});

/** What `put` wrote. */
export const parse = (value: Uint8Array) => JSON.parse(Buffer.from(value).toString()) as unknown;

/** The session whose range begins with `prefix` and holds `rows`; none where there is no head. */
export function sessionOf(
  prefix: string,
  rows: [key: string, value: Uint8Array][],
): StoredSession | undefined {
  let head: Uint8Array | undefined;
  const attributes = new Map<string, Uint8Array>();
  for (const [key, value] of rows) {
    if (key === prefix + HEAD) head = value;
    else attributes.set(key.slice(prefix.length + ATTRIBUTE.length), value);
  }
  return head && { head, attributes };
}

/** What a key of `keys.mark` says. */
export function dueOf(key: string): DueSession {
  const [, , expires, session] = key.split(' ') as [string, string, string, string];
  return { session, expires: Number(expires) };
}

/** What many changes come to: each row once, however often it changed. */
export class SessionRows {
  /** By session, so that a removal finds what was set just before it: key → value, or undefined to delete. */
  private readonly sessions = new Map<string, Map<string, Uint8Array | undefined>>();
  count = 0;
  bytes = 0;

  /** `stored`: the keys that the session has in the database, needed where the change removes it. */
  add(
    partition: number,
    { session, head, set, delete: names, expires }: SessionWrite,
    stored: readonly string[] = [],
  ): void {
    const prefix = keys.session(partition, session).gte;
    let rows = this.sessions.get(prefix);
    if (!rows) this.sessions.set(prefix, (rows = new Map<string, Uint8Array | undefined>()));
    if (head) {
      for (const name of names) this.change(rows, prefix + ATTRIBUTE + name, undefined);
      for (const [name, value] of set) this.change(rows, prefix + ATTRIBUTE + name, value);
      this.change(rows, prefix + HEAD, head);
    } else {
      for (const key of [...stored, ...rows.keys()]) this.change(rows, key, undefined);
    }
    // In this order, for the two may be one row.
    if (expires?.was !== undefined) this.change(rows, keys.mark(partition, expires.was, session), undefined);
    if (head && expires?.is !== undefined)
      this.change(rows, keys.mark(partition, expires.is, session), NOTHING);
  }

  private change(
    rows: Map<string, Uint8Array | undefined>,
    key: string,
    value: Uint8Array | undefined,
  ): void {
    rows.set(key, value);
    this.count += 1;
    this.bytes += key.length + (value?.length ?? 0);
  }

  *[Symbol.iterator](): Generator<Row> {
    for (const rows of this.sessions.values())
      for (const [key, value] of rows) yield value ? { type: 'put', key, value } : { type: 'del', key };
  }
}
