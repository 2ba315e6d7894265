/** What a holder does under its locks: changes, each of which is said again until it is answered (rule 6), and touches (rule 15). */
import { alter, holdBack, takeUnsent, type Grip } from './grip.js';
import { HolderDesk, type Session } from './holder-desk.js';
import type { HeldGrant } from './holder-outputs.js';
import { limits } from './limits.js';
import { noChanges } from './messages.js';
import type { Changes, RefusalReason, Refused } from './messages.js';
import { sameToken, type Now, type Token } from './order.js';
import { partitionOf } from './session-id.js';

/** A session that is used is touched this often within its time to live. */
export const touchesPerTtl = 8;

export abstract class HolderChanges extends HolderDesk {
  /** How often used sessions are touched, in milliseconds; and when it was done last. */
  protected touchMs = Infinity;
  protected touchedAt = 0;

  /**
   * Changes the state under a held lock. Sent at once, or with write-back when `flush` is called, the store recalls the lock, or `writeBackMs` have passed. Returns
   * the seq to wait for.
   */
  commit(grant: HeldGrant, changes: Changes, now: Now): number {
    this.counters.commits++;
    const grip = this.gripped(grant).grip!;
    const seq = alter(grip, changes);
    if (this.rules.writeBackMs === 0) {
      this.change(grip, 'commit', changes, now);
    } else {
      holdBack(grip, changes, now);
      this.unsent.add(grip);
    }
    return seq;
  }

  /** Sends what is held back. The seq to wait for is `grant.seq` afterwards. */
  flush(grant: HeldGrant, now: Now): void {
    const { grip } = this.gripped(grant);
    if (grip!.unsent) this.change(grip!, 'commit', noChanges, now);
  }

  /** Has the store say that the lock is still held: once the seq that is returned is acknowledged, all was true that was read before (rule 8). */
  prove(grant: HeldGrant, now: Now): number {
    const { grip } = this.gripped(grant);
    return this.change(grip!, 'commit', noChanges, now);
  }

  /** Gives a held lock back, with last changes. */
  release(grant: HeldGrant, changes: Changes, now: Now): void {
    this.counters.releases++;
    const session = this.gripped(grant);
    const grip = session.grip!;
    // The store must not take a session for unused whose use it was not told of yet (rule 15).
    if (grip.used && now.mono - grip.touchedAt >= this.touchMs) this.touch([grip], now);
    alter(grip, changes);
    this.change(grip, 'release', changes, now);
    this.letGo(session);
    session.known = grip;
  }

  /** Ends a held session for good (rule 14). The seq to wait for is `grant.seq` afterwards. */
  destroy(grant: HeldGrant, now: Now): void {
    const session = this.gripped(grant);
    session.grip!.unsent = undefined;
    this.change(session.grip!, 'destroy', noChanges, now);
    this.letGo(session);
  }

  /** The lock is lost. What was sent under it may be applied all the same: first its answer must come, which tells. True when the lock is lost now. */
  protected loseWhenAnswered(id: string, token: Token, now: Now): boolean {
    const session = this.sessions.get(id);
    const isOpen = session?.flights.some((flight) => sameToken(flight.grip.token, token)) ?? false;
    if (isOpen) this.repeatChanges(session!, now, this.rules.repeatMs / 4);
    else this.lose(id, token, 'ended');
    return !isOpen;
  }

  // Changes: rule 6. -----------------------------------------------------------------------------------------------------

  /** Sends changes that are made already, with those that were held back. */
  protected change(grip: Grip, kind: 'commit' | 'release' | 'destroy', changes: Changes, now: Now): number {
    const session = this.sessions.get(grip.session)!;
    const { token } = grip;
    const all = takeUnsent(grip, changes, now);
    this.unsent.delete(grip);
    const head = { session: session.id, token, seq: ++grip.seq };
    const message = kind === 'destroy' ? ({ kind, ...head } as const) : ({ kind, ...head, ...all } as const);
    if (kind === 'commit') grip.touchedAt = now.mono;
    if (session.flights.length === 0) session.flightsSentAt = now.mono;
    session.flights.push({ grip, message });
    this.unanswered.add(session);
    this.send(session.partition, message);
    return grip.seq;
  }

  protected answered(id: string, token: Token, through: number): void {
    const session = this.sessions.get(id);
    const first = session?.flights.find((flight) => sameToken(flight.grip.token, token));
    if (!session || !first) return;
    const { grip } = first;
    const before = grip.acknowledged;
    session.flights = session.flights.filter((flight) => {
      if (flight.grip !== grip || flight.message.seq > through) return true;
      grip.acknowledged = Math.max(grip.acknowledged, flight.message.seq);
      return false;
    });
    if (grip.acknowledged > before) this.events.push({ kind: 'acknowledged', grant: grip });
    this.settle(session);
  }

  protected changeRefused(
    { session: id, seq = 0, why, appliedThrough }: Refused,
    token: Token,
    partition: number,
    now: Now,
  ): void {
    if (appliedThrough !== undefined) this.answered(id, token, appliedThrough);
    if (why !== 'gap') this.lose(id, token, why);
    if (why === 'ended') this.giveBack(id, token, partition);
    if (why !== 'gap') return;
    const session = this.sessions.get(id);
    const flight = session?.flights.find(
      ({ grip, message }) => sameToken(grip.token, token) && message.seq === seq,
    );
    if (!session || !flight) return; // answered by now
    // The store once said more: a power loss took it back, and nothing that follows can be applied any more.
    if (appliedThrough !== undefined && appliedThrough < flight.grip.acknowledged)
      return this.lose(id, token, 'outcome-unknown');
    // Each change behind a gap is refused: one of those refusals is enough to send all again.
    this.repeatChanges(session, now, this.rules.repeatMs / 4);
  }

  protected lose(id: string, token: Token, why: RefusalReason): void {
    const session = this.sessions.get(id);
    if (session?.offer && sameToken(session.offer.token, token)) return this.withdraw(session);
    const mine = (grip: Grip | undefined) => grip !== undefined && sameToken(grip.token, token);
    const grip = mine(session?.grip)
      ? session?.grip
      : session?.flights.find((flight) => mine(flight.grip))?.grip;
    if (!session || !grip) return;
    const isWritten = !grip.unsent && !session.flights.some((flight) => flight.grip === grip);
    session.flights = session.flights.filter((flight) => flight.grip !== grip);
    if (session.grip === grip) this.letGo(session);
    if (session.known === grip) session.known = undefined;
    this.unsent.delete(grip);
    const madeAreLost = this.rules.writeBackMs > 0 && !isWritten;
    this.events.push({ kind: 'lost', grant: grip, why, madeAreLost });
    this.settle(session);
  }

  /** Sends again, in order, what was last sent `ageMs` ago or longer. */
  protected repeatChanges(session: Session, now: Now, ageMs: number): void {
    const { flights, partition } = session;
    if (flights.length === 0 || now.mono - session.flightsSentAt < ageMs) return;
    session.flightsSentAt = now.mono;
    this.counters.repeats += flights.length;
    for (const { message } of flights) this.send(partition, message);
  }

  /** Tells the store what was used since it heard last (rule 15). */
  protected touch(grips: readonly Grip[], now: Now): void {
    const touches = new Map<number, [string, number][]>();
    for (const grip of grips) {
      grip.used = grip.inside > 0;
      grip.touchedAt = now.mono;
      const partition = partitionOf(grip.session, this.rules.partitions);
      const list = touches.get(partition);
      if (list) list.push([grip.session, 0]);
      else touches.set(partition, [[grip.session, 0]]);
    }
    for (const [partition, list] of touches) {
      for (let at = 0; at < list.length; at += limits.listed) {
        this.renew(partition, now, list.slice(at, at + limits.listed));
      }
    }
  }
}
