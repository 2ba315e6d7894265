/**
 * What a partition's owner knows of the holders: where it reaches each of them, and how long each lease runs
 * (rules 8 and 10). The store may overestimate a lease. It never underestimates one.
 */
import { Hearing } from './hearing.js';
import type { HolderLeaseParameters, Ownership } from './parameters.js';
import type { StoreRules } from './rules.js';
import type { Now } from '../wire/order.js';

interface Holder {
  queue: string;
  /** When its last renewal came, by the monotonic clock. */
  renewedAt: number;
  /** A message to its queue came back. */
  unreachable: boolean;
  /** It has said that it leaves. Its name is never used again. */
  left: boolean;
}

/** How many holders are remembered. The latest ones stay. */
const remembered = 10_000;

export class HolderLeases {
  /** In the order of their last frames, the oldest first. */
  private readonly holders = new Map<string, Holder>();
  /** Holders that are not known here count as renewed at this time. */
  private assumedRenewedAt = this.ownership.since;
  /** How far this owner has read its queue. */
  readonly hearing: Hearing;

  constructor(
    private readonly parameters: HolderLeaseParameters,
    private readonly ownership: Ownership,
    private readonly rules: StoreRules,
  ) {
    this.hearing = new Hearing(parameters, rules);
  }

  /** A frame has come. A holder that is new to this owner counts as just renewed. */
  received(name: string, queue: string, now: Now): void {
    const known = this.holders.get(name);
    const holder = known ?? { queue, renewedAt: now.mono, unreachable: false, left: false };
    if (holder.queue !== queue) holder.unreachable = false;
    holder.queue = queue;
    this.holders.delete(name);
    this.holders.set(name, holder);
    if (this.holders.size <= remembered) return;
    const [oldest, { renewedAt }] = this.holders.entries().next().value!;
    this.assumedRenewedAt = Math.max(this.assumedRenewedAt, renewedAt);
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

  /** Whether the holder has said that it leaves, as far as the owner remembers. */
  hasLeft(name: string): boolean {
    return this.holders.get(name)?.left ?? false;
  }

  /** Where the owner reaches the holder now. Undefined when no frame of the holder has come. */
  queueOf(name: string): string | undefined {
    return this.holders.get(name)?.queue;
  }

  /**
   * The queue is gone. A holder without a frame yet is known by the queue of its grant alone. It is one of
   * `named`.
   */
  unreachable(queue: string, named: Iterable<string>): void {
    for (const holder of this.holders.values()) if (holder.queue === queue) holder.unreachable = true;
    for (const name of named) {
      if (!this.holders.has(name))
        this.holders.set(name, { queue, renewedAt: this.assumedRenewedAt, unreachable: true, left: false });
    }
  }

  /** When the holder's lease will have run out, by the monotonic clock, if no more renewals come. */
  leaseEnd(name: string, now: Now): number {
    const { since, longestLeaseMs } = this.ownership;
    const leaseMs = this.rules.leaseMsAfter(now.mono - since, longestLeaseMs, this.parameters.leaseMs);
    const renewedAt = this.holders.get(name)?.renewedAt ?? this.assumedRenewedAt;
    return Math.max(renewedAt, this.hearing.sparedAt) + leaseMs;
  }

  /** Whether the holder certainly does not trust its locks any more, or may be treated so. */
  hasLapsed(name: string, now: Now): boolean {
    const { rules, parameters } = this;
    return rules.hasLapsed(this.holders.get(name), parameters.unreachableHolder, () =>
      this.hearing.hasPassed(this.leaseEnd(name, now), now),
    );
  }
}
