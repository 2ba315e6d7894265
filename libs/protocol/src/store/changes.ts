/**
 * The changes that holders make under their locks: commit, release and destroy. Each is applied at most once.
 * A repeat gets the answer of the first one (rules 1 and 6).
 */
import type { Commit, Destroy, HolderPart, Release } from '../wire/messages.js';
import { sameToken, type Now } from '../wire/order.js';
import type { Grants } from './grants.js';
import type { PartitionState } from './partition-state.js';
import type { Recalls } from './recalls.js';
import type { GrantRecord } from './record.js';
import type { SessionState } from './session-state.js';

export class Changes {
  constructor(
    private readonly state: PartitionState,
    private readonly recalls: Recalls,
    private readonly grants: Grants,
  ) {}

  commit(session: SessionState, commit: Commit, { holder, queue }: HolderPart, now: Now): void {
    const { counters, rules } = this.state;
    const grant = rules.currentGrant(session, commit, holder);
    if (!grant) return this.answerEnded(session, commit, holder, queue, now);
    const isRepeated = rules.placeOf(commit.seq, grant.seq) === 'repeated';
    if (!isRepeated && !this.apply(session, commit, grant, queue, now)) return;
    counters[isRepeated ? 'repeats' : 'commits']++;
    this.confirm(queue, commit);
  }

  release(session: SessionState, release: Release, { holder, queue }: HolderPart, now: Now): void {
    const { counters, rules } = this.state;
    const grant = rules.currentGrant(session, release, holder);
    if (!grant) return this.answerEnded(session, release, holder, queue, now);
    const isRepeated = rules.placeOf(release.seq, grant.seq) === 'repeated';
    if (!isRepeated && !this.apply(session, release, grant, queue, now)) return;
    counters.releases++;
    // The next holder waits for the grant. So it is sent before the answer to this one.
    this.grants.end(session, grant, now);
    this.confirm(queue, release);
  }

  /** Leaves only a tombstone. It refuses all requests for the session (rule 14). */
  destroy(session: SessionState, destroy: Destroy, { holder, queue }: HolderPart, now: Now): void {
    const { counters, parameters, rules, waiters } = this.state;
    const grant = rules.currentGrant(session, destroy, holder);
    if (!grant) return this.answerEnded(session, destroy, holder, queue, now);
    const { seq } = destroy;
    if (rules.placeOf(seq, grant.seq) !== 'next')
      return this.state.refuse(queue, destroy, 'gap', { appliedThrough: grant.seq });
    counters.destroyed++;
    const until = Math.ceil(now.wall + parameters.tombstoneMs);
    this.state.change(session, () => session.destroy(grant, seq, until));
    this.confirm(queue, destroy);
    for (const waiter of [...waiters.of(session)]) {
      waiters.leave(session, waiter);
      this.state.refuse(waiter.queue, waiter.acquire, 'destroyed');
    }
    this.grants.end(session, grant, now);
  }

  /**
   * Applies a new change. Returns false when the change is refused instead, because of a gap before it or for
   * lack of room.
   */
  private apply(
    session: SessionState,
    change: Commit | Release,
    grant: GrantRecord,
    queue: string,
    now: Now,
  ): boolean {
    const { rules } = this.state;
    const isNext = rules.placeOf(change.seq, grant.seq) === 'next';
    if (!isNext || !session.fits(change)) {
      const why = isNext ? 'too-large' : 'gap';
      this.state.refuse(queue, change, why, { appliedThrough: grant.seq });
      return false;
    }
    const isUse = rules.isUse(change);
    this.state.change(session, () => {
      session.apply(change, grant, change.seq);
      if (isUse) session.touch(now.wall);
    });
    this.recalls.drop(session); // a release without changes ends the grant, and its recall with it
    return true;
  }

  /**
   * The grant has ended, or never was. A repeat gets its original answer, as long as the store remembers the
   * grant (rule 6).
   */
  private answerEnded(
    session: SessionState,
    change: Commit | Release | Destroy,
    holder: string,
    queue: string,
    now: Now,
  ): void {
    const { kind, token } = change;
    const { grant } = session;
    const revoked = grant?.revoked && grant.holder === holder && sameToken(grant.token, token) && grant;
    const ended = revoked || session.ended(holder, token);
    this.state.counters.repeats++;
    // A holder that gives back a revoked lock does not use it any more.
    if (revoked && kind !== 'commit') this.grants.end(session, revoked, now);
    if (this.state.rules.wasApplied(change, ended)) this.confirm(queue, change);
    else if (ended) this.state.refuse(queue, change, 'ended', { appliedThrough: ended.seq });
    else this.state.refuse(queue, change, 'outcome-unknown');
  }

  private confirm(queue: string, { kind, session, token, seq }: Commit | Release | Destroy): void {
    const { outputs } = this.state;
    if (kind === 'commit') outputs.send(queue, { kind: 'committed', session, token, seq });
    else outputs.send(queue, { kind: 'released', session, token });
  }
}
