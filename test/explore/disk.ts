/**
 * The explored repository: what is written, as the machines' drivers write it. A write names the rows that it
 * changes, and only these change. A disk is a value, so that it can be put back as a power failure or an old
 * backup does.
 */
import type { RecordWrite, SessionRecord } from '#protocol';
import { copyOf } from './graph.js';

export interface Disk {
  readonly epoch: number;
  /** The epoch before it. */
  readonly previous: number;
  /** The longest lease that any owner has granted, in milliseconds. */
  readonly longestLeaseMs: number;
  readonly records: ReadonlyMap<string, SessionRecord>;
}

export const emptyDisk: Disk = { epoch: 0, previous: 0, longestLeaseMs: 0, records: new Map() };

/** Rule 13: the epoch is the time, or more. */
export function claim(disk: Disk, floor: number, leaseMs: number): Disk {
  const longestLeaseMs = Math.max(disk.longestLeaseMs, leaseMs);
  return { ...disk, previous: disk.epoch, epoch: Math.max(disk.epoch + 1, floor), longestLeaseMs };
}

export function apply(disk: Disk, writes: readonly RecordWrite[]): Disk {
  if (writes.length === 0) return disk;
  const records = new Map(disk.records);
  for (const { session, record, set, removed } of writes) {
    if (!record) {
      records.delete(session);
      continue;
    }
    const attributes = new Map(records.get(session)?.attributes);
    for (const name of removed) attributes.delete(name);
    for (const name of set) attributes.set(name, record.attributes.get(name)!);
    records.set(session, copyOf({ ...record, attributes }));
  }
  return { ...disk, records };
}
