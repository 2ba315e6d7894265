/**
 * Asks for locks back when others wait, and revokes the grants of holders that are gone or do not answer
 * (rules 4 and 10).
 */
import type { RevocationReason } from '../wire/messages.js';
import type { Now, Token } from '../wire/order.js';
import { limits } from '../wire/limits.js';
import type { PartitionState } from './partition-state.js';
import type { GrantRecord } from './record.js';
import type { SessionState } from './session-state.js';

export class Recalls {
  /** Revoked sessions that may still be in use, and sessions that are due and held. */
  private readonly watchedSessions = new Set<SessionState>();
  /** Waited-for sessions whose holders have a turn, with the end of it by the monotonic clock (rule 23). */
  private readonly turns = new Map<SessionState, number>();
  private firstTurnEnd = Infinity;
  /** Sessions with a recall that is not sent yet. */
  private readonly unsent = new Set<SessionState>();

  constructor(private readonly state: PartitionState) {}

  get watched(): ReadonlySet<SessionState> {
    return this.watchedSessions;
  }

  watch(session: SessionState): void {
    this.watchedSessions.add(session);
  }

  unwatch(session: SessionState): void {
    this.watchedSessions.delete(session);
  }

  /** Asks for the lock back, now or when its holder's turn is over (rules 4 and 22). */
  ask(session: SessionState, now: Now): void {
    const end = this.turnEnd(session, now);
    if (end <= now.mono) return this.recall(session, now);
    this.turns.set(session, end);
    this.firstTurnEnd = Math.min(this.firstTurnEnd, end);
  }

  /** Asks for the locks back whose holders had their turn. The caller calls it at `nextTurnEnd` or later. */
  endTurns(now: Now): void {
    if (now.mono < this.firstTurnEnd) return;
    this.firstTurnEnd = Infinity;
    for (const [session, end] of this.turns) {
      if (end > now.mono) {
        this.firstTurnEnd = Math.min(this.firstTurnEnd, end);
        continue;
      }
      this.turns.delete(session);
      if (this.state.waiters.of(session).length > 0) this.recall(session, now);
    }
  }

  /** No turn ends before this, by the monotonic clock. */
  get nextTurnEnd(): number {
    return this.turns.size > 0 ? this.firstTurnEnd : Infinity;
  }

  /** Nobody waits for the holder's turn to end any more. */
  forgetTurn(session: SessionState): void {
    this.turns.delete(session);
  }

  /** Asks for the lock back. Does so again when a waiter repeats its request (rule 4). */
  recall(session: SessionState, now: Now): void {
    const { id, grant } = session;
    const { counters, outputs } = this.state;
    this.turns.delete(session);
    if (!grant || grant.revoked) return;
    if (session.recalledAt === undefined) counters.recalls++;
    this.begin(session, now);
    outputs.send(this.state.queueOf(grant), { kind: 'recall', session: id, token: grant.token });
  }

  /** From now on the holder is asked to release, by a recall or by a contended grant. */
  begin(session: SessionState, now: Now): void {
    if (session.recalledAt !== undefined) return;
    session.recalledAt = now.mono;
    this.unsent.add(session);
  }

  /**
   * The session is not due any more. Its holder may keep it, and may never have received the recall. So the
   * next waiter leads to a new recall.
   */
  drop(session: SessionState): void {
    if (this.state.waiters.of(session).length === 0) session.recalledAt = undefined;
  }

  /** The store sends recalls after the write. A holder's time to release starts then (rule 10). */
  sent(now: Now): void {
    for (const session of this.unsent) if (session.recalledAt !== undefined) session.recalledAt = now.mono;
    this.unsent.clear();
  }

  /** Why the grant may be revoked now. Undefined while it may not. */
  revocationReason(session: SessionState, grant: GrantRecord, now: Now): RevocationReason | undefined {
    const { holders, parameters, rules } = this.state;
    const { hearing } = holders;
    return rules.revocationReason(
      () => holders.hasLapsed(grant.holder, now),
      () => {
        const recalledAt = Math.max(session.recalledAt ?? Infinity, hearing.sparedAt);
        return hearing.hasPassed(recalledAt + parameters.recallTimeoutMs, now);
      },
    );
  }

  revoke(session: SessionState, grant: GrantRecord, why: RevocationReason): void {
    const { counters, outputs } = this.state;
    counters.revocations++;
    this.state.change(session, () => (grant.revoked = true));
    this.watch(session);
    const { id } = session;
    outputs.send(this.state.queueOf(grant), { kind: 'revoked', session: id, token: grant.token, why });
  }

  /** When the holder is asked back, by the monotonic clock. It is in the past when it has no turn. */
  private turnEnd(session: SessionState, now: Now): number {
    const { parameters, rules, waiters } = this.state;
    const line = waiters.of(session);
    if (!session.granted || line.length === 0 || !rules.isPassedOn(session.passes, parameters.turnMs))
      return -Infinity;
    const restMs = line[0]!.deadline - now.mono;
    return session.granted.at + rules.turnMsFor(parameters.turnMs, line.length, restMs);
  }

  /** Whether a revoked grant certainly is not in use any more. */
  isOutOfUse(session: SessionState, grant: GrantRecord, now: Now): boolean {
    const { holders, rules } = this.state;
    session.outOfUseAt ??= holders.leaseEnd(grant.holder, now);
    return rules.isOutOfUse(session.outOfUseAt, now.mono, () => holders.hasLapsed(grant.holder, now));
  }

  /** The sessions with locks that are asked back, because another holder waits or the session is due. */
  *askedBack(): Generator<SessionState> {
    const { waiters } = this.state;
    yield* waiters.sessions();
    for (const session of this.watched)
      if (session.expiring && waiters.of(session).length === 0) yield session;
  }

  /**
   * The holder's locks among these sessions that are recalled, or that are revoked. A message lists a limited
   * number.
   */
  list(holder: string, sessions: Iterable<SessionState>, revoked: boolean): [string, Token][] {
    const tokens: [string, Token][] = [];
    for (const { id, grant } of sessions) {
      if (!grant || !this.state.rules.isListed(grant, holder, revoked)) continue;
      tokens.push([id, grant.token]);
      if (tokens.length === limits.listed) break;
    }
    return tokens;
  }
}
