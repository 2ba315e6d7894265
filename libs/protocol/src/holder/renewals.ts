/**
 * When a holder renews with which partition, what it repeats until it arrives, and how it reports the use of
 * its sessions (rules 8, 9, 12 and 15).
 */
import { limits } from '../wire/limits.js';
import { noChanges, type Cancel, type Release, type SessionAge } from '../wire/messages.js';
import { sameToken, type Now, type Token } from '../wire/order.js';
import { partitionOf } from '../wire/session-id.js';
import type { HeldLock } from './held-lock.js';
import type { HolderState } from './holder-state.js';

/** A session in use is touched this often within its time to live. */
const touchesPerTtl = 8;

export class Renewals {
  /** Partitions with a message that a renewal must still follow. */
  private readonly owing = new Set<number>();
  /** How often sessions in use are touched, in milliseconds, and when they last were. */
  private touchMs = Infinity;
  private touchedAt = 0;

  constructor(private readonly state: HolderState) {}

  /** A full renewal. */
  renew(partition: number, now: Now, touches?: readonly SessionAge[]): void {
    for (const message of this.state.leases.renewal(partition, now, touches))
      this.state.send(partition, message);
  }

  renewWhatIsDue(now: Now): void {
    for (const partition of this.state.leases.due(now)) this.renew(partition, now);
  }

  renewAll(now: Now): void {
    for (const partition of this.state.leases.needed()) this.renew(partition, now);
  }

  /** Asks for a lease and about the locks in doubt, unless that was done just now. */
  askFor(partition: number, now: Now): void {
    if (this.state.leases.shouldAsk(partition, now)) this.renew(partition, now);
  }

  /**
   * Sends a message without an answer of its own. If it were lost, a session would stay locked for a holder
   * that does not know it (rule 12).
   */
  sendUntilHeard(partition: number, message: Cancel | Release): void {
    this.state.leases.repeatUntilHeard(partition, message);
    this.state.send(partition, message);
    this.owing.add(partition);
  }

  /** Asks the store to answer the messages since the last renewal. */
  renewOwing(partition: number): void {
    if (this.owing.delete(partition)) this.state.send(partition, this.state.leases.bareRenewal(partition));
  }

  renewAllOwing(): void {
    for (const partition of this.owing) this.renewOwing(partition);
  }

  /**
   * Answers a grant or recall that fits nothing here by an empty release, unless a message under its token is
   * in flight.
   */
  giveBack(id: string, token: Token, partition: number): void {
    const session = this.state.sessions.get(id);
    if (session?.inFlight.some(({ lock }) => sameToken(lock.token, token))) return;
    const wait = session?.wait;
    if (wait && this.state.rules.isAbove(token, wait.returned)) wait.returned = token;
    this.state.counters.returns++;
    this.sendUntilHeard(partition, { kind: 'release', session: id, token, seq: 0, ...noChanges });
  }

  /** The store keeps sessions for this time. It sets how often they are touched. */
  learnTtl(ttlMs: number): void {
    this.touchMs = ttlMs / touchesPerTtl;
  }

  /** Reports the used sessions to the stores, if it is time to. */
  touchWhatIsDue(now: Now): void {
    if (!this.state.rules.isTouchDue(now.mono - this.touchedAt, this.touchMs)) return;
    this.touchedAt = now.mono;
    this.touch(this.used(), now);
  }

  /**
   * The store must not count a session as unused when it does not know of its last use yet. A use shortly
   * after the last one that it knows of changes little, and is not reported. So few of many sessions are.
   */
  touchBeforeLeave(now: Now): void {
    this.touch(
      this.used((lock) => this.isTouchDue(lock, now)),
      now,
    );
  }

  touchBeforeRelease(lock: HeldLock, now: Now): void {
    if (lock.used && this.isTouchDue(lock, now)) this.touch([lock], now);
  }

  private isTouchDue(lock: HeldLock, now: Now): boolean {
    return this.state.rules.isTouchDue(now.mono - lock.touchedAt, this.touchMs);
  }

  private used(counts: (lock: HeldLock) => boolean = () => true): HeldLock[] {
    const locks: HeldLock[] = [];
    for (const { lock } of this.state.sessions.values()) if (lock?.used && counts(lock)) locks.push(lock);
    return locks;
  }

  private touch(locks: readonly HeldLock[], now: Now): void {
    const touches = new Map<number, [string, number][]>();
    for (const lock of locks) {
      lock.used = lock.inside > 0;
      lock.touchedAt = now.mono;
      const partition = partitionOf(lock.session, this.state.parameters.partitions);
      const list = touches.get(partition);
      if (list) list.push([lock.session, 0]);
      else touches.set(partition, [[lock.session, 0]]);
    }
    for (const [partition, list] of touches) {
      for (let at = 0; at < list.length; at += limits.listed) {
        this.renew(partition, now, list.slice(at, at + limits.listed));
      }
    }
  }
}
