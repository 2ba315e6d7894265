/**
 * Handles the requests of holders: an acquire, which is granted or waits, a knock for a session's own queue,
 * and a cancel (rules 2, 4 and 21).
 */
import type { Acquire, Cancel, HolderPart, Knock } from '../wire/messages.js';
import type { Now } from '../wire/order.js';
import type { Expiry } from './expiry.js';
import type { Grants } from './grants.js';
import type { PartitionState } from './partition-state.js';
import type { Recalls } from './recalls.js';
import type { SessionQueues } from './session-queues.js';
import type { SessionState } from './session-state.js';

export class Requests {
  constructor(
    private readonly state: PartitionState,
    private readonly recalls: Recalls,
    private readonly expiry: Expiry,
    private readonly grants: Grants,
    private readonly queues: SessionQueues,
  ) {}

  acquire(session: SessionState, acquire: Acquire, frame: HolderPart, delivery: number, now: Now): void {
    const { counters, holders, rules, waiters } = this.state;
    const { holder, queue } = frame;
    const { request } = acquire;
    if (holders.hasLeft(holder)) return; // an old frame, delivered again
    const { grant } = session;
    const held = grant?.holder === holder ? grant : undefined;
    const earlier = waiters.find(session, holder);
    const age = rules.ageOf(request, earlier?.request ?? held?.request);
    if (age === 'old') return; // a late duplicate of a request that its holder has replaced
    if (age === 'repeated') {
      counters.repeats++;
      if (earlier) {
        waiters.repeat(earlier, { acquire, queue, deadline: now.mono + acquire.waitMs });
        return this.recalls.recall(session, now);
      }
      // The revoked lock comes back first. Then the request counts as a new one.
      if (!held!.revoked) return this.grants.send(session, held!, acquire, queue, now);
    }
    if (earlier) waiters.leave(session, earlier); // a holder has one outstanding request for a session
    this.admit(session, acquire, frame, delivery, now);
  }

  /** Grants a new request, lets it wait, or refuses it. */
  private admit(
    session: SessionState,
    acquire: Acquire,
    { holder, queue }: HolderPart,
    delivery: number,
    now: Now,
  ): void {
    const { holders, rules, waiters } = this.state;
    this.expiry.removeIfOver(session, now);
    const refusal = this.refusalOf(session, acquire, now);
    if (refusal) return this.state.refuse(queue, acquire, refusal);
    if (rules.mayHaveMade(session, acquire, holder))
      return this.state.refuse(queue, acquire, 'outcome-unknown');
    const { grant } = session;
    if (!grant) return this.grants.grant(session, acquire, holder, queue, now);
    if (!this.hasRoom(session, acquire, queue)) return;
    const deadline = now.mono + acquire.waitMs;
    waiters.join(session, { holder, request: acquire.request, delivery, acquire, queue, deadline });
    if (session.recalledAt === undefined && !holders.hasLeft(grant.holder)) this.recalls.ask(session, now);
    this.grants.review(session, now);
  }

  /**
   * An acquire waits in the session's own queue, which the store consumes from now on. A repeat of a known
   * request gets the answer of a repeated acquire (rule 21).
   */
  knock(session: SessionState, knock: Knock, frame: HolderPart, delivery: number, now: Now): void {
    const { counters, parameters, waiters } = this.state;
    const { holder, queue } = frame;
    const { request, waitMs } = knock;
    const max = parameters.waitersPerPartition;
    if (!this.queues.has(session.id) && this.queues.size >= max) {
      const detail = `the store consumes ${max} queues of sessions in each partition at most`;
      return this.state.refuse(queue, knock, 'too-many-queues', { detail });
    }
    this.queues.knocked(knock, delivery, queue, now);
    const { grant } = session;
    const waiter = waiters.find(session, holder);
    if (waiter?.request === request) {
      counters.repeats++;
      waiters.repeat(waiter, { acquire: waiter.acquire, queue, deadline: now.mono + waitMs });
      return this.recalls.recall(session, now);
    }
    if (grant?.holder === holder && grant.request === request && !grant.revoked) {
      counters.repeats++;
      return this.grants.send(session, grant, { mode: 'exclusive' }, queue, now);
    }
    const isEmpty = waiters.of(session).length === 0;
    if (this.queues.mustPutAgain(knock, holder, isEmpty, now)) this.state.refuse(queue, knock, 'unheard');
  }

  cancel(session: SessionState, { request }: Cancel, holder: string, now: Now): void {
    this.queues.cancelled(session.id, holder, request);
    const waiter = this.state.waiters.find(session, holder);
    if (waiter?.request === request) return this.state.waiters.leave(session, waiter);
    // A holder cancels only a request that it never accepted a grant of. A grant that is on its way counts as
    // returned.
    const { grant } = session;
    if (grant?.holder === holder && grant.request === request) this.grants.end(session, grant, now);
  }

  private refusalOf(session: SessionState, acquire: Acquire, now: Now) {
    const { parameters, rules } = this.state;
    if (rules.isDestroyed(session))
      return rules.refusalOfDestroyed(session.record!.destroyed!, acquire, parameters, now.wall);
    return !session.record && !acquire.create ? 'unknown-session' : undefined;
  }

  private hasRoom(session: SessionState, acquire: Acquire, queue: string): boolean {
    const { parameters, waiters } = this.state;
    const { waitersPerSession, waitersPerPartition } = parameters;
    if (waiters.of(session).length < waitersPerSession && waiters.size < waitersPerPartition) return true;
    const detail = `at most ${waitersPerSession} for a session and ${waitersPerPartition} in a partition`;
    this.state.refuse(queue, acquire, 'too-many-waiters', { detail });
    return false;
  }
}
