/**
 * The history of a run: each request with its answer, each scope inside an app server, the faults, and the
 * sessions at the end. It is plain data, kept as lines of JSON, so that a run can be judged again later.
 */
import { writeFile } from 'node:fs/promises';
import type { LockedSessionErrorCode } from '#locked-session';
import type { Token } from '#protocol';

/** Milliseconds of the machine's monotonic clock, which all its processes share. */
export const moment = (): number => Number(process.hrtime.bigint()) / 1e6;

export const attributes = ['a', 'b'] as const;
export type Attribute = (typeof attributes)[number];

/** A scope's work: it appends marks to lists in one of several ways, or only reads. */
const tasks = ['append', 'both', 'whole', 'nested', 'commits', 'slow', 'read', 'stay'] as const;
export type Task = (typeof tasks)[number];

/**
 * An order to an app server. Its mark is `<id>` in each attribute that it writes. `commits` makes `<id>+`
 * after its commit.
 */
export interface Order {
  readonly id: string;
  readonly session: string;
  readonly task: Task;
  /** Written by `append`, `commits`, `slow` and `stay`. */
  readonly attribute: Attribute;
  /** The handler's time inside. */
  readonly forMs: number;
  readonly waitMs?: number;
}

export function append(session: string, id: string): Order {
  return { id, session, task: 'append', attribute: 'a', forMs: 0 };
}

/** An order and its answer. */
export interface Request extends Order {
  readonly server: string;
  readonly begin: number;
  end: number;
  /** The code of a documented error, or another answer. */
  code?: LockedSessionErrorCode | 'connection-broke' | (string & {});
}

/** Notes of an app server. They are written at once, so that a kill does not lose them. */
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

/** A list, as the length of its common beginning with the list that this process noted last, and the rest. */
export interface Seen {
  readonly same: number;
  readonly more: readonly string[];
}

/** A scope by its notes. */
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
  /** The sessions that an undisturbed app server read at the end. */
  readonly left: ReadonlyMap<string, Readonly<Record<Attribute, readonly string[]>>>;
}

/** The visits that one process noted. A last line that a kill cut off does not count. */
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
