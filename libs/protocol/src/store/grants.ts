/**
 * The grants of each session's lock. A grant is made, sent again, reviewed while others wait, and ended
 * (rules 2, 3 and 12).
 */
import type { Acquire } from '../wire/messages.js';
import type { Now, Token } from '../wire/order.js';
import type { Expiry } from './expiry.js';
import type { PartitionState } from './partition-state.js';
import type { Recalls } from './recalls.js';
import type { GrantRecord } from './record.js';
import type { SessionState } from './session-state.js';

export class Grants {
  /** How many grants were made in this epoch. It is the second half of the next token. */
  private granted = 0;

  constructor(
    private readonly state: PartitionState,
    private readonly recalls: Recalls,
    private readonly expiry: Expiry,
  ) {}

  grant(session: SessionState, acquire: Acquire, holder: string, queue: string, now: Now): void {
    const token: Token = [this.state.epoch, ++this.granted];
    const { request, create } = acquire;
    const grant: GrantRecord = { token, holder, request, queue, seq: 0, revoked: false };
    this.countPass(session, holder, now);
    this.state.change(session, () => session.begin(grant, create, now.wall));
    this.state.counters.grants++;
    this.send(session, grant, acquire, queue, now);
  }

  /**
   * Sends a grant, with the part of the state that its holder lacks. A repeated request gets the same grant
   * again (rule 12).
   */
  send(
    session: SessionState,
    grant: GrantRecord,
    { mode, known }: Pick<Acquire, 'mode' | 'known'>,
    queue: string,
    now: Now,
  ): void {
    const { token, request, seq } = grant;
    const { id, record } = session;
    const { parameters, rules, waiters } = this.state;
    const isWaitedFor = waiters.of(session).length > 0;
    const untilIdle = rules.isPassedOn(session.passes, parameters.turnMs);
    // A holder that had its turn is asked back by a repeated grant, too.
    const contended = isWaitedFor && (!untilIdle || session.recalledAt !== undefined);
    if (contended) this.recalls.begin(session, now);
    const copy = known && rules.trustsCopy(record!, known) ? known : undefined;
    const { set, keep } = session.since((version) => copy !== undefined && rules.isInCopy(version, copy));
    const head = { kind: 'grant', session: id, request, token, mode, version: record!.version } as const;
    this.state.outputs.send(queue, { ...head, seq, set, keep, contended, ...(untilIdle && { untilIdle }) });
    if (isWaitedFor && !contended) this.recalls.ask(session, now);
  }

  /** Counts whether the lock goes from holder to holder (rule 23). */
  private countPass(session: SessionState, holder: string, { mono }: Now): void {
    const { granted } = session;
    session.granted = { at: mono, holder };
    if (!granted) return;
    const { rules } = this.state;
    session.passes = rules.passesAfter(session.passes, granted.holder === holder, mono - granted.at);
  }

  /** The lock goes to the first waiter that may have it (rule 2). */
  end(session: SessionState, grant: GrantRecord, now: Now): void {
    const { parameters, waiters } = this.state;
    this.state.change(session, () => session.end(grant, parameters.endedGrants));
    this.recalls.unwatch(session);
    this.recalls.forgetTurn(session);
    this.expiry.removeIfOver(session, now);
    for (let next; (next = waiters.next(session, now.mono));) {
      const { acquire, holder, queue } = next;
      if (session.record || acquire.create) return this.grant(session, acquire, holder, queue, now);
      this.state.refuse(queue, acquire, 'unknown-session');
    }
  }

  /**
   * Revokes the grant of a holder that may not keep it while others wait. The next holder gets the lock when
   * the last one has confirmed the revocation or its lease has run out (rule 10).
   */
  review(session: SessionState, now: Now): void {
    this.endIfLeft(session, now);
    const { grant } = session;
    const isWaitedFor = this.state.waiters.of(session).length > 0;
    if (!grant?.revoked && !session.expiring) this.recalls.unwatch(session);
    if (!grant) return;
    if (!grant.revoked) {
      const isWanted = isWaitedFor || session.expiring;
      const reason = isWanted ? this.recalls.revocationReason(session, grant, now) : undefined;
      if (!reason) return;
      if (!isWaitedFor && reason === 'lease-over') return this.expire(session, now);
      this.recalls.revoke(session, grant, reason);
    }
    if (this.recalls.isOutOfUse(session, grant, now)) this.end(session, grant, now);
  }

  /** Ends a session that is due, or asks its holder to release it. */
  expire(session: SessionState, now: Now): void {
    this.endIfLeft(session, now);
    if (this.expiry.expire(session, now)) this.end(session, session.grant!, now);
  }

  /** A holder that has left holds nothing any more (rule 3). Its locks are free. */
  private endIfLeft(session: SessionState, now: Now): void {
    const { grant } = session;
    if (grant && this.state.holders.hasLeft(grant.holder)) this.end(session, grant, now);
  }
}
