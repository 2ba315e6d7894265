/**
 * The rows of the embedded repository. A session has one range of keys, and a row of the expiry index when it
 * has a mark. A session id has no space, so each key is read in one way only. A change writes the head, the
 * changed attributes and the changed mark, and nothing else.
 *
 *     layout                               {"version":1,"program":"0.1.0"}
 *     deployment                           {"partitions":64,"hash":1}
 *     partition <p>                        {"epoch":1795000000000,"longestLeaseMs":5000}
 *     due <p> <mark, of 16 digits> <id>    nothing: the mark is in the key, so that the keys are in its order
 *     session <p> <id> attribute <name>    a value
 *     session <p> <id> head                a head
 *     synced                               how often this was synced: 17
 */
import type { Claim, DueSession, StoredSession } from '../repository.js';

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
  head: (partition: number, id: string) => `session ${partition} ${id} ${HEAD}`,
  attribute: (partition: number, id: string, name: string) =>
    `session ${partition} ${id} ${ATTRIBUTE}${name}`,
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

/** The value of an entry of the expiry index. */
export const nothing = new Uint8Array();

/** The version of this layout, and the oldest program that reads it. They rise together. */
export const LAYOUT = { version: 1, program: '0.1.0' };

/** What a partition's row says. */
export type PartitionRow = Omit<Claim, 'previous'>;

/** Where rows of one batch go. Each takes effect after those before it. */
export interface Rows {
  put(key: string, value: Uint8Array): unknown;
  del(key: string): unknown;
}

/** The value of a row of JSON, like all rows but those of sessions. */
export const json = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value));

/** What `json` wrote. */
export const parse = (value: Uint8Array) => JSON.parse(Buffer.from(value).toString()) as unknown;

/** The session whose range begins with `prefix` and has these rows. Undefined without a head. */
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
