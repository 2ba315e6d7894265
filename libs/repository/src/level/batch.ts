/** The net changes of many applies as rows of LevelDB, for one batch that it writes whole or not at all. */
import { NetChanges, type BatchLimits, type NetChange } from '../net-changes.js';
import type { SessionWrite } from '../repository.js';
import { keys, nothing, type Row } from './rows.js';

export class LevelBatch {
  private readonly changes = new NetChanges();
  /** The keys that a removed session has in the database, by the first key of its range. */
  private readonly stored = new Map<string, readonly string[]>();

  /** `stored`: the keys in the database of each session that the writes remove. */
  add(
    partition: number,
    writes: readonly SessionWrite[],
    stored: ReadonlyMap<string, readonly string[]>,
  ): void {
    this.changes.add(partition, writes);
    for (const [session, found] of stored) this.stored.set(keys.session(partition, session).gte, found);
  }

  isFull(limits: BatchLimits): boolean {
    return this.changes.isFull(limits);
  }

  /** LevelDB takes them in their order, so a row that is removed and put is there in the end. */
  rows(): Row[] {
    return Array.from(this.changes, ([partition, session, change]) => {
      const stored = change.removed ? this.stored.get(keys.session(partition, session).gte)! : [];
      return [...removals(partition, session, change, stored), ...puts(partition, session, change)];
    }).flat();
  }
}

function removals(
  partition: number,
  session: string,
  { attributes, formerMarks }: NetChange,
  stored: readonly string[],
): Row[] {
  const names = [...attributes].filter(([, value]) => !value).map(([name]) => name);
  const removed = [
    ...stored,
    ...names.map((name) => keys.attribute(partition, session, name)),
    ...Array.from(formerMarks, (mark) => keys.mark(partition, mark, session)),
  ];
  return removed.map((key) => ({ type: 'del', key }));
}

function puts(partition: number, session: string, { head, attributes, expires }: NetChange): Row[] {
  if (!head) return [];
  const rows: Row[] = [{ type: 'put', key: keys.head(partition, session), value: head }];
  for (const [name, value] of attributes)
    if (value) rows.push({ type: 'put', key: keys.attribute(partition, session, name), value });
  if (expires?.is !== undefined)
    rows.push({ type: 'put', key: keys.mark(partition, expires.is, session), value: nothing });
  return rows;
}
