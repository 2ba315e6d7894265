/**
 * What a partition's owner knows of the holders: where each is reached, and how long its lease runs (rules 8 and 10). A lease is only ever counted for too long
 * here, never for too short: a holder may be taken for alive that is gone, but not the other way.
 */
import type { Now } from './order.js';

export interface HolderLeaseRules {
  /** How long a holder may trust its locks without an answer, in milliseconds. */
  readonly leaseMs: number;
  /** What becomes of a holder whose queue is gone: nothing before its lease has run out, or it is revoked at once. */
  readonly unreachableHolder: 'wait-for-lease' | 'revoke';
}

/** How an owner came by its partition. */
export interface Ownership {
  /** When it claimed the partition, by its monotonic clock. */
  readonly since: number;
  /** The longest lease that any owner has granted, in milliseconds. */
  readonly longestLeaseMs: number;
}

interface Holder {
  queue: string;
  /** When its last renewal came, by the monotonic clock. */
  renewedAt: number;
  /** Its queue was gone when something was sent there. */
  unreachable: boolean;
  /** It has said that it leaves: its name is never used again. */
  left: boolean;
}

/** Holders that are remembered, the latest heard first. */
const remembered = 10_000;

export class Holders {
  /** Least recently heard first. */
  private readonly holders = new Map<string, Holder>();
  /** When holders that are not known here count as renewed; those that are, no earlier than that. */
  private floor = this.ownership.since;
  private heardAt = this.ownership.since;

  constructor(
    private readonly rules: HolderLeaseRules,
    private readonly ownership: Ownership,
  ) {}

  /** A frame has come. If that was long ago, the way here was blocked: whoever lives could not say so, and counts as just renewed (rule 10). */
  heard(name: string, queue: string, now: Now): void {
    if (this.isDeaf(now)) this.floor = now.mono;
    this.heardAt = now.mono;
    const known = this.holders.get(name);
    const holder = known ?? { queue, renewedAt: this.floor, unreachable: false, left: false };
    if (holder.queue !== queue) holder.unreachable = false;
    holder.queue = queue;
    this.holders.delete(name);
    this.holders.set(name, holder);
    if (this.holders.size <= remembered) return;
    const [oldest, { renewedAt }] = this.holders.entries().next().value!;
    this.floor = Math.max(this.floor, renewedAt);
    this.holders.delete(oldest);
  }

  renewed(name: string, now: Now): void {
    const holder = this.holders.get(name)!;
    holder.renewedAt = now.mono;
    holder.unreachable = false;
  }

  left(name: string): void {
    this.holders.get(name)!.left = true;
  }

  /** Whether the holder has said that it leaves, as far as it is remembered. */
  hasLeft(name: string): boolean {
    return this.holders.get(name)?.left ?? false;
  }

  /** Where the holder is reached now; undefined when this owner has not heard of it. */
  queueOf(name: string): string | undefined {
    return this.holders.get(name)?.queue;
  }

  /** The queue is gone. A holder that was never heard of is only known by the queue of its grant: `named`. */
  unreachable(queue: string, named: Iterable<string>): void {
    for (const holder of this.holders.values()) if (holder.queue === queue) holder.unreachable = true;
    for (const name of named) {
      if (!this.holders.has(name))
        this.holders.set(name, { queue, renewedAt: this.ownership.since, unreachable: true, left: false });
    }
  }

  /** When the holder's lease will have run out, by the monotonic clock, if nothing more is heard of it. */
  leaseEnd(name: string, now: Now): number {
    const { since, longestLeaseMs } = this.ownership;
    // An earlier owner may have granted longer leases than this one.
    const leaseMs = now.mono - since < longestLeaseMs ? longestLeaseMs : this.rules.leaseMs;
    return Math.max(this.floor, this.holders.get(name)?.renewedAt ?? this.floor) + leaseMs;
  }

  /** Whether the holder surely trusts its locks no more, or may be treated so. */
  hasLapsed(name: string, now: Now): boolean {
    const holder = this.holders.get(name);
    if (holder?.left) return true;
    if (holder?.unreachable && this.rules.unreachableHolder === 'revoke') return true;
    return !this.isDeaf(now) && this.leaseEnd(name, now) <= now.mono;
  }

  /** Nothing has come from anybody for so long that the way here may be blocked, or this process was paused: nobody can be called silent. */
  protected isDeaf(now: Now): boolean {
    return now.mono - this.heardAt > this.rules.leaseMs / 2;
  }
}
