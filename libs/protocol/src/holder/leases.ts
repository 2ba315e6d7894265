/**
 * What a holder may rely on in each partition (rules 8 and 9): how long its lease runs there, and which of
 * its locks are in doubt. A holder renews with each partition where it holds or waits. It also renews with
 * each partition that may not know its queue, its cancels or its empty releases yet. The reason is a grant
 * that went astray. Only a holder that receives the store's recall can return its lock (rules 4 and 12).
 */
import { limits } from '../wire/limits.js';
import type { Cancel, HolderMessage, Release, ReclaimedLock, Renewed, SessionAge } from '../wire/messages.js';
import type { Now, Token } from '../wire/order.js';
import type { LeaseParameters } from './parameters.js';
import type { HolderRules } from './rules.js';

/** A lock of the holder. */
export interface LeasedLock {
  readonly session: string;
  readonly token: Token;
  /** The last seq under it that the store acknowledged. */
  readonly acknowledged: number;
  /** The generation in which it was last granted or confirmed. */
  confirmed: number;
  /** The store does not count it as the holder's any more. The holder never trusts it again (rule 11). */
  revoked: boolean;
}

/** A lease is not renewed more often than this, in milliseconds, however short it is. */
const leastRenewMs = 30;
/** Answers count for so many of the latest full renewals of a partition. */
const maxPending = 16;
/** So many messages of a partition are repeated. Older ones are dropped. */
const maxRepeated = 1_000;

/**
 * A full renewal. When the locks in doubt do not fit one list, it has several parts, and this is one of them.
 */
interface PendingRenewal {
  readonly n: number;
  /** The number of the first part. */
  readonly first: number;
  readonly at: Now;
  readonly generation: number;
  readonly reclaimed: readonly LeasedLock[];
}

class Lease {
  /** The number of the last renewal, full or bare. */
  n = 0;
  /** When the last full renewal was sent, by the monotonic clock. */
  sentAt = -Infinity;
  /**
   * Full renewals without an answer, oldest first. Bare ones are not here, since they must not hide doubts.
   */
  pending: PendingRenewal[] = [];
  /**
   * When the last answered renewal was sent. Undefined when the lease has run out, or when it may be the
   * lease of an earlier owner or connection.
   */
  startedAt: Now | undefined;
  leaseMs = Infinity;
  epoch = 0;
  /** Counts the causes of doubt: a lease that ran out, a new connection, a new epoch (rule 9). */
  generation = 0;
  /** A generation in which no lock is in doubt, so that they need not all be looked at again. */
  certain = -1;
  readonly locks = new Set<LeasedLock>();
  /** How many sessions the holder holds here, or waits for. */
  sessions = 0;
  /**
   * Messages without an answer of their own, each with the number of the renewal right behind it. Each full
   * renewal repeats them, until an answered renewal shows that they arrived.
   */
  repeated: { readonly message: Cancel | Release; readonly n: number }[] = [];

  /**
   * `unheard` says that no frame has come from here since the connection was made. This store may know only
   * an old queue.
   */
  constructor(
    public unheard: boolean,
    private readonly rules: HolderRules,
  ) {}

  runs(now: Now): boolean {
    const { startedAt } = this;
    if (!startedAt) return false;
    if (this.rules.leaseRuns(startedAt, this.leaseMs, now)) return true;
    this.doubt();
    return false;
  }

  /** How often the lease is renewed without trouble, in milliseconds. */
  get renewEveryMs(): number {
    return Math.max(leastRenewMs, this.leaseMs / 3);
  }

  /** Puts all locks here in doubt. */
  doubt(): void {
    this.startedAt = undefined;
    this.generation++;
  }

  get inDoubt(): LeasedLock[] {
    if (this.certain === this.generation) return [];
    const locks = [...this.locks].filter(
      ({ confirmed, revoked }) => !revoked && confirmed !== this.generation,
    );
    if (locks.length === 0) this.certain = this.generation;
    return locks;
  }
}

export class Leases {
  /**
   * Each partition that was ever asked for something. Partition 0 is here from the start. So a missing store
   * is noticed before a request waits.
   */
  private readonly partitions: Map<number, Lease>;

  constructor(
    private readonly parameters: LeaseParameters,
    private readonly rules: HolderRules,
  ) {
    this.partitions = new Map([[0, new Lease(true, rules)]]);
  }

  /** Adds or removes a session of a partition. */
  count(partition: number, change: 1 | -1): void {
    this.of(partition).sessions += change;
  }

  /** Whether the lease runs. A grant is accepted, and a lock is used, only while it does. */
  runs(partition: number, now: Now): boolean {
    return this.of(partition).runs(now);
  }

  /** Whether the lock may be used now without a question to the store. */
  trusts(partition: number, lock: LeasedLock, now: Now): boolean {
    const lease = this.of(partition);
    const runs = lease.runs(now);
    return this.rules.isTrusted(lock, runs, lock.confirmed === lease.generation);
  }

  /**
   * Adds a granted lock. It is trusted at once if the lease runs. Else the store must confirm it. Returns
   * whether the lease runs.
   */
  hold(partition: number, lock: LeasedLock, now: Now): boolean {
    const lease = this.of(partition);
    lease.locks.add(lock);
    const runs = lease.runs(now);
    if (runs) lock.confirmed = lease.generation;
    else lease.certain = -1;
    return runs;
  }

  drop(partition: number, lock: LeasedLock): void {
    this.of(partition).locks.delete(lock);
  }

  /** There is a new connection, with another queue. */
  connected(): void {
    for (const lease of this.partitions.values()) {
      lease.unheard = true;
      lease.pending = []; // their answers were on the old connection, with recalls that are lost
      lease.doubt();
    }
  }

  /**
   * A frame of this epoch has come from a store. Returns whether it is from a new owner of the partition, the
   * same one, or an earlier one (rule 13).
   */
  received(partition: number, epoch: number): 'new' | 'same' | 'stale' {
    const lease = this.partitions.get(partition);
    if (!lease) return 'stale'; // it was never asked, and has nothing to say
    const owner = this.rules.ownerOf(epoch, lease.epoch);
    if (owner === 'stale') return owner;
    lease.epoch = Math.max(lease.epoch, epoch);
    lease.unheard = false;
    if (owner === 'new') lease.doubt();
    return owner;
  }

  /**
   * A renewal is answered. After a full one the lease runs on from when that was sent, and the store has
   * received the messages that came with it. A bare one shows only that its own messages arrived. Returns
   * which of the reclaimed locks are confirmed now, and which are lost.
   */
  answered(partition: number, { n, leaseMs, valid = [], revoked }: Renewed, now: Now): ReclaimResult {
    const { rules } = this;
    const lease = this.of(partition);
    // If the lease ran out before the answer came, its locks are in doubt. A new lease does not change that.
    lease.runs(now);
    const renewal = lease.pending.find((one) => one.n === n);
    // Only the first part of a full renewal comes with all messages.
    const isFull = renewal?.first === n;
    lease.repeated = lease.repeated.filter((one) => !rules.isHeard(one.n, n, isFull));
    lease.pending = lease.pending.filter((one) => one.n > n);
    lease.leaseMs = leaseMs;
    const isInDoubt = renewal?.generation !== lease.generation;
    // The store may have revoked more locks than this list names (rule 9).
    if (rules.mayHideMore(revoked.length, limits.listed)) lease.doubt();
    if (!renewal) return { confirmed: [], lost: [] };
    lease.startedAt = renewal.at;
    if (!lease.runs(now)) return { confirmed: [], lost: [] };
    const tokens = new Map(valid);
    const held = renewal.reclaimed.filter((lock) => lease.locks.has(lock) && !lock.revoked);
    const isValid = ({ session, token }: LeasedLock) => rules.isConfirmed(token, tokens.get(session));
    const confirmed = isInDoubt ? [] : held.filter(isValid);
    for (const lock of confirmed) lock.confirmed = lease.generation;
    return { confirmed, lost: held.filter((lock) => !isValid(lock)) };
  }

  /** Registers a message without an answer of its own that must arrive. A renewal must follow it at once. */
  repeatUntilHeard(partition: number, message: Cancel | Release): void {
    const lease = this.of(partition);
    lease.repeated.push({ message, n: lease.n + 1 });
    if (lease.repeated.length > maxRepeated) lease.repeated.shift();
  }

  /** Stops the repeats of a message. */
  dropRepeated(partition: number, message: HolderMessage): void {
    const lease = this.of(partition);
    lease.repeated = lease.repeated.filter((one) => one.message !== message);
  }

  /**
   * A full renewal. The messages that may not have arrived come first. Then the renewal reclaims the locks in
   * doubt.
   */
  renewal(partition: number, now: Now, touches?: readonly SessionAge[]): HolderMessage[] {
    const lease = this.of(partition);
    lease.runs(now);
    const messages: HolderMessage[] = lease.repeated.map(({ message }) => message);
    const { inDoubt, generation } = lease;
    const first = lease.n + 1;
    let at = 0;
    do {
      const reclaimed = inDoubt.slice(at, at + limits.listed);
      const n = ++lease.n;
      lease.pending.push({ n, first, at: now, generation, reclaimed });
      const reclaim = reclaimed.map((lock): ReclaimedLock => [lock.session, lock.token, lock.acknowledged]);
      messages.push({ kind: 'renew', n, touches, ...(reclaim.length > 0 && { reclaim }) });
      touches = undefined;
    } while ((at += limits.listed) < inDoubt.length);
    lease.sentAt = now.mono;
    const [oldest] = [...new Set(lease.pending.map((one) => one.first))].slice(-maxPending);
    lease.pending = lease.pending.filter((one) => one.first >= oldest!);
    return messages;
  }

  /**
   * A bare renewal. It shows only whether the messages right before it arrived. It changes neither the lease
   * nor the doubts.
   */
  bareRenewal(partition: number): HolderMessage {
    return { kind: 'renew', n: ++this.of(partition).n };
  }

  /** The partitions to renew now. */
  due(now: Now): number[] {
    return [...this.needed()].filter((partition) => {
      const lease = this.of(partition);
      return now.mono - lease.sentAt >= this.everyMs(lease, now);
    });
  }

  /**
   * Whether to ask the partition now about the locks in doubt. Holds when it was not asked since the doubt
   * began, or was asked some time ago.
   */
  shouldAsk(partition: number, now: Now): boolean {
    const { pending, generation, sentAt } = this.of(partition);
    return pending.at(-1)?.generation !== generation || now.mono - sentAt >= this.parameters.repeatMs;
  }

  /** The partitions that the holder renews at all. */
  *needed(): Generator<number> {
    for (const [partition, { sessions, unheard, repeated }] of this.partitions) {
      if (sessions > 0 || unheard || repeated.length > 0) yield partition;
    }
  }

  /**
   * Whether the answer to a renewal must still confirm a message, or a store must still learn this holder's
   * queue.
   */
  get awaitAnswer(): boolean {
    for (const { unheard, repeated } of this.partitions.values())
      if (unheard || repeated.length > 0) return true;
    return false;
  }

  /** Each partition that may know this holder. */
  known(): Iterable<number> {
    return this.partitions.keys();
  }

  /** The highest known epoch of the partition. It is 0 when there is none (rule 13). */
  epochOf(partition: number): number {
    return this.partitions.get(partition)?.epoch ?? 0;
  }

  /** The shortest time, in milliseconds, after which work may be due. */
  get shortestMs(): number {
    const leases = [...this.partitions.values()].map(({ renewEveryMs }) => renewEveryMs);
    return Math.min(this.parameters.renewMs, this.parameters.repeatMs, ...leases);
  }

  /** For tests of its bounds: how many locks, messages and renewals are kept for each partition. */
  memory() {
    return Array.from(this.partitions, ([partition, { locks, repeated, pending }]) => ({
      partition,
      locks: locks.size,
      repeated: repeated.length,
      pending: pending.length,
    }));
  }

  private everyMs(lease: Lease, now: Now): number {
    const { renewMs, repeatMs } = this.parameters;
    const everyMs = Math.min(renewMs, lease.renewEveryMs);
    const isWell = lease.runs(now) && lease.inDoubt.length === 0;
    return isWell ? everyMs : Math.min(everyMs, repeatMs);
  }

  private of(partition: number): Lease {
    let lease = this.partitions.get(partition);
    if (!lease) this.partitions.set(partition, (lease = new Lease(false, this.rules)));
    return lease;
  }
}

export interface ReclaimResult {
  readonly confirmed: readonly LeasedLock[];
  readonly lost: readonly LeasedLock[];
}
