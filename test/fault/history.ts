/**
 * What a run leaves behind: what every request asked for and was answered, what its scope saw inside the app server, which faults there were, and
 * what was left at the end. Plain data, kept as lines of JSON, so that a run can be judged, and judged again, after it is over.
 */
import { writeFile } from 'node:fs/promises';
import type { LockedSessionErrorCode } from '#locked-session';
import type { Token } from '#protocol';

/** Milliseconds of the machine's monotonic clock, which all its processes share. */
export const moment = (): number => Number(process.hrtime.bigint()) / 1e6;

export const attributes = ['a', 'b'] as const;
export type Attribute = (typeof attributes)[number];

/** What a scope does: puts marks on lists, one way or another, or only reads. */
export const tasks = ['append', 'both', 'whole', 'nested', 'commits', 'slow', 'read', 'stay'] as const;
export type Task = (typeof tasks)[number];

/** What an app server is asked to do. Its marks are `<id>` on every attribute that it writes; `commits` makes `<id>+` after its commit. */
export interface Order {
  readonly id: string;
  readonly session: string;
  readonly task: Task;
  /** Written by `append`, `commits`, `slow` and `stay`. */
  readonly attribute: Attribute;
  /** How long the handler stays inside. */
  readonly forMs: number;
  readonly waitMs?: number;
}

/** The order, and what came of it for the client. */
export interface Request extends Order {
  readonly server: string;
  readonly begin: number;
  end: number;
  /** The code of a documented error, or what else it was answered. */
  code?: LockedSessionErrorCode | 'connection-broke' | (string & {});
}

/** Notes of an app server, written down as they happen: what stands there is known even when the process is killed at once. */
export type Note = Entry | { readonly kind: 'committed' | 'left'; readonly id: string; readonly at: number };

/** A scope has begun, under this token, with these attributes locked. */
export interface Entry {
  readonly kind: 'entered';
  readonly id: string;
  readonly session: string;
  readonly at: number;
  readonly token: Token;
  readonly write: readonly Attribute[];
  readonly read: readonly Attribute[];
  readonly saw: Partial<Record<Attribute, Seen>>;
}

/** A list, told by how much of the list that this process noted last for the same attribute it begins with. */
export interface Seen {
  readonly same: number;
  readonly more: readonly string[];
}

/** A scope as the notes tell it. */
export interface Visit {
  readonly id: string;
  readonly session: string;
  readonly token: Token;
  readonly write: readonly Attribute[];
  readonly read: readonly Attribute[];
  readonly saw: Partial<Record<Attribute, readonly string[]>>;
  readonly entered: number;
  committed?: number;
  left?: number;
}

export interface Fault {
  readonly kind: string;
  readonly target: string;
  readonly begin: number;
  end: number;
}

export interface History {
  readonly seed: number;
  readonly requests: readonly Request[];
  readonly visits: ReadonlyMap<string, Visit>;
  readonly faults: readonly Fault[];
  /** What an app server that was never disturbed read at the end. */
  readonly left: ReadonlyMap<string, Readonly<Record<Attribute, readonly string[]>>>;
}

/** The visits that one process noted. A last line that was cut off by the end of the process does not count. */
export function visitsOf(notes: string): Visit[] {
  const visits = new Map<string, Visit>();
  const lists = new Map<string, readonly string[]>();
  for (const line of notes.split('\n').slice(0, -1)) {
    const note = JSON.parse(line) as Note;
    if (note.kind !== 'entered') {
      const visit = visits.get(note.id)!;
      visit[note.kind] = note.at;
      continue;
    }
    const { id, session, token, write, read, at } = note;
    const saw: Partial<Record<Attribute, readonly string[]>> = {};
    for (const attribute of attributes) {
      const seen = note.saw[attribute];
      if (!seen) continue;
      const key = `${session} ${attribute}`;
      const list = [...(lists.get(key) ?? []).slice(0, seen.same), ...seen.more];
      lists.set(key, list);
      saw[attribute] = list;
    }
    visits.set(id, { id, session, token, write, read, saw, entered: at });
  }
  return [...visits.values()];
}

export async function keep({ seed, requests, visits, faults, left }: History, file: string): Promise<void> {
  const lines = [
    { seed },
    ...faults.map((fault) => ({ fault })),
    ...requests.map((request) => ({ request, visit: visits.get(request.id) })),
    ...[...left].map(([session, lists]) => ({ session, left: lists })),
  ];
  await writeFile(file, lines.map((line) => JSON.stringify(line)).join('\n') + '\n');
}
