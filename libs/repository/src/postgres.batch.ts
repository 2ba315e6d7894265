/**
 * What many applies come to, as one statement: each row once, however often it changed, and of every partition that is
 * named the epoch. What is sent consists of digits: ids, names and values are written in hexadecimal.
 */
import type { SessionWrite } from './repository.js';

export class PostgresBatch {
  private readonly partitions = new Map<number, Share>();
  count = 0;
  bytes = 0;

  /** Names a partition, so that its epoch is told. */
  ask(partition: number): void {
    if (!this.partitions.has(partition)) this.partitions.set(partition, { epoch: 0, sessions: new Map() });
  }

  /** `epoch` is that of the partition's owner: there is one of them in a batch. */
  add(partition: number, epoch: number, writes: readonly SessionWrite[]): void {
    this.ask(partition);
    const share = this.partitions.get(partition)!;
    share.epoch = epoch;
    for (const write of writes) this.change(share.sessions, write);
  }

  /** Yields rows of `partition` and `epoch`. */
  statement(schema: string, durability: 'process' | 'disk'): string {
    const asked = Array.from(this.partitions, ([partition, { epoch }]) => [partition, epoch] as const);
    const removed: [number, string][] = [];
    const heads: [number, string, string, boolean, number | null][] = [];
    const deleted: [number, string, string][] = [];
    const set: [number, string, string, string][] = [];
    for (const [partition, { sessions }] of this.partitions)
      for (const [session, change] of sessions) {
        const id = hex(session);
        if (change.removed) removed.push([partition, id]);
        if (!change.head) continue;
        heads.push([partition, id, hex(change.head), change.moved, change.mark ?? null]);
        for (const [name, value] of change.attributes)
          if (value) set.push([partition, id, hex(name), hex(value)]);
          else deleted.push([partition, id, hex(name)]);
      }
    const columns = [
      ...columnsOf(asked, 2),
      ...columnsOf(removed, 2),
      ...columnsOf(heads, 5),
      ...columnsOf(deleted, 3),
      ...columnsOf(set, 4),
    ];
    return `SELECT partition, epoch FROM ${schema}.apply(${durability === 'disk'}, ${columns.join(', ')})`;
  }

  private change(
    sessions: Map<string, Change>,
    { session, head, set, delete: names, expires }: SessionWrite,
  ) {
    let change = sessions.get(session);
    if (!change || !head) {
      change = { removed: !head, head, moved: false, mark: undefined, attributes: new Map() };
      sessions.set(session, change);
    }
    this.count += 1 + names.length + set.size;
    this.bytes += session.length + (head?.length ?? 0);
    if (!head) return;
    change.head = head;
    for (const name of names) change.attributes.set(name, undefined);
    for (const [name, value] of set) {
      change.attributes.set(name, value);
      this.bytes += name.length + value.length;
    }
    if (expires) [change.moved, change.mark] = [true, expires.is];
  }
}

interface Share {
  /** 0, which is nobody's, for a partition that is only asked for. */
  epoch: number;
  readonly sessions: Map<string, Change>;
}

interface Change {
  /** First of all, with everything that is stored. */
  readonly removed: boolean;
  head: Uint8Array | undefined;
  moved: boolean;
  mark: number | undefined;
  /** By name: undefined deletes. */
  readonly attributes: Map<string, Uint8Array | undefined>;
}

type Cell = string | number | boolean | null;

/** Literals of arrays, one for each column of `rows`. */
function columnsOf(rows: readonly (readonly Cell[])[], width: number): string[] {
  return Array.from({ length: width }, (_, column) => `'{${rows.map((row) => cell(row[column]!)).join()}}'`);
}

/** An empty one would be no element. */
const cell = (value: Cell) => (value === '' ? '""' : String(value));

const hex = (of: string | Uint8Array) =>
  (typeof of === 'string' ? Buffer.from(of) : Buffer.from(of.buffer, of.byteOffset, of.byteLength)).toString(
    'hex',
  );
