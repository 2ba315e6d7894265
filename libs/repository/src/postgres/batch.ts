/**
 * The net changes of many applies as one statement, which also asks for the epoch of each partition that is
 * named. What is sent consists of digits: ids, names and values are written in hexadecimal.
 */
import { NetChanges, type BatchLimits } from '../net-changes.js';
import type { SessionWrite } from '../repository.js';

export class PostgresBatch {
  /** By partition: the epoch of its owner, or 0, which is nobody's, where it is only asked for. */
  private readonly epochs = new Map<number, number>();
  private readonly changes = new NetChanges();

  /** Names a partition, so that its epoch is told. */
  ask(partition: number): void {
    if (!this.epochs.has(partition)) this.epochs.set(partition, 0);
  }

  /** `epoch` is that of the partition's owner: there is one of them in a batch. */
  add(partition: number, epoch: number, writes: readonly SessionWrite[]): void {
    this.epochs.set(partition, epoch);
    this.changes.add(partition, writes);
  }

  isFull(limits: BatchLimits): boolean {
    return this.changes.isFull(limits);
  }

  /** Yields rows of `partition`, `epoch` and `claimed`. */
  statement(schema: string, durability: 'process' | 'disk'): string {
    const removedSessions: [number, string][] = [];
    const heads: [number, string, string, boolean, number | null][] = [];
    const removed: [number, string, string][] = [];
    const set: [number, string, string, string][] = [];
    for (const [partition, session, change] of this.changes) {
      const id = hex(session);
      if (change.removed) removedSessions.push([partition, id]);
      if (!change.head) continue;
      const { expires } = change;
      heads.push([partition, id, hex(change.head), expires !== undefined, expires?.is ?? null]);
      for (const [name, value] of change.attributes)
        if (value) set.push([partition, id, hex(name), hex(value)]);
        else removed.push([partition, id, hex(name)]);
    }
    const columns = [
      ...columnsOf([...this.epochs], 2),
      ...columnsOf(removedSessions, 2),
      ...columnsOf(heads, 5),
      ...columnsOf(removed, 3),
      ...columnsOf(set, 4),
    ];
    return `SELECT * FROM ${schema}.apply(${durability === 'disk'}, ${columns.join(', ')})`;
  }
}

type Cell = string | number | boolean | null;

/** Literals of arrays, one for each column of `rows`. */
function columnsOf(rows: readonly (readonly Cell[])[], width: number): string[] {
  return Array.from({ length: width }, (_, column) => `'{${rows.map((row) => cell(row[column]!)).join()}}'`);
}

/** An empty one would be no element. */
const cell = (value: Cell) => (value === '' ? '""' : String(value));

/** The call that loads sessions. Yields rows of `id`, `name` (null for the head) and `value`. */
export const loading = (schema: string, partition: number, ids: readonly string[]): string =>
  `SELECT * FROM ${schema}.load(${BigInt(partition)}::int, ${columnsOf(
    ids.map((id) => [hex(id)]),
    1,
  ).join()})`;

const hex = (of: string | Uint8Array) =>
  (typeof of === 'string' ? Buffer.from(of) : Buffer.from(of.buffer, of.byteOffset, of.byteLength)).toString(
    'hex',
  );
