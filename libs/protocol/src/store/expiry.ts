/**
 * Ends sessions that were not used for their time to live, and removes tombstones in their time (rules 14 and
 * 15).
 */
import type { Now } from '../wire/order.js';
import type { PartitionState } from './partition-state.js';
import type { Recalls } from './recalls.js';
import type { SessionRecord } from './record.js';
import type { SessionState } from './session-state.js';

export class Expiry {
  constructor(
    private readonly state: PartitionState,
    private readonly recalls: Recalls,
  ) {}

  /**
   * Removes a session that is due and free. A holder is first asked to release, and again with each renewal,
   * since a due session counts as one with a waiter. Returns true when the holder is silent and its grant is
   * to end.
   */
  expire(session: SessionState, now: Now): boolean {
    const { holders, outputs, parameters, rules } = this.state;
    const { grant, record } = session;
    if (!record) return false;
    const isSilent = grant !== undefined && holders.hasLapsed(grant.holder, now);
    const dueAt = rules.dueAt(session.dueAt(parameters.ttlMs), parameters.ttlMs, isSilent);
    session.expiring = rules.isDue(dueAt, now.wall);
    if (!session.expiring) {
      this.recalls.drop(session);
      session.moveExpiry(dueAt);
      outputs.write(session);
      return false;
    }
    if (!grant) {
      this.remove(session, record);
      return false;
    }
    if (grant.revoked) return false; // a review ends it
    this.recalls.watch(session);
    if (!isSilent) {
      if (session.recalledAt === undefined) this.recalls.recall(session, now);
      return false;
    }
    this.recalls.revoke(session, grant, 'lease-over');
    return true;
  }

  /**
   * A free session whose time is over does not exist for a new request, even before the index has named it.
   */
  removeIfOver(session: SessionState, now: Now): void {
    const { parameters, rules } = this.state;
    const { record } = session;
    if (!record || record.grant) return;
    if (rules.isOverAtGrant(session.dueAt(parameters.ttlMs), now.wall)) this.remove(session, record);
  }

  /** The holder used the session at `wall`. */
  touch(session: SessionState, wall: number): void {
    if (!this.state.rules.touchCounts()) return;
    this.state.change(session, () => session.touch(wall));
    this.recalls.drop(session);
  }

  private remove(session: SessionState, { destroyed }: SessionRecord): void {
    if (destroyed === undefined) this.state.counters.expired++;
    this.state.change(session, () => session.remove());
  }
}
