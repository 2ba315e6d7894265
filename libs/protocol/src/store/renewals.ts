/**
 * Handles a holder's renewal. The answer names the locks that the holder may keep (rules 8 to 11). Also
 * handles its leaving (rule 3).
 */
import type { HolderPart, ReclaimedLock, Renew, SessionToken } from '../wire/messages.js';
import type { Now } from '../wire/order.js';
import type { Expiry } from './expiry.js';
import type { Grants } from './grants.js';
import type { PartitionState } from './partition-state.js';
import type { Recalls } from './recalls.js';

export class Renewals {
  constructor(
    private readonly state: PartitionState,
    private readonly recalls: Recalls,
    private readonly expiry: Expiry,
    private readonly grants: Grants,
  ) {}

  renew({ n, touches = [], reclaim = [] }: Renew, { holder, queue }: HolderPart, now: Now): void {
    const { holders, outputs, parameters, rules, sessions } = this.state;
    holders.renewed(holder, now);
    for (const [id, ageMs] of touches) {
      const session = this.state.owns(id) ? sessions.use(id) : undefined;
      if (session?.grant?.holder === holder) this.expiry.touch(session, now.wall - ageMs);
    }
    const isHeld = (lock: ReclaimedLock) => {
      const grant = this.state.owns(lock[0]) ? sessions.use(lock[0]).grant : undefined;
      return rules.isReclaimed(grant, holder, lock);
    };
    const valid = reclaim.filter(isHeld).map(([id, token]): SessionToken => [id, token]);
    const { leaseMs, ttlMs, partitions } = parameters;
    const recalled = this.recalls.list(holder, this.recalls.askedBack(), false);
    const revoked = this.recalls.list(holder, this.recalls.watched, true);
    const more = reclaim.length > 0 ? { valid } : {};
    outputs.send(queue, { kind: 'renewed', n, leaseMs, ttlMs, partitions, recalled, revoked, ...more });
  }

  /** The holder is gone for good, and uses nothing any more. */
  leave(holder: string, now: Now): void {
    const { holders, waiters } = this.state;
    holders.left(holder);
    for (const session of [...waiters.sessions()]) {
      const waiter = waiters.find(session, holder);
      if (waiter) waiters.leave(session, waiter);
      this.grants.review(session, now);
    }
  }
}
