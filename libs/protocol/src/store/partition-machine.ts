/**
 * The store's side of the protocol, for one partition and one epoch: the holder of each session, the waiters,
 * and the answer to each message. The machine is pure. It has no I/O, no clock and no randomness. The driver
 * loads the sessions that `missing` names, passes frames to `receive`, and then takes `flush`. It persists
 * the writes first, then sends the messages, then acknowledges the deliveries (rule 7). The parts act. The
 * functions of rules.ts decide. Rules are cited by their numbers in docs/PROTOCOL.md.
 */
import type { Acquire, HolderPart, HolderMessage } from '../wire/messages.js';
import type { Now } from '../wire/order.js';
import { Changes } from './changes.js';
import { Expiry } from './expiry.js';
import { Grants } from './grants.js';
import type { StoreOutputs } from './outputs.js';
import type { Ownership, StoreParameters } from './parameters.js';
import { PartitionState, type StoreCounters } from './partition-state.js';
import { Recalls } from './recalls.js';
import type { SessionRecord } from './record.js';
import { Renewals } from './renewals.js';
import { Requests } from './requests.js';
import { storeRules, type StoreRules } from './rules.js';
import { SessionQueues } from './session-queues.js';

/**
 * How often the machine looks for leases that have run out, in milliseconds, and ten times in a lease at
 * least. It looks only while a request waits.
 */
const lookMs = { 'wait-for-lease': 250, revoke: 50 };

export class PartitionMachine {
  readonly counters: StoreCounters;
  private readonly state: PartitionState;
  private readonly queues: SessionQueues;
  private readonly recalls: Recalls;
  private readonly grants: Grants;
  private readonly changes: Changes;
  private readonly requests: Requests;
  private readonly renewals: Renewals;
  private lookedAt: number;
  /** A look is due at `nextLook`. If it comes much later, this process stood still. */
  private isLooking = false;

  constructor(
    readonly partition: number,
    readonly epoch: number,
    private readonly parameters: StoreParameters,
    ownership: Ownership,
    rules: Partial<StoreRules> = {},
  ) {
    const state = new PartitionState(partition, epoch, parameters, { ...storeRules, ...rules }, ownership);
    this.state = state;
    this.counters = state.counters;
    this.queues = new SessionQueues(state.outputs, state.rules);
    this.recalls = new Recalls(state);
    const expiry = new Expiry(state, this.recalls);
    this.grants = new Grants(state, this.recalls, expiry);
    this.changes = new Changes(state, this.recalls, this.grants);
    this.requests = new Requests(state, this.recalls, expiry, this.grants, this.queues);
    this.renewals = new Renewals(state, this.recalls, expiry, this.grants);
    this.lookedAt = ownership.since;
  }

  /** The sessions that `load` must get before this frame can be received. */
  missing({ messages }: HolderPart): string[] {
    const missing = new Set<string>();
    const name = (id: string) => {
      if (!this.state.sessions.has(id) && this.state.owns(id)) missing.add(id);
    };
    for (const message of messages)
      if ('session' in message) name(message.session);
      else if (message.kind === 'renew')
        for (const [id] of [...(message.touches ?? []), ...(message.reclaim ?? [])]) name(id);
    return [...missing];
  }

  /** The repository's record of a session. Undefined when the repository does not know the session. */
  load(id: string, record: SessionRecord | undefined): void {
    const session = this.state.sessions.add(id, record);
    if (session?.grant?.revoked) this.recalls.watch(session);
  }

  /**
   * One frame, delivered as `delivery`. A flush names that number in `settled` when all of the frame is
   * settled.
   */
  receive(frame: HolderPart, delivery: number, now: Now): void {
    const { holders, outputs } = this.state;
    holders.received(frame.holder, frame.queue, now);
    outputs.hold(delivery);
    for (const message of frame.messages) this.receiveMessage(message, frame, delivery, now);
    outputs.settle(delivery);
  }

  /**
   * A part that came through the store's own queue. It may be older than what came through the partition's.
   * So it does not change where its holder is reached (rule 22).
   */
  receiveDirect(part: HolderPart, delivery: number, now: Now): void {
    this.receive(this.withReachable(part), delivery, now);
  }

  /**
   * A frame from a session's own queue. It has one acquire, which may be old. It is no sign that its holder
   * lives (rule 21).
   */
  receiveQueued(frame: HolderPart, delivery: number, now: Now): void {
    const { holders, outputs } = this.state;
    const { holder } = frame;
    outputs.hold(delivery);
    for (const message of frame.messages) {
      const { session, request } = message as Acquire;
      if (holders.hasLeft(holder) || !this.queues.take(session, holder, request, now)) continue;
      this.receiveMessage(message, this.withReachable(frame), delivery, now);
    }
    outputs.settle(delivery);
  }

  /** A session's own queue that the driver was to consume does not exist, or not any more. */
  queueGone(session: string, now: Now): void {
    const knocker = this.queues.gone(session, now);
    if (!knocker) return;
    const { queue, request } = knocker;
    this.state.outputs.send(queue, { kind: 'refused', session, request, why: 'unheard' });
  }

  /**
   * The repository's index names these sessions as due (rule 15). `load` already has them. Returns whether
   * the index will drop any of them. If not, another look at once would find the same.
   */
  due(named: readonly { readonly session: string; readonly expires: number }[], now: Now): boolean {
    let isAnyGone = false;
    for (const { session: id, expires } of named) {
      if (!this.state.sessions.has(id)) continue;
      const session = this.state.sessions.use(id);
      session.indexedAt(expires);
      if (session.record) this.grants.expire(session, now);
      else this.state.outputs.write(session);
      isAnyGone ||= !session.expiring;
    }
    return isAnyGone;
  }

  /**
   * Drops the waiters whose time is over (rule 2). Revokes grants that holders may not keep (rule 10). The
   * driver calls it at `nextDeadline` or later.
   */
  tick(now: Now): void {
    const { holders, waiters } = this.state;
    if (this.isLooking) holders.hearing.woke(this.nextLook, now);
    this.lookedAt = now.mono;
    this.endTurns(now);
    waiters.tick(now.mono);
    for (const session of [...waiters.sessions()]) {
      // A message to the holder shows whether its queue still exists.
      if (this.parameters.unreachableHolder === 'revoke') this.recalls.recall(session, now);
      this.grants.review(session, now);
    }
    for (const session of [...this.recalls.watched]) this.grants.review(session, now);
    if (this.state.rules.isTimedOut(this.queues.nextDeadline, now.mono))
      this.queues.sweep((id) => this.isWaitedFor(id), now);
  }

  /** Asks for the locks back whose holders had their turn (rule 23). It costs nothing when there are none. */
  endTurns(now: Now): void {
    this.recalls.endTurns(now);
  }

  /** A message to this queue came back. The holder's queue is gone. */
  unreachable(queue: string, now: Now): void {
    const waited = [...this.state.waiters.sessions()];
    const holders = waited.flatMap(({ grant }) => (grant?.queue === queue ? [grant.holder] : []));
    this.state.holders.unreachable(queue, holders);
    for (const session of waited) this.grants.review(session, now);
  }

  /** The echo that was sent at `at` has come back (rule 10). `tick` acts on it. */
  echoed(at: number, now: Now): void {
    this.state.holders.hearing.echoed(at, now);
  }

  /** When `tick` may have work, by the monotonic clock. Infinity when no request waits. */
  get nextDeadline(): number {
    const { nextDeadline } = this.queues;
    if (!this.looks) return nextDeadline;
    const { nextTurnEnd } = this.recalls;
    return Math.min(this.state.waiters.nextDeadline, this.nextLook, nextTurnEnd, nextDeadline);
  }

  /** All outputs since the last flush. */
  flush(): StoreOutputs {
    const echo = this.state.holders.hearing.take();
    return { ...this.state.outputs.take(), ...(echo !== undefined && { echo }) };
  }

  /** The outputs of the last flush are sent. From now on looks are due if there is anything to look at. */
  sent(now: Now): void {
    this.recalls.sent(now);
    if (!this.isLooking) this.lookedAt = now.mono;
    this.isLooking = this.looks;
  }

  /** How many bytes of memory the sessions take, about. */
  get bytes(): number {
    return this.state.sessions.bytes;
  }

  /**
   * Packs and removes sessions without waiters, least recently used first, until the rest fits `bytes`. The
   * driver calls it only after a flush is persisted.
   */
  evict(bytes: number): void {
    const { sessions, waiters } = this.state;
    sessions.evict(bytes, (session) => waiters.of(session).length > 0 || this.recalls.watched.has(session));
  }

  /** For operators: the present contents of memory. */
  snapshot() {
    const { sessions, waiters } = this.state;
    return {
      partition: this.partition,
      epoch: this.epoch,
      sessions: sessions.size,
      contended: waiters.contended,
      waiting: waiters.size,
      queues: this.queues.size,
      bytes: sessions.bytes,
    };
  }

  /** For tests of its bounds: the size of everything in memory. */
  memory() {
    const { outputs, sessions, waiters } = this.state;
    return {
      ...this.snapshot(),
      weights: sessions.weights(),
      watched: this.recalls.watched.size,
      lines: waiters.lengths(),
      outputs: outputs.memory(),
    };
  }

  private withReachable(frame: HolderPart): HolderPart {
    const { holders, rules } = this.state;
    const known = holders.queueOf(frame.holder);
    return rules.keepsQueue(known) ? { ...frame, queue: known! } : frame;
  }

  private receiveMessage(message: HolderMessage, frame: HolderPart, delivery: number, now: Now): void {
    if (!('session' in message)) {
      if (message.kind === 'renew') this.renewals.renew(message, frame, now);
      else this.renewals.leave(frame.holder, now);
      return;
    }
    if (!this.state.owns(message.session)) {
      const detail = `this deployment has ${this.parameters.partitions} partitions`;
      return this.state.refuse(frame.queue, message, 'wrong-partition', { detail });
    }
    const session = this.state.sessions.use(message.session);
    switch (message.kind) {
      case 'acquire':
        return this.requests.acquire(session, message, frame, delivery, now);
      case 'cancel':
        return this.requests.cancel(session, message, frame.holder, now);
      case 'commit':
        return this.changes.commit(session, message, frame, now);
      case 'destroy':
        return this.changes.destroy(session, message, frame, now);
      case 'release':
        return this.changes.release(session, message, frame, now);
      case 'knock':
        return this.requests.knock(session, message, frame, delivery, now);
    }
  }

  /** Whether there is anything to look at from time to time. */
  private get looks(): boolean {
    return this.state.waiters.size > 0 || this.recalls.watched.size > 0;
  }

  private get nextLook(): number {
    const { unreachableHolder, leaseMs } = this.parameters;
    return this.lookedAt + Math.min(lookMs[unreachableHolder], leaseMs / 10);
  }

  private isWaitedFor(id: string): boolean {
    const session = this.state.sessions.peek(id);
    return session !== undefined && this.state.waiters.of(session).length > 0;
  }
}
