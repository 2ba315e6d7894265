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
  Changes,
  Commit,
  HolderFrame,
  HolderMessage,
  Refused,
  Release,
  Renew,
  StoreMessage,
} from './messages.js';
import { compareVersions, sameToken, type Now, type Token, type Version } from './order.js';
import type { EndedGrant, GrantRecord, SessionRecord } from './record.js';
import { partitionOf } from './session-id.js';

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
}

/** What must follow, in this order: persist `writes`, send `messages`, acknowledge `settled`. */
export interface StoreOutputs {
  readonly writes: readonly RecordWrite[];
  /** Messages by the holder's queue that they go to, in order. */
  readonly messages: ReadonlyMap<string, readonly StoreMessage[]>;
  /** Deliveries (numbers given to `receive`) of which everything is settled. */
  readonly settled: readonly number[];
}

/** A session's record as it is now, and which of its attributes changed since the last flush. */
export interface RecordWrite {
  readonly session: string;
  readonly record: SessionRecord;
  readonly set: readonly string[];
  readonly delete: readonly string[];
}

export interface StoreCounters {
  grants: number;
  recalls: number;
  commits: number;
  releases: number;
  /** Requests that were repeated and got the original answer. */
  repeats: number;
  refusals: number;
}

interface Waiter {
  readonly holder: string;
  readonly request: number;
  readonly delivery: number;
  readonly acquire: Acquire;
  queue: string;
  /** By the monotonic clock, in milliseconds. */
  deadline: number;
}

interface Session {
  readonly id: string;
  /** Undefined while the store does not know the session. */
  record: SessionRecord | undefined;
  readonly waiters: Waiter[];
  /** The holder was asked, or told by a contended grant, to release (rule 4). */
  recalled: boolean;
  /** Bytes of all values. */
  bytes: number;
}

/** What an entry costs beside its values, roughly: for the bound on memory. */
const entryBytes = 600;
/** Holders whose queue is remembered, the latest first. */
const rememberedHolders = 10_000;

export class PartitionMachine {
  readonly counters: StoreCounters = { grants: 0, recalls: 0, commits: 0, releases: 0, repeats: 0, refusals: 0 };

  /** Least recently used first. */
  private readonly sessions = new Map<string, Session>();
  private readonly contended = new Set<Session>();
  /** Where each holder is reached now. */
  private readonly queues = new Map<string, string>();
  /** How many requests of a delivery still wait. */
  private readonly parked = new Map<number, number>();
  private granted = 0;
  private waiting = 0;
  private bytes = 0;
  private earliestDeadline = Infinity;

  private changed = new Map<Session, { set: Set<string>; delete: Set<string> }>();
  private outbox = new Map<string, StoreMessage[]>();
  private settled: number[] = [];

  constructor(
    readonly partition: number,
    readonly epoch: number,
    protected readonly rules: StoreRules,
  ) {}

  /** The sessions that must be given to `load` before this frame can be received. */
  missing(frame: HolderFrame): string[] {
    const missing = new Set<string>();
    for (const message of frame.messages) {
      if (!('session' in message) || this.sessions.has(message.session)) continue;
      if (this.owns(message.session)) missing.add(message.session);
    }
    return [...missing];
  }

  /** What the repository has of a session; undefined when it does not know it. */
  load(session: string, record: SessionRecord | undefined): void {
    if (this.sessions.has(session)) return;
    let bytes = 0;
    for (const attribute of record?.attributes.values() ?? []) bytes += attribute.bytes.length;
    this.sessions.set(session, { id: session, record, waiters: [], recalled: false, bytes });
    this.bytes += entryBytes + bytes;
  }

  /** One frame, delivered as `delivery`, a number that `settled` will name when all of it is settled. */
  receive(frame: HolderFrame, delivery: number, now: Now): void {
    this.remember(frame.holder, frame.queue);
    this.parked.set(delivery, 1);
    for (const message of frame.messages) this.receiveMessage(message, frame, delivery, now);
    this.unpark(delivery);
  }

  /** Drops the waiters whose time is over (rule 2). To be called at `nextDeadline` or later. */
  tick(now: Now): void {
    this.earliestDeadline = Infinity;
    for (const session of this.contended) {
      for (const waiter of [...session.waiters]) {
        if (waiter.deadline <= now.mono) this.drop(session, waiter);
        else this.earliestDeadline = Math.min(this.earliestDeadline, waiter.deadline);
      }
    }
  }

  /** When `tick` has something to do, by the monotonic clock; Infinity when nobody waits. */
  get nextDeadline(): number {
    return this.earliestDeadline;
  }

  /** Everything that has come of what was received since the last flush. */
  flush(): StoreOutputs {
    const writes: RecordWrite[] = [];
    for (const [session, { set, delete: removed }] of this.changed) {
      writes.push({ session: session.id, record: session.record!, set: [...set], delete: [...removed] });
    }
    const outputs = { writes, messages: this.outbox, settled: this.settled };
    this.changed = new Map();
    this.outbox = new Map();
    this.settled = [];
    return outputs;
  }

  /** Forgets sessions for which nobody waits, least recently used first, until the rest fits `bytes`. Only after a flush is persisted. */
  evict(bytes: number): void {
    if (this.bytes <= bytes) return;
    for (const session of this.sessions.values()) {
      if (this.bytes <= bytes) return;
      if (session.waiters.length > 0) continue;
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
      contended: this.contended.size,
      waiting: this.waiting,
      bytes: this.bytes,
    };
  }

  private receiveMessage(message: HolderMessage, frame: HolderFrame, delivery: number, now: Now): void {
    if (!('session' in message)) {
      if (message.kind === 'renew') this.renew(message, frame);
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
        return this.commit(session, message, frame);
      case 'release':
        return this.release(session, message, frame, now);
      default:
        return this.refuse(frame.queue, message, 'unsupported');
    }
  }

  // Waiting and granting: rules 2 and 4. ----------------------------------------------------------------------------

  private acquire(session: Session, acquire: Acquire, frame: HolderFrame, delivery: number, now: Now): void {
    const { holder, queue } = frame;
    const grant = session.record?.grant;
    if (grant?.holder === holder && grant.request === acquire.request) {
      this.counters.repeats++;
      return this.sendGrant(session, grant, acquire, queue);
    }
    const deadline = now.mono + acquire.waitMs;
    const earlier = session.waiters.find((waiter) => waiter.holder === holder);
    if (earlier?.request === acquire.request) {
      this.counters.repeats++;
      earlier.queue = queue;
      earlier.deadline = deadline;
      this.earliestDeadline = Math.min(this.earliestDeadline, deadline);
      return this.recall(session);
    }
    if (earlier) this.drop(session, earlier); // a holder has one outstanding acquire for a session
    if (!session.record && !acquire.create) return this.refuse(queue, acquire, 'unknown-session');
    if (
      session.waiters.length >= this.rules.waitersPerSession ||
      this.waiting >= this.rules.waitersPerPartition
    ) {
      const detail = `at most ${this.rules.waitersPerSession} for a session and ${this.rules.waitersPerPartition} in a partition`;
      return this.refuse(queue, acquire, 'too-many-waiters', { detail });
    }
    session.waiters.push({ holder, queue, request: acquire.request, delivery, acquire, deadline });
    this.contended.add(session);
    this.waiting++;
    this.earliestDeadline = Math.min(this.earliestDeadline, deadline);
    this.parked.set(delivery, this.parked.get(delivery)! + 1);
    if (!grant) this.grantNext(session, now);
    else if (!session.recalled) this.recall(session);
  }

  private cancel(session: Session, { request }: Cancel, holder: string, now: Now): void {
    const waiter = session.waiters.find((w) => w.holder === holder && w.request === request);
    if (waiter) return this.drop(session, waiter);
    // A holder cancels only what it never accepted: a grant of it that is on its way is as good as returned.
    const grant = session.record?.grant;
    if (grant?.holder === holder && grant.request === request) this.endGrant(session, session.record!, now);
  }

  /** First come, first served (rule 2). */
  private grantNext(session: Session, now: Now): void {
    let waiter = session.waiters[0];
    while (waiter && waiter.deadline <= now.mono) {
      this.drop(session, waiter);
      waiter = session.waiters[0];
    }
    if (!waiter) return;
    this.drop(session, waiter);
    const { holder, queue, request, acquire } = waiter;
    const token: Token = [this.epoch, ++this.granted];
    const grant: GrantRecord = { token, holder, request, queue, seq: 0 };
    const known = session.record;
    session.record ??= { version: [...token, 0], grant, ended: [], attributes: new Map() };
    session.record.grant = grant;
    this.touch(session);
    if (!known && acquire.create?.size) {
      grant.seq = 1;
      this.apply(session, session.record, { set: acquire.create, delete: [] }, [...token, 1]);
    }
    this.counters.grants++;
    this.sendGrant(session, grant, acquire, queue);
  }

  private sendGrant(session: Session, { token, request, seq }: GrantRecord, acquire: Acquire, queue: string): void {
    const { attributes, version } = session.record!;
    const known = acquire.known && compareVersions(acquire.known, version) <= 0 ? acquire.known : undefined;
    const set = new Map<string, Uint8Array>();
    const keep: string[] = [];
    for (const [name, attribute] of attributes) {
      if (known && compareVersions(attribute.version, known) <= 0) keep.push(name);
      else set.set(name, attribute.bytes);
    }
    const contended = session.waiters.length > 0;
    session.recalled = contended;
    const { id } = session;
    this.send(queue, {
      kind: 'grant',
      session: id,
      request,
      token,
      mode: acquire.mode,
      version,
      seq,
      set,
      keep,
      contended,
    });
  }

  /** Asks the lock back; again whenever a waiter repeats its request (rule 4). */
  private recall(session: Session): void {
    const grant = session.record?.grant;
    if (!grant) return;
    if (!session.recalled) this.counters.recalls++;
    session.recalled = true;
    const queue = this.queues.get(grant.holder) ?? grant.queue;
    this.send(queue, { kind: 'recall', session: session.id, token: grant.token });
  }

  private drop(session: Session, waiter: Waiter): void {
    session.waiters.splice(session.waiters.indexOf(waiter), 1);
    if (session.waiters.length === 0) this.contended.delete(session);
    this.waiting--;
    this.unpark(waiter.delivery);
  }

  // Changes: rules 1 and 6. --------------------------------------------------------------------------------------------

  private commit(session: Session, commit: Commit, { holder, queue }: HolderFrame): void {
    const { id } = session;
    const { token, seq } = commit;
    const grant = this.currentGrant(session, commit, holder);
    if (!grant) return this.answerEnded(session, commit, holder, queue);
    if (seq <= grant.seq) {
      this.counters.repeats++;
    } else {
      const reason = this.objection(session, commit, grant);
      if (reason) return this.refuse(queue, commit, reason, { appliedThrough: grant.seq });
      this.counters.commits++;
      grant.seq = seq;
      this.apply(session, session.record!, commit, [...token, seq]);
    }
    this.send(queue, { kind: 'committed', session: id, token, seq });
  }

  private release(session: Session, release: Release, { holder, queue }: HolderFrame, now: Now): void {
    const { token, seq } = release;
    const grant = this.currentGrant(session, release, holder);
    if (!grant) return this.answerEnded(session, release, holder, queue);
    if (seq > grant.seq) {
      const reason = this.objection(session, release, grant);
      if (reason) return this.refuse(queue, release, reason, { appliedThrough: grant.seq });
      grant.seq = seq;
      this.apply(session, session.record!, release, [...token, seq]);
    }
    this.counters.releases++;
    this.send(queue, { kind: 'released', session: session.id, token });
    this.endGrant(session, session.record!, now);
  }

  /** The fence: the session's grant when this message bears its token and comes from its holder (rules 1 and 6). */
  protected currentGrant(session: Session, { token }: Commit | Release, holder: string): GrantRecord | undefined {
    const grant = session.record?.grant;
    return grant && grant.holder === holder && sameToken(grant.token, token) ? grant : undefined;
  }

  /** Why a change must not be applied now. */
  private objection(session: Session, { seq, set }: Commit | Release, grant: GrantRecord): Refused['why'] | undefined {
    if (seq !== grant.seq + 1) return 'gap';
    const { attributes } = session.record!;
    let bytes = session.bytes;
    let count = attributes.size;
    for (const [name, value] of set) {
      const old = attributes.get(name);
      bytes += value.length - (old?.bytes.length ?? 0);
      if (!old) count++;
    }
    return bytes > limits.sessionBytes || count > limits.attributes ? 'too-large' : undefined;
  }

  private answerEnded(session: Session, message: Commit | Release, holder: string, queue: string): void {
    const { kind, token, seq } = message;
    const ended = session.record?.ended.find((e) => e.holder === holder && sameToken(e.token, token));
    this.counters.repeats++;
    if (ended && seq <= ended.seq) {
      if (kind === 'release') this.send(queue, { kind: 'released', session: session.id, token });
      else this.send(queue, { kind: 'committed', session: session.id, token, seq });
    } else if (kind === 'release' && seq === 0) {
      this.send(queue, { kind: 'released', session: session.id, token });
    } else if (ended) {
      this.refuse(queue, message, 'ended', { appliedThrough: ended.seq });
    } else {
      this.refuse(queue, message, 'outcome-unknown');
    }
  }

  private endGrant(session: Session, record: SessionRecord, now: Now): void {
    const { token, holder, seq } = record.grant!;
    const ended: EndedGrant = { token, holder, seq };
    record.ended = [...record.ended, ended].slice(-this.rules.endedGrants);
    record.grant = undefined;
    session.recalled = false;
    this.touch(session);
    this.grantNext(session, now);
  }

  private apply(session: Session, record: SessionRecord, changes: Changes, version: Version): void {
    const change = this.touch(session);
    if (changes.set.size === 0 && changes.delete.length === 0) return;
    record.version = version;
    const before = session.bytes;
    for (const name of changes.delete) {
      session.bytes -= record.attributes.get(name)?.bytes.length ?? 0;
      if (!record.attributes.delete(name)) continue;
      change.set.delete(name);
      change.delete.add(name);
    }
    for (const [name, bytes] of changes.set) {
      session.bytes += bytes.length - (record.attributes.get(name)?.bytes.length ?? 0);
      record.attributes.set(name, { bytes, version });
      change.delete.delete(name);
      change.set.add(name);
    }
    this.bytes += session.bytes - before;
  }

  /** The session's record must be written with the next flush. */
  private touch(session: Session) {
    let change = this.changed.get(session);
    if (!change) this.changed.set(session, (change = { set: new Set(), delete: new Set() }));
    return change;
  }

  // Holders. -----------------------------------------------------------------------------------------------------------

  private renew({ n }: Renew, { holder, queue }: HolderFrame): void {
    const recalled: [string, Token][] = [];
    for (const { id, record } of this.contended) {
      if (record?.grant?.holder === holder && recalled.length < limits.listed) recalled.push([id, record.grant.token]);
    }
    this.send(queue, { kind: 'renewed', n, leaseMs: this.rules.leaseMs, recalled, revoked: [] });
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
    this.send(queue, { kind: 'refused', session, why, ...what, ...more });
  }

  private send(queue: string, message: StoreMessage): void {
    const messages = this.outbox.get(queue);
    if (messages) messages.push(message);
    else this.outbox.set(queue, [message]);
  }

  private unpark(delivery: number): void {
    const left = this.parked.get(delivery)! - 1;
    if (left > 0) {
      this.parked.set(delivery, left);
    } else {
      this.parked.delete(delivery);
      this.settled.push(delivery);
    }
  }
}
