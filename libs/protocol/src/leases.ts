/**
 * What a holder may rely on, partition by partition (rules 8 and 9): how long its lease runs there and which of its locks are in doubt. And where it
 * shows itself, and when: to partitions where it has something, and to those that do not surely know where it is reached now and what it has given
 * up. For a lock whose grant went astray is given back only by a holder that the store's recall can reach (rules 4 and 12).
 */
import { limits } from './limits.js';
import type { Cancel, HolderMessage, Release, Renewed, SessionAge, SessionToken } from './messages.js';
import { sameToken, type Now, type Token } from './order.js';

/** A lock of the holder. */
export interface LeasedLock {
  readonly session: string;
  readonly token: Token;
  /** Under which count of doubts it was granted or confirmed last. */
  trust: number;
}

export interface LeaseRules {
  /** How often the holder renews at most, in milliseconds; it does so three times in a lease at least. */
  readonly renewMs: number;
  /** A partition without a running lease is asked for one this often, in milliseconds. */
  readonly repeatMs: number;
}

/** A holder trusts this much of a lease: the rest is for clocks that run at different rates (rule 8). */
const trusted = 0.9;
/** However short a lease is said to be, it is not renewed more often than this, in milliseconds. */
const leastRenewMs = 30;
/** Most renewals of a partition whose answer is looked for, the latest first. */
const mostAsked = 16;
/** Most messages of a partition that are said again; beyond it the oldest are left to chance. */
const mostSaid = 1_000;

interface Asked {
  readonly n: number;
  readonly at: Now;
  readonly doubts: number;
  readonly reclaimed: readonly LeasedLock[];
}

class Lease {
  /** Of the last renewal. */
  n = 0;
  sentAt = -Infinity;
  /** Renewals that are not answered yet, oldest first. */
  asked: Asked[] = [];
  /** When the renewal was sent that the store answered last. Undefined when the lease has run out, or may be somebody else's business. */
  from: Now | undefined;
  leaseMs = Infinity;
  epoch = 0;
  /** Counts what put the locks in doubt: a lease that ran out, a new connection, a new epoch (rule 9). */
  doubts = 0;
  readonly locks = new Set<LeasedLock>();
  /** Sessions that the holder has here, or waits for. */
  sessions = 0;
  /** What has no answer of its own, and the renewal with which it was said first: said again with each one until one since is answered. */
  said: { readonly message: Cancel | Release; readonly n: number }[] = [];

  /** `unheard`: since the connection stands nothing came from here, so that this store may know the queue of an old one only. */
  constructor(public unheard: boolean) {}

  runs(now: Now): boolean {
    const { from } = this;
    if (!from) return false;
    const ageMs = Math.max(now.mono - from.mono, now.wall - from.wall);
    if (ageMs < trusted * this.leaseMs) return true;
    this.doubt();
    return false;
  }

  /** How often it is renewed while all is well, in milliseconds. */
  get calmMs(): number {
    return Math.max(leastRenewMs, this.leaseMs / 3);
  }

  doubt(): void {
    this.from = undefined;
    this.doubts++;
  }

  get doubted(): LeasedLock[] {
    return [...this.locks].filter(({ trust }) => trust !== this.doubts);
  }
}

export class Leases {
  /** Every partition that was ever asked for something. Partition 0 from the start, so that a missing store is noticed before somebody waits. */
  private readonly partitions = new Map([[0, new Lease(true)]]);

  constructor(private readonly rules: LeaseRules) {}

  /** A session more, or one less, in a partition. */
  count(partition: number, change: 1 | -1): void {
    this.of(partition).sessions += change;
  }

  /** Whether the lease runs: only then a grant is accepted, or a lock used. */
  runs(partition: number, now: Now): boolean {
    return this.of(partition).runs(now);
  }

  /** Whether the lock may be used now without asking. */
  trusts(partition: number, lock: LeasedLock, now: Now): boolean {
    const lease = this.of(partition);
    return lease.runs(now) && lock.trust === lease.doubts;
  }

  /** A lock is granted: trusted from the start if the lease runs, else to be confirmed. */
  hold(partition: number, lock: LeasedLock, now: Now): boolean {
    const lease = this.of(partition);
    lease.locks.add(lock);
    const runs = lease.runs(now);
    if (runs) lock.trust = lease.doubts;
    return runs;
  }

  drop(partition: number, lock: LeasedLock): void {
    this.of(partition).locks.delete(lock);
  }

  /** A new connection, with another queue. */
  connected(): void {
    for (const lease of this.partitions.values()) {
      lease.unheard = true;
      lease.asked = [];
      lease.doubt();
    }
  }

  /** Something came from a store of this epoch: whether it owns the partition since we heard it last, still, or no more (rule 13). */
  heard(partition: number, epoch: number): 'new' | 'same' | 'stale' {
    const lease = this.partitions.get(partition);
    if (!lease) return 'stale'; // it was never asked, and has nothing to say
    const before = lease.epoch;
    if (epoch < before) return 'stale';
    lease.epoch = epoch;
    lease.unheard = false;
    if (epoch === before || before === 0) return 'same';
    lease.doubt();
    return 'new';
  }

  /**
   * A renewal is answered: the lease runs on from when that was sent, and everything that was said before it has been heard. Of the locks that it reclaimed those are told
   * that are confirmed now, and those that are lost.
   */
  answered(partition: number, { n, leaseMs, valid = [] }: Renewed, now: Now): Verdict {
    const lease = this.of(partition);
    lease.said = lease.said.filter((one) => one.n > n);
    lease.runs(now); // a lease that ran out before the answer came leaves its locks in doubt, however fresh the new one is
    const asked = lease.asked.find((one) => one.n === n);
    lease.asked = lease.asked.filter((one) => one.n > n);
    lease.leaseMs = leaseMs;
    if (!asked) return { confirmed: [], lost: [] };
    lease.from = asked.at;
    if (!lease.runs(now)) return { confirmed: [], lost: [] };
    const tokens = new Map(valid);
    const held = asked.reclaimed.filter((lock) => lease.locks.has(lock));
    const isValid = ({ session, token }: LeasedLock) => {
      const found = tokens.get(session);
      return found !== undefined && sameToken(found, token);
    };
    const confirmed = asked.doubts === lease.doubts ? held.filter(isValid) : [];
    for (const lock of confirmed) lock.trust = lease.doubts;
    return { confirmed, lost: held.filter((lock) => !isValid(lock)) };
  }

  /** A message that must be heard though it has no answer of its own is being sent: a renewal must follow, and it is said again with each one until one since is answered. */
  said(partition: number, message: Cancel | Release): void {
    const lease = this.of(partition);
    lease.said.push({ message, n: lease.n + 1 });
    if (lease.said.length > mostSaid) lease.said.shift();
  }

  /** A renewal, after what is not surely heard. Locks in doubt are reclaimed by it. */
  renewal(partition: number, now: Now, touches?: readonly SessionAge[]): HolderMessage[] {
    const lease = this.of(partition);
    lease.runs(now);
    const messages: HolderMessage[] = lease.said.map(({ message }) => message);
    const { doubted } = lease;
    let at = 0;
    do {
      messages.push(this.renew(lease, now, doubted.slice(at, at + limits.listed), touches));
      touches = undefined;
    } while ((at += limits.listed) < doubted.length);
    return messages;
  }

  /** A renewal and nothing more. */
  bareRenewal(partition: number, now: Now): HolderMessage {
    return this.renew(this.of(partition), now, []);
  }

  /** The partitions to be renewed now. */
  due(now: Now): number[] {
    return [...this.needed()].filter((partition) => {
      const lease = this.of(partition);
      return now.mono - lease.sentAt >= this.everyMs(lease, now);
    });
  }

  /** Whether the partition is to be asked at once about what is in doubt: it was not since the doubt came up, or some time ago. */
  shouldAsk(partition: number, now: Now): boolean {
    const { asked, doubts, sentAt } = this.of(partition);
    return asked.at(-1)?.doubts !== doubts || now.mono - sentAt >= this.rules.repeatMs;
  }

  /** The partitions that are to be renewed at all. */
  *needed(): Generator<number> {
    for (const [partition, { sessions, unheard, said }] of this.partitions) {
      if (sessions > 0 || unheard || said.length > 0) yield partition;
    }
  }

  /** Every partition that may know this holder. */
  known(): Iterable<number> {
    return this.partitions.keys();
  }

  /** The shortest time after which something may be due, in milliseconds. */
  get shortestMs(): number {
    const leases = [...this.partitions.values()].map(({ calmMs }) => calmMs);
    return Math.min(this.rules.renewMs, this.rules.repeatMs, ...leases);
  }

  private everyMs(lease: Lease, now: Now): number {
    const calmMs = Math.min(this.rules.renewMs, lease.calmMs);
    const calm = lease.runs(now) && lease.doubted.length === 0;
    return calm ? calmMs : Math.min(calmMs, this.rules.repeatMs);
  }

  private renew(
    lease: Lease,
    now: Now,
    reclaimed: readonly LeasedLock[],
    touches?: readonly SessionAge[],
  ): HolderMessage {
    const n = ++lease.n;
    lease.sentAt = now.mono;
    lease.asked.push({ n, at: now, doubts: lease.doubts, reclaimed });
    if (lease.asked.length > mostAsked) lease.asked.shift();
    const reclaim = reclaimed.map(({ session, token }): SessionToken => [session, token]);
    return { kind: 'renew', n, touches, ...(reclaim.length > 0 && { reclaim }) };
  }

  private of(partition: number): Lease {
    let lease = this.partitions.get(partition);
    if (!lease) this.partitions.set(partition, (lease = new Lease(false)));
    return lease;
  }
}

export interface Verdict {
  readonly confirmed: readonly LeasedLock[];
  readonly lost: readonly LeasedLock[];
}
