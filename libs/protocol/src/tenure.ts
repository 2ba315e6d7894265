/**
 * Who holds a session's lock, and for how long: it is granted (rule 2), asked back because somebody waits (rule 4), taken away from a holder that is gone or does not
 * answer (rule 10), and ends; and a session that nobody uses ends (rule 15).
 */
import type { Acquire, RevocationReason } from './messages.js';
import type { Now, Token } from './order.js';
import { PartitionDesk } from './partition-desk.js';
import type { GrantRecord } from './record.js';
import type { SessionState } from './session-state.js';

/** An unreachable holder's session is kept for this share of its time to live beyond its end: touches may be under way (rule 15). */
const graceShare = 1 / 4;

export abstract class Tenure extends PartitionDesk {
  /** Sessions that are revoked but not known to be out of use, and those that are due and held. */
  protected readonly watched = new Set<SessionState>();
  /** Sessions whose recall is decided but not said yet. */
  private readonly unsaid = new Set<SessionState>();
  /** Grants made in this epoch: the second half of the next token. */
  private granted = 0;

  protected grant(session: SessionState, acquire: Acquire, holder: string, queue: string, now: Now): void {
    const token: Token = [this.epoch, ++this.granted];
    const grant: GrantRecord = {
      token,
      holder,
      request: acquire.request,
      queue,
      seq: 0,
      revoked: false,
    };
    this.changing(session, () => session.begin(grant, acquire.create, now.wall));
    this.counters.grants++;
    this.sendGrant(session, grant, acquire, queue, now);
  }

  protected sendGrant(
    session: SessionState,
    grant: GrantRecord,
    { mode, known }: Pick<Acquire, 'mode' | 'known'>,
    queue: string,
    now: Now,
  ): void {
    const { token, request, seq } = grant;
    const { id, record } = session;
    const contended = this.waiting.line(session).length > 0;
    if (contended) this.recalling(session, now);
    const { set, keep } = session.since(known);
    const head = { kind: 'grant', session: id, request, token, mode, version: record!.version } as const;
    this.outputs.send(queue, { ...head, seq, set, keep, contended });
  }

  /** Asks the lock back; again whenever a waiter repeats its request (rule 4). */
  protected recall(session: SessionState, now: Now): void {
    const { id, grant } = session;
    if (!grant || grant.revoked) return;
    if (session.recalledAt === undefined) this.counters.recalls++;
    this.recalling(session, now);
    this.outputs.send(this.queueOf(grant), { kind: 'recall', session: id, token: grant.token });
  }

  private recalling(session: SessionState, now: Now): void {
    if (session.recalledAt !== undefined) return;
    session.recalledAt = now.mono;
    this.unsaid.add(session);
  }

  /** What the last flush brought is sent only now: a holder has its time from a recall on, however long the writing took (rule 10). */
  said(now: Now): void {
    for (const session of this.unsaid) if (session.recalledAt !== undefined) session.recalledAt = now.mono;
    this.unsaid.clear();
  }

  /** The lock goes to the first who waits (rule 2). */
  protected endGrant(session: SessionState, grant: GrantRecord, now: Now): void {
    this.changing(session, () => session.end(grant, this.rules.endedGrants));
    this.watched.delete(session);
    const next = this.waiting.next(session, now.mono);
    if (next) this.grant(session, next.acquire, next.holder, next.queue, now);
    else if (session.expiring) this.expire(session, now);
  }

  // Revoking: rule 10. -------------------------------------------------------------------------------------------------

  /**
   * Takes the lock away from a holder that may not keep it while others wait. The next one gets it when the holder cannot use it any more: it has
   * confirmed, or its lease has run out.
   */
  protected reconsider(session: SessionState, now: Now): void {
    const { grant } = session;
    const isWaitedFor = this.waiting.line(session).length > 0;
    if (!grant?.revoked && !session.expiring) this.watched.delete(session);
    if (!grant) return;
    if (!grant.revoked) {
      const reason = isWaitedFor || session.expiring ? this.revocable(session, grant, now) : undefined;
      if (!reason) return;
      if (!isWaitedFor && reason === 'lease-over') return this.expire(session, now);
      this.revoke(session, grant, reason);
    }
    if (this.isOutOfUse(session, grant, now)) this.endGrant(session, grant, now);
  }

  /** Whether nobody can use a revoked grant any more: its holder's lease has run out, as it was when it was revoked. */
  protected isOutOfUse(session: SessionState, grant: GrantRecord, now: Now): boolean {
    session.limboEnd ??= this.holders.leaseEnd(grant.holder, now);
    return session.limboEnd <= now.mono || this.holders.hasLapsed(grant.holder, now);
  }

  /** Why a grant that somebody waits for may be revoked; undefined while it may not. */
  protected revocable(session: SessionState, grant: GrantRecord, now: Now): RevocationReason | undefined {
    if (this.holders.hasLapsed(grant.holder, now)) return 'lease-over';
    const recalledMs = now.mono - (session.recalledAt ?? now.mono);
    return recalledMs >= this.rules.recallTimeoutMs ? 'recall-timeout' : undefined;
  }

  private revoke(session: SessionState, grant: GrantRecord, why: RevocationReason): void {
    this.counters.revocations++;
    this.changing(session, () => (grant.revoked = true));
    this.watched.add(session);
    const { id } = session;
    this.outputs.send(this.queueOf(grant), { kind: 'revoked', session: id, token: grant.token, why });
  }

  private queueOf({ holder, queue }: GrantRecord): string {
    return this.holders.queueOf(holder) ?? queue;
  }

  // Expiry: rule 15. ---------------------------------------------------------------------------------------------------

  /** The repository's index names these sessions, which have been given to `load`, as due. */
  due(named: readonly { readonly session: string; readonly expires: number }[], now: Now): void {
    for (const { session: id, expires } of named) {
      const session = this.sessions.peek(id);
      if (!session) continue;
      session.namedAs(expires);
      if (session.record) this.expire(session, now);
      else this.outputs.write(session);
    }
  }

  /** Removes what is due, and whom nobody holds; a holder is asked to release first: a due expiry counts as a waiter. */
  private expire(session: SessionState, now: Now): void {
    const { grant } = session;
    const isSilent = grant !== undefined && this.holders.hasLapsed(grant.holder, now);
    const dueAt = session.dueAt(this.rules.ttlMs) + (isSilent ? this.graceMs : 0);
    session.expiring = dueAt <= now.wall;
    if (!session.expiring) {
      session.remark(dueAt);
      return this.outputs.write(session);
    }
    if (this.waiting.line(session).length > 0) return;
    if (!grant) {
      if (session.record!.destroyed === undefined) this.counters.expired++;
      return this.changing(session, () => session.remove());
    }
    this.watched.add(session);
    if (!isSilent) return this.recall(session, now);
    this.revoke(session, grant, 'lease-over');
    this.endGrant(session, grant, now);
  }

  private get graceMs(): number {
    return this.rules.ttlMs * graceShare;
  }

  /** The session was used by its holder, at `wall` (rule 15). */
  protected touch(session: SessionState, wall: number): void {
    this.changing(session, () => session.touch(wall));
  }
}
