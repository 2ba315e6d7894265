/**
 * The store's side of the protocol, for one partition and one epoch: who holds each session, who waits, and what every
 * message is answered. Pure: no I/O, no clock, no randomness. The driver loads what `missing` names, hands over frames with `receive`, and then takes
 * `flush`: writes to persist first, then messages to send, then deliveries to acknowledge (rule 7). Rules are cited by
 * their numbers in docs/PROTOCOL.md.
 */
import { limits } from './limits.js';
import type {
  Acquire,
  Cancel,
  Commit,
  Destroy,
  HolderFrame,
  HolderMessage,
  Refused,
  Release,
  Renew,
} from './messages.js';
import { sameToken, type Now, type Token } from './order.js';
import type { GrantRecord, SessionRecord } from './record.js';
import { partitionOf } from './session-id.js';
import { SessionState } from './session-state.js';
import { PendingOutputs, type StoreOutputs } from './store-outputs.js';
import { WaitingRoom } from './waiting-room.js';

export interface StoreRules {
  /** The deployment's number of partitions. */
  readonly partitions: number;
  /** How long a holder may trust its locks without an answer, in milliseconds. */
  readonly leaseMs: number;
  /** Most requests that may wait for one session, and in one partition. */
  readonly waitersPerSession: number;
  readonly waitersPerPartition: number;
  /** Ended grants remembered for each session (rule 6). */
  readonly endedGrants: number;
  /** How long after its last touch a session is kept, in milliseconds (rule 15). */
  readonly ttlMs: number;
  /** How long a destroyed session is remembered, in milliseconds: far longer than the longest wait (rule 14). */
  readonly tombstoneMs: number;
}

export interface StoreCounters {
  grants: number;
  recalls: number;
  commits: number;
  releases: number;
  destroyed: number;
  expired: number;
  /** Requests that were repeated and got the original answer. */
  repeats: number;
  refusals: number;
}

/** What an entry costs beside its values, roughly: for the bound on memory. */
const entryBytes = 600;
/** Holders whose queue is remembered, the latest first. */
const rememberedHolders = 10_000;

export class PartitionMachine {
  readonly counters: StoreCounters = {
    grants: 0,
    recalls: 0,
    commits: 0,
    releases: 0,
    destroyed: 0,
    expired: 0,
    repeats: 0,
    refusals: 0,
  };

  /** Least recently used first. */
  private readonly sessions = new Map<string, SessionState>();
  /** Where each holder is reached now. */
  private readonly queues = new Map<string, string>();
  private readonly outputs = new PendingOutputs(this.rules.ttlMs);
  private readonly waiting = new WaitingRoom(this.outputs);
  /** Grants made in this epoch: the second half of the next token. */
  private granted = 0;
  private bytes = 0;

  constructor(
    readonly partition: number,
    readonly epoch: number,
    protected readonly rules: StoreRules,
  ) {}

  /** The sessions that must be given to `load` before this frame can be received. */
  missing(frame: HolderFrame): string[] {
    const missing = new Set<string>();
    for (const message of frame.messages) {
      const touched = message.kind === 'renew' ? (message.touches ?? []).map(([id]) => id) : [];
      for (const id of 'session' in message ? [message.session] : touched) {
        if (this.owns(id) && !this.sessions.has(id)) missing.add(id);
      }
    }
    return [...missing];
  }

  /** What the repository has of a session; undefined when it does not know it. */
  load(id: string, record: SessionRecord | undefined): void {
    if (this.sessions.has(id)) return;
    const session = new SessionState(id, record);
    this.sessions.set(id, session);
    this.bytes += entryBytes + session.bytes;
  }

  /** One frame, delivered as `delivery`, a number that `settled` will name when all of it is settled. */
  receive(frame: HolderFrame, delivery: number, now: Now): void {
    this.remember(frame.holder, frame.queue);
    this.outputs.hold(delivery);
    for (const message of frame.messages) this.receiveMessage(message, frame, delivery, now);
    this.outputs.settle(delivery);
  }

  /** Drops the waiters whose time is over (rule 2). To be called at `nextDeadline` or later. */
  tick(now: Now): void {
    this.waiting.tick(now.mono);
  }

  /** When `tick` may have something to do, by the monotonic clock; Infinity when nobody waits. */
  get nextDeadline(): number {
    return this.waiting.nextDeadline;
  }

  /** Everything that has come of what was received since the last flush. */
  flush(): StoreOutputs {
    return this.outputs.take();
  }

  /** Forgets sessions for which nobody waits, least recently used first, until the rest fits `bytes`. Only after a flush is persisted. */
  evict(bytes: number): void {
    if (this.bytes <= bytes) return;
    for (const session of this.sessions.values()) {
      if (this.bytes <= bytes) return;
      if (this.waiting.line(session).length > 0) continue;
      this.sessions.delete(session.id);
      this.bytes -= entryBytes + session.bytes;
    }
  }

  /** For operators: what is in memory now. */
  snapshot() {
    return {
      partition: this.partition,
      epoch: this.epoch,
      sessions: this.sessions.size,
      contended: this.waiting.contended,
      waiting: this.waiting.size,
      bytes: this.bytes,
    };
  }

  private receiveMessage(message: HolderMessage, frame: HolderFrame, delivery: number, now: Now): void {
    if (!('session' in message)) {
      if (message.kind === 'renew') this.renew(message, frame, now);
      else this.queues.delete(frame.holder);
      return;
    }
    if (!this.owns(message.session)) {
      const detail = `this deployment has ${this.rules.partitions} partitions`;
      return this.refuse(frame.queue, message, 'wrong-partition', { detail });
    }
    const session = this.sessions.get(message.session)!;
    this.sessions.delete(session.id);
    this.sessions.set(session.id, session);
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
      default:
        return this.refuse(frame.queue, message, 'unsupported');
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
      if (!earlier) return this.sendGrant(session, held!, acquire, queue);
      this.waiting.repeat(earlier, { acquire, queue, deadline });
      return this.recall(session);
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
    if (!session.recalled) this.recall(session);
  }

  private cancel(session: SessionState, { request }: Cancel, holder: string, now: Now): void {
    const waiter = this.waiting.of(session, holder);
    if (waiter?.request === request) return this.waiting.leave(session, waiter);
    // A holder cancels only what it never accepted: a grant of it that is on its way is as good as returned.
    const { grant } = session;
    if (grant?.holder === holder && grant.request === request) this.endGrant(session, grant, now);
  }

  private grant(session: SessionState, acquire: Acquire, holder: string, queue: string, now: Now): void {
    const token: Token = [this.epoch, ++this.granted];
    const grant: GrantRecord = { token, holder, request: acquire.request, queue, seq: 0 };
    this.changing(session, () => session.begin(grant, acquire.create, now.wall));
    this.counters.grants++;
    this.sendGrant(session, grant, acquire, queue);
  }

  private sendGrant(
    session: SessionState,
    grant: GrantRecord,
    { mode, known }: Acquire,
    queue: string,
  ): void {
    const { token, request, seq } = grant;
    const { id, record } = session;
    const contended = this.waiting.line(session).length > 0;
    session.recalled = contended;
    const { set, keep } = session.since(known, this.epoch);
    const head = { kind: 'grant', session: id, request, token, mode, version: record!.version } as const;
    this.outputs.send(queue, { ...head, seq, set, keep, contended });
  }

  /** Asks the lock back; again whenever a waiter repeats its request (rule 4). */
  private recall(session: SessionState): void {
    const { id, grant } = session;
    if (!grant) return;
    if (!session.recalled) this.counters.recalls++;
    session.recalled = true;
    this.outputs.send(this.queues.get(grant.holder) ?? grant.queue, {
      kind: 'recall',
      session: id,
      token: grant.token,
    });
  }

  // Changes: rules 1 and 6. --------------------------------------------------------------------------------------------

  private commit(session: SessionState, commit: Commit, { holder, queue }: HolderFrame, now: Now): void {
    const grant = this.currentGrant(session, commit, holder);
    if (!grant) return this.answerEnded(session, commit, holder, queue);
    const repeated = commit.seq <= grant.seq;
    if (!repeated && !this.apply(session, commit, grant, queue)) return;
    session.touch(now.wall);
    this.counters[repeated ? 'repeats' : 'commits']++;
    this.confirm(queue, commit);
  }

  private release(session: SessionState, release: Release, { holder, queue }: HolderFrame, now: Now): void {
    const grant = this.currentGrant(session, release, holder);
    if (!grant) return this.answerEnded(session, release, holder, queue);
    if (release.seq > grant.seq && !this.apply(session, release, grant, queue)) return;
    this.counters.releases++;
    this.confirm(queue, release);
    this.endGrant(session, grant, now);
  }

  /** Nothing is left but a tombstone, which turns everybody away (rule 14). */
  private destroy(session: SessionState, destroy: Destroy, { holder, queue }: HolderFrame, now: Now): void {
    const grant = this.currentGrant(session, destroy, holder);
    if (!grant) return this.answerEnded(session, destroy, holder, queue);
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
    return grant && grant.holder === holder && sameToken(grant.token, token) ? grant : undefined;
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
  ): void {
    const { kind, token, seq } = change;
    const ended = session.ended(holder, token);
    this.counters.repeats++;
    if ((ended && seq <= ended.seq) || (kind === 'release' && seq === 0)) this.confirm(queue, change);
    else if (ended) this.refuse(queue, change, 'ended', { appliedThrough: ended.seq });
    else this.refuse(queue, change, 'outcome-unknown');
  }

  private confirm(queue: string, { kind, session, token, seq }: Commit | Release | Destroy): void {
    if (kind === 'commit') this.outputs.send(queue, { kind: 'committed', session, token, seq });
    else this.outputs.send(queue, { kind: 'released', session, token });
  }

  /** The lock goes to the first who waits (rule 2). */
  private endGrant(session: SessionState, grant: GrantRecord, now: Now): void {
    this.changing(session, () => session.end(grant, this.rules.endedGrants));
    const next = this.waiting.next(session, now.mono);
    if (next) this.grant(session, next.acquire, next.holder, next.queue, now);
    else if (session.expiring) this.expire(session, now);
  }

  /** The session's record is changed, counted and written. */
  private changing(session: SessionState, change: () => void): void {
    const { bytes } = session;
    change();
    this.bytes += session.bytes - bytes;
    this.outputs.write(session);
  }

  /** Rule 14: destroyed sessions stay destroyed. */
  protected isDestroyed(session: SessionState): boolean {
    return session.record?.destroyed !== undefined;
  }

  // Expiry: rule 15. ---------------------------------------------------------------------------------------------------

  /** The repository's index names these sessions, which have been given to `load`, as due. */
  due(named: readonly { readonly session: string; readonly expires: number }[], now: Now): void {
    for (const { session: id, expires } of named) {
      const session = this.sessions.get(id);
      if (!session) continue;
      session.namedAs(expires);
      if (session.record) this.expire(session, now);
      else this.outputs.write(session);
    }
  }

  /** Removes what is due, and whom nobody holds; a holder is asked to release first: a due expiry counts as a waiter. */
  private expire(session: SessionState, now: Now): void {
    if (session.dueAt(this.rules.ttlMs) > now.wall) {
      session.remark();
      return this.outputs.write(session);
    }
    if (this.waiting.line(session).length > 0) return;
    if (session.grant) {
      session.expiring = true;
      return this.recall(session);
    }
    if (session.record!.destroyed === undefined) this.counters.expired++;
    this.changing(session, () => session.remove());
  }

  // Holders. -----------------------------------------------------------------------------------------------------------

  private renew({ n, touches = [] }: Renew, { holder, queue }: HolderFrame, now: Now): void {
    for (const [id, ageMs] of touches) {
      const session = this.sessions.get(id);
      if (session?.grant?.holder === holder) this.changing(session, () => session.touch(now.wall - ageMs));
    }
    const recalled: [string, Token][] = [];
    for (const { id, grant } of this.waiting.sessions()) {
      if (grant?.holder === holder && recalled.length < limits.listed) recalled.push([id, grant.token]);
    }
    const { leaseMs, ttlMs, partitions } = this.rules;
    this.outputs.send(queue, { kind: 'renewed', n, leaseMs, ttlMs, partitions, recalled, revoked: [] });
  }

  private owns(session: string): boolean {
    return partitionOf(session, this.rules.partitions) === this.partition;
  }

  private remember(holder: string, queue: string): void {
    this.queues.delete(holder);
    this.queues.set(holder, queue);
    if (this.queues.size > rememberedHolders) this.queues.delete(this.queues.keys().next().value!);
  }

  private refuse(
    queue: string,
    message: Exclude<HolderMessage, { kind: 'renew' | 'leave' }>,
    why: Refused['why'],
    more: { appliedThrough?: number; detail?: string } = {},
  ): void {
    const { session } = message;
    this.counters.refusals++;
    const what =
      'request' in message ? { request: message.request } : { token: message.token, seq: message.seq };
    this.outputs.send(queue, { kind: 'refused', session, why, ...what, ...more });
  }
}
