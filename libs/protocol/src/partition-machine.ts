/**
 * The store's side of the protocol, for one partition and one epoch: who holds each session, who waits, and what every
 * message is answered. Pure: no I/O, no clock, no randomness. The driver loads what `missing` names, hands over frames with `receive`, and then takes
 * `flush`: writes to persist first, then messages to send, then deliveries to acknowledge (rule 7). Rules are cited by
 * their numbers in docs/PROTOCOL.md.
 */
import type { Holders, Ownership } from './holders.js';
import { limits } from './limits.js';
import type { Acquire, Cancel, HolderFrame, HolderMessage, Knock, Renew, SessionToken } from './messages.js';
import { sameToken, type Now, type Token } from './order.js';
import type { StoreRules } from './partition-desk.js';
import type { SessionRecord } from './record.js';
import { SessionChanges } from './session-changes.js';
import { SessionQueues } from './session-queues.js';
import type { SessionState } from './session-state.js';
import type { StoreOutputs } from './store-outputs.js';

/** How often the machine looks for leases that have run out, in milliseconds, or ten times in a lease; only while somebody waits. */
const lookMs = { 'wait-for-lease': 250, revoke: 50 };

export class PartitionMachine extends SessionChanges {
  private readonly queues = new SessionQueues(this.outputs);
  private lookedAt: number;

  constructor(partition: number, epoch: number, rules: StoreRules, ownership: Ownership, holders?: Holders) {
    super(partition, epoch, rules, ownership, holders);
    this.lookedAt = ownership.since;
  }

  /** The sessions that must be given to `load` before this frame can be received. */
  missing(frame: HolderFrame): string[] {
    const missing = new Set<string>();
    for (const message of frame.messages) {
      const named = message.kind === 'renew' ? [...(message.touches ?? []), ...(message.reclaim ?? [])] : [];
      for (const id of 'session' in message ? [message.session] : named.map(([session]) => session)) {
        if (this.owns(id) && !this.sessions.has(id)) missing.add(id);
      }
    }
    return [...missing];
  }

  /** What the repository has of a session; undefined when it does not know it. */
  load(id: string, record: SessionRecord | undefined): void {
    const session = this.sessions.add(id, record);
    if (session?.grant?.revoked) this.watched.add(session);
  }

  /** One frame, delivered as `delivery`, a number that `settled` will name when all of it is settled. */
  receive(frame: HolderFrame, delivery: number, now: Now): void {
    this.holders.heard(frame.holder, frame.queue, now);
    this.outputs.hold(delivery);
    for (const message of frame.messages) this.receiveMessage(message, frame, delivery, now);
    this.outputs.settle(delivery);
  }

  /** A frame that waited in a session's own queue: one acquire, which may be old, and no sign of its holder's life (rule 21). */
  receiveAsk(frame: HolderFrame, delivery: number, now: Now): void {
    const { holder } = frame;
    this.outputs.hold(delivery);
    for (const message of frame.messages) {
      const { session, request } = message as Acquire;
      if (this.holders.hasLeft(holder) || !this.queues.take(session, holder, request, now)) continue;
      const queue = this.holders.queueOf(holder) ?? frame.queue;
      this.receiveMessage(message, { ...frame, queue }, delivery, now);
    }
    this.outputs.settle(delivery);
  }

  /** A session's own queue, which was to be consumed, is not there, or not any more. */
  queueGone(session: string, now: Now): void {
    const knocker = this.queues.gone(session, now);
    if (!knocker) return;
    const { queue, request } = knocker;
    this.outputs.send(queue, { kind: 'refused', session, request, why: 'unheard' });
  }

  /** Drops the waiters whose time is over (rule 2), and revokes what holders may not keep (rule 10). To be called at `nextDeadline` or later. */
  tick(now: Now): void {
    this.lookedAt = now.mono;
    this.waiting.tick(now.mono);
    for (const session of [...this.waiting.sessions()]) {
      // Whether a holder's queue is there is known by sending to it.
      if (this.rules.unreachableHolder === 'revoke') this.recall(session, now);
      this.reconsider(session, now);
    }
    for (const session of [...this.watched]) this.reconsider(session, now);
    if (this.queues.nextDeadline <= now.mono) this.queues.sweep((id) => this.isWaitedFor(id), now);
  }

  /** A holder's queue is gone: what was sent there came back. */
  unreachable(queue: string, now: Now): void {
    const waited = [...this.waiting.sessions()];
    const holders = waited.flatMap(({ grant }) => (grant?.queue === queue ? [grant.holder] : []));
    this.holders.unreachable(queue, holders);
    for (const session of waited) this.reconsider(session, now);
  }

  /** When `tick` may have something to do, by the monotonic clock; Infinity when nobody waits. */
  get nextDeadline(): number {
    const { nextDeadline } = this.queues;
    if (this.waiting.size === 0 && this.watched.size === 0) return nextDeadline;
    const nextLook = this.lookedAt + Math.min(lookMs[this.rules.unreachableHolder], this.rules.leaseMs / 10);
    return Math.min(this.waiting.nextDeadline, nextLook, nextDeadline);
  }

  /** Everything that has come of what was received since the last flush. */
  flush(): StoreOutputs {
    return this.outputs.take();
  }

  /** Forgets sessions for which nobody waits, least recently used first, until the rest fits `bytes`. Only after a flush is persisted. */
  evict(bytes: number): void {
    this.sessions.evict(
      bytes,
      (session) => this.waiting.line(session).length > 0 || this.watched.has(session),
    );
  }

  /** For operators: what is in memory now. */
  snapshot() {
    return {
      partition: this.partition,
      epoch: this.epoch,
      sessions: this.sessions.size,
      contended: this.waiting.contended,
      waiting: this.waiting.size,
      queues: this.queues.size,
      bytes: this.sessions.bytes,
    };
  }

  private receiveMessage(message: HolderMessage, frame: HolderFrame, delivery: number, now: Now): void {
    if (!('session' in message)) {
      if (message.kind === 'renew') this.renew(message, frame, now);
      else this.leave(frame.holder, now);
      return;
    }
    if (!this.owns(message.session)) {
      const detail = `this deployment has ${this.rules.partitions} partitions`;
      return this.refuse(frame.queue, message, 'wrong-partition', { detail });
    }
    const session = this.sessions.use(message.session);
    switch (message.kind) {
      case 'acquire':
        return this.acquire(session, message, frame, delivery, now);
      case 'cancel':
        return this.cancel(session, message, frame.holder, now);
      case 'commit':
        return this.commit(session, message, frame, now);
      case 'destroy':
        return this.destroy(session, message, frame, now);
      case 'release':
        return this.release(session, message, frame, now);
      case 'knock':
        return this.knock(session, message, frame, delivery, now);
    }
  }

  // Waiting and granting: rules 2 and 4. ----------------------------------------------------------------------------

  private acquire(
    session: SessionState,
    acquire: Acquire,
    frame: HolderFrame,
    delivery: number,
    now: Now,
  ): void {
    const { holder, queue } = frame;
    const { request, waitMs } = acquire;
    const { grant } = session;
    const held = grant?.holder === holder ? grant : undefined;
    const earlier = this.waiting.of(session, holder);
    const newest = earlier?.request ?? held?.request;
    const deadline = now.mono + waitMs;
    if (newest !== undefined && request < newest) return; // a late duplicate: its holder has asked anew since
    if (request === newest) {
      this.counters.repeats++;
      if (earlier) {
        this.waiting.repeat(earlier, { acquire, queue, deadline });
        return this.recall(session, now);
      }
      // What is revoked comes back first; then the request is a new one.
      if (!held!.revoked) return this.sendGrant(session, held!, acquire, queue, now);
    }
    if (earlier) this.waiting.leave(session, earlier); // a holder has one outstanding request for a session
    if (this.isDestroyed(session)) return this.refuse(queue, acquire, 'destroyed');
    if (!session.record && !acquire.create) return this.refuse(queue, acquire, 'unknown-session');
    if (!grant) return this.grant(session, acquire, holder, queue, now);
    const { waitersPerSession, waitersPerPartition } = this.rules;
    if (this.waiting.line(session).length >= waitersPerSession || this.waiting.size >= waitersPerPartition) {
      const detail = `at most ${waitersPerSession} for a session and ${waitersPerPartition} in a partition`;
      return this.refuse(queue, acquire, 'too-many-waiters', { detail });
    }
    this.waiting.join(session, { holder, request, delivery, acquire, queue, deadline });
    if (session.recalledAt === undefined) this.recall(session, now);
    this.reconsider(session, now);
  }

  /** An acquire waits in the session's own queue: it is consumed; and whoever repeats what is known already is answered as by an acquire (rule 21). */
  private knock(session: SessionState, knock: Knock, frame: HolderFrame, delivery: number, now: Now): void {
    const { holder, queue } = frame;
    const { request, waitMs } = knock;
    const most = this.rules.waitersPerPartition;
    if (!this.queues.has(session.id) && this.queues.size >= most) {
      const detail = `the store consumes ${most} queues of sessions in each partition at most`;
      return this.refuse(queue, knock, 'too-many-queues', { detail });
    }
    this.queues.knocked(knock, delivery, queue, now);
    const { grant } = session;
    const waiter = this.waiting.of(session, holder);
    if (waiter?.request === request) {
      this.counters.repeats++;
      this.waiting.repeat(waiter, { acquire: waiter.acquire, queue, deadline: now.mono + waitMs });
      return this.recall(session, now);
    }
    if (grant?.holder === holder && grant.request === request && !grant.revoked) {
      this.counters.repeats++;
      return this.sendGrant(session, grant, { mode: 'exclusive' }, queue, now);
    }
    if (this.misses(session, knock, holder, now)) this.refuse(queue, knock, 'unheard');
  }

  /** Rule 21: whether the acquire that is knocked for has to be put into the queue again. */
  protected misses(session: SessionState, knock: Knock, holder: string, now: Now): boolean {
    const isEmpty = this.waiting.line(session).length === 0;
    return this.queues.misses(knock, holder, isEmpty, now);
  }

  private isWaitedFor(id: string): boolean {
    const session = this.sessions.peek(id);
    return session !== undefined && this.waiting.line(session).length > 0;
  }

  private cancel(session: SessionState, { request }: Cancel, holder: string, now: Now): void {
    this.queues.cancelled(session.id, holder, request);
    const waiter = this.waiting.of(session, holder);
    if (waiter?.request === request) return this.waiting.leave(session, waiter);
    // A holder cancels only what it never accepted: a grant of it that is on its way is as good as returned.
    const { grant } = session;
    if (grant?.holder === holder && grant.request === request) this.endGrant(session, grant, now);
  }

  // Holders. -----------------------------------------------------------------------------------------------------------

  private renew({ n, touches = [], reclaim = [] }: Renew, { holder, queue }: HolderFrame, now: Now): void {
    this.holders.renewed(holder, now);
    for (const [id, ageMs] of touches) {
      const session = this.owns(id) ? this.sessions.use(id) : undefined;
      if (session?.grant?.holder === holder) this.touch(session, now.wall - ageMs);
    }
    const isHeld = ([id, token]: SessionToken) => {
      const grant = this.owns(id) ? this.sessions.use(id).grant : undefined;
      return grant?.holder === holder && sameToken(grant.token, token) && !grant.revoked;
    };
    const valid = reclaim.filter(isHeld);
    const { leaseMs, ttlMs, partitions } = this.rules;
    const recalled = this.tokensOf(holder, this.waiting.sessions(), false);
    const revoked = this.tokensOf(holder, this.watched, true);
    const more = reclaim.length > 0 ? { valid } : {};
    this.outputs.send(queue, { kind: 'renewed', n, leaseMs, ttlMs, partitions, recalled, revoked, ...more });
  }

  /** The holder's locks of these sessions, as many as a message may list. */
  protected tokensOf(holder: string, sessions: Iterable<SessionState>, revoked: boolean): [string, Token][] {
    const tokens: [string, Token][] = [];
    for (const { id, grant } of sessions) {
      if (grant?.holder !== holder || grant.revoked !== revoked) continue;
      tokens.push([id, grant.token]);
      if (tokens.length === limits.listed) break;
    }
    return tokens;
  }

  /** The holder is gone for good, and uses nothing any more. */
  private leave(holder: string, now: Now): void {
    this.holders.left(holder);
    for (const session of [...this.waiting.sessions()]) {
      const waiter = this.waiting.of(session, holder);
      if (waiter) this.waiting.leave(session, waiter);
      this.reconsider(session, now);
    }
  }
}
