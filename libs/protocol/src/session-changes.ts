/** What holders do under their locks: commit, release and destroy, each at most once, and answered the same way whenever it is repeated (rules 1 and 6). */
import type { Commit, Destroy, HolderFrame, Release } from './messages.js';
import { sameToken, type Now } from './order.js';
import type { GrantRecord } from './record.js';
import type { SessionState } from './session-state.js';
import { Tenure } from './tenure.js';

export abstract class SessionChanges extends Tenure {
  protected commit(session: SessionState, commit: Commit, { holder, queue }: HolderFrame, now: Now): void {
    const grant = this.currentGrant(session, commit, holder);
    if (!grant) return this.answerEnded(session, commit, holder, queue, now);
    const repeated = commit.seq <= grant.seq;
    if (!repeated && !this.apply(session, commit, grant, queue)) return;
    session.touch(now.wall);
    this.counters[repeated ? 'repeats' : 'commits']++;
    this.confirm(queue, commit);
  }

  protected release(session: SessionState, release: Release, { holder, queue }: HolderFrame, now: Now): void {
    const grant = this.currentGrant(session, release, holder);
    if (!grant) return this.answerEnded(session, release, holder, queue, now);
    if (release.seq > grant.seq && !this.apply(session, release, grant, queue)) return;
    this.counters.releases++;
    this.confirm(queue, release);
    this.endGrant(session, grant, now);
  }

  /** Nothing is left but a tombstone, which turns everybody away (rule 14). */
  protected destroy(session: SessionState, destroy: Destroy, { holder, queue }: HolderFrame, now: Now): void {
    const grant = this.currentGrant(session, destroy, holder);
    if (!grant) return this.answerEnded(session, destroy, holder, queue, now);
    const { seq } = destroy;
    if (seq !== grant.seq + 1) return this.refuse(queue, destroy, 'gap', { appliedThrough: grant.seq });
    this.counters.destroyed++;
    this.changing(session, () => session.destroy(grant, seq, Math.ceil(now.wall + this.rules.tombstoneMs)));
    this.confirm(queue, destroy);
    for (const waiter of [...this.waiting.line(session)]) {
      this.waiting.leave(session, waiter);
      this.refuse(waiter.queue, waiter.acquire, 'destroyed');
    }
    this.endGrant(session, grant, now);
  }

  /** The fence: the session's grant when this message bears its token and comes from its holder (rules 1 and 6). */
  protected currentGrant(
    session: SessionState,
    { token }: Commit | Release | Destroy,
    holder: string,
  ): GrantRecord | undefined {
    const { grant } = session;
    const isIts = grant?.holder === holder && sameToken(grant.token, token);
    return isIts && !grant.revoked ? grant : undefined;
  }

  /** Applies a change that is new. False when it was refused instead: a gap before it, or no room for it. */
  private apply(session: SessionState, change: Commit | Release, grant: GrantRecord, queue: string): boolean {
    const why = change.seq > grant.seq + 1 ? 'gap' : session.fits(change) ? undefined : 'too-large';
    if (why) this.refuse(queue, change, why, { appliedThrough: grant.seq });
    else this.changing(session, () => session.apply(change, grant, change.seq));
    return why === undefined;
  }

  /** The grant has ended, or never was: what is repeated gets its original answer, as long as it is remembered (rule 6). */
  private answerEnded(
    session: SessionState,
    change: Commit | Release | Destroy,
    holder: string,
    queue: string,
    now: Now,
  ): void {
    const { kind, token, seq } = change;
    const { grant } = session;
    const revoked = grant?.revoked && grant.holder === holder && sameToken(grant.token, token) && grant;
    const ended = revoked || session.ended(holder, token);
    this.counters.repeats++;
    if ((ended && seq <= ended.seq) || (kind === 'release' && seq === 0)) this.confirm(queue, change);
    else if (ended) this.refuse(queue, change, 'ended', { appliedThrough: ended.seq });
    else this.refuse(queue, change, 'outcome-unknown');
    // Whoever gives back what was revoked does not use it any more: the next one may.
    if (revoked && kind !== 'commit') this.endGrant(session, revoked, now);
  }

  private confirm(queue: string, { kind, session, token, seq }: Commit | Release | Destroy): void {
    if (kind === 'commit') this.outputs.send(queue, { kind: 'committed', session, token, seq });
    else this.outputs.send(queue, { kind: 'released', session, token });
  }

  /** Rule 14: destroyed sessions stay destroyed. */
  protected isDestroyed(session: SessionState): boolean {
    return session.record?.destroyed !== undefined;
  }
}
