/** The net changes of many applies as rows of LevelDB, for one batch that it writes whole or not at all. */
import { NetChanges, type BatchLimits, type NetChange } from '../net-changes.js';
import type { SessionWrite } from '../repository.js';
import { keys, nothing, type Rows } from './rows.js';

export class LevelBatch {
  private readonly changes = new NetChanges();
  /** The keys that a removed session has in the database, by the first key of its range. */
  private readonly stored = new Map<string, readonly string[]>();

  /** `stored`: the keys in the database of each session that the writes remove. */
  add(
    partition: number,
    writes: readonly SessionWrite[],
    stored?: ReadonlyMap<string, readonly string[]>,
  ): void {
    this.changes.add(partition, writes);
    for (const [session, found] of stored ?? []) this.stored.set(keys.session(partition, session).gte, found);
  }

  get isEmpty(): boolean {
    return this.changes.isEmpty;
  }

  isFull(limits: BatchLimits): boolean {
    return this.changes.isFull(limits);
  }

  /** LevelDB takes rows in their order, so one that is removed and put is there in the end. */
  writeTo(rows: Rows): void {
    for (const [partition, session, change] of this.changes) {
      if (change.removed)
        for (const key of this.stored.get(keys.session(partition, session).gte)!) rows.del(key);
      writeChange(rows, partition, session, change);
    }
  }
}

function writeChange(
  rows: Rows,
  partition: number,
  session: string,
  { head, attributes, expires, formerMarks }: NetChange,
): void {
  for (const mark of formerMarks) rows.del(keys.mark(partition, mark, session));
  if (head) rows.put(keys.head(partition, session), head);
  for (const [name, value] of attributes)
    if (!value) rows.del(keys.attribute(partition, session, name));
    else if (head) rows.put(keys.attribute(partition, session, name), value);
  if (head && expires?.is !== undefined) rows.put(keys.mark(partition, expires.is, session), nothing);
}
