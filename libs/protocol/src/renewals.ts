/**
 * Where a holder shows itself, and when: to partitions where it has something, and to those that do not surely know where it is reached now and
 * what it has given up. For a lock whose grant went astray is given back only by a holder that the store's recall can reach (rules 4 and 12).
 */
import type { Cancel, HolderMessage, Release, SessionAge } from './messages.js';
import type { Now } from './order.js';

interface Renewed {
  /** Of the last renewal. */
  n: number;
  sentAt: number;
  /** Sessions that the holder has here. */
  sessions: number;
  /** Since the connection stands nothing came from here: this store may know the queue of an old one only. */
  unheard: boolean;
  /** What has no answer of its own, and the renewal with which it was said first: said again with each one until one since is answered. */
  said: { readonly message: Cancel | Release; readonly n: number }[];
}

/** Most messages of a partition that are said again; beyond it the oldest are left to chance. */
const mostSaid = 1_000;

export class Renewals {
  /** Every partition that was ever asked for something. Partition 0 from the start, so that a missing store is noticed before somebody waits. */
  private readonly partitions = new Map([[0, unknown()]]);

  constructor(private readonly renewMs: number) {}

  /** A session more, or one less, in a partition. */
  count(partition: number, change: 1 | -1): void {
    this.of(partition).sessions += change;
  }

  /** A new connection, with another queue. */
  connected(): void {
    for (const renewed of this.partitions.values()) renewed.unheard = true;
  }

  /** Something came from the partition's store. */
  heard(partition: number): void {
    this.of(partition).unheard = false;
  }

  /** The renewal with this number is answered, and so everything that was said before it has been heard. */
  answered(partition: number, n: number): void {
    const renewed = this.of(partition);
    renewed.said = renewed.said.filter((one) => one.n > n);
  }

  /** A message that must be heard though it has no answer of its own: it travels with a renewal. */
  withRenewal(partition: number, message: Cancel | Release): HolderMessage[] {
    const renewed = this.of(partition);
    renewed.said.push({ message, n: ++renewed.n });
    if (renewed.said.length > mostSaid) renewed.said.shift();
    return [message, { kind: 'renew', n: renewed.n }];
  }

  /** What to say to the partition now: the renewal, after what is not surely heard. */
  renewal(partition: number, now: Now, touches?: readonly SessionAge[]): HolderMessage[] {
    const renewed = this.of(partition);
    renewed.sentAt = now.mono;
    const renew = { kind: 'renew', n: ++renewed.n, touches } as const;
    return [...renewed.said.map(({ message }) => message), renew];
  }

  /** The partitions to be renewed, of those that were not for `renewMs`. */
  due(now: Now): number[] {
    return [...this.needed()].filter((partition) => now.mono - this.of(partition).sentAt >= this.renewMs);
  }

  /** The partitions that are to be renewed at all. */
  *needed(): Generator<number> {
    for (const [partition, { sessions, unheard, said }] of this.partitions) {
      if (sessions > 0 || unheard || said.length > 0) yield partition;
    }
  }

  private of(partition: number): Renewed {
    let renewed = this.partitions.get(partition);
    if (!renewed) this.partitions.set(partition, (renewed = { ...unknown(), unheard: false }));
    return renewed;
  }
}

function unknown(): Renewed {
  return { n: 0, sentAt: 0, sessions: 0, unheard: true, said: [] };
}
