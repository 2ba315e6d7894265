/**
 * The store's side of the protocol, for one partition and one epoch: who holds each session, who waits, and what every
 * message is answered. Pure: no I/O, no clock, no randomness. The driver loads what `missing` names, hands over frames with `receive`, and then takes
 * `flush`: writes to persist first, then messages to send, then deliveries to acknowledge (rule 7). Rules are cited by
 * their numbers in docs/PROTOCOL.md.
 */
import { Holders, type HolderLeaseRules, type Ownership } from './holders.js';
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
  RevocationReason,
  SessionToken,
} from './messages.js';
import { sameToken, type Now, type Token } from './order.js';
import type { GrantRecord, SessionRecord } from './record.js';
import { SessionCache } from './session-cache.js';
import { partitionOf } from './session-id.js';
import type { SessionState } from './session-state.js';
import { PendingOutputs, type StoreOutputs } from './store-outputs.js';
import { WaitingRoom } from './waiting-room.js';

export interface StoreRules extends HolderLeaseRules {
  /** The deployment's number of partitions. */
  readonly partitions: number;
  /** How long a holder that lives has to release after a recall, in milliseconds (rule 10). */
  readonly recallTimeoutMs: number;
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
  revocations: number;
  destroyed: number;
  expired: number;
  /** Requests that were repeated and got the original answer. */
  repeats: number;
  refusals: number;
}

/** How often the machine looks for leases that have run out, in milliseconds, or ten times in a lease; only while somebody waits. */
const lookMs = { 'wait-for-lease': 250, revoke: 50 };
/** An unreachable holder's session is kept for this share of its time to live beyond its end: touches may be under way (rule 15). */
const graceShare = 1 / 4;

export class PartitionMachine {
  readonly counters: StoreCounters = {
    grants: 0,
    recalls: 0,
    commits: 0,
    releases: 0,
    revocations: 0,
    destroyed: 0,
    expired: 0,
    repeats: 0,
    refusals: 0,
  };

  private readonly sessions = new SessionCache();
  /** Sessions that are revoked but not known to be out of use, and those that are due and held. */
  private readonly watched = new Set<SessionState>();
  private readonly outputs = new PendingOutputs(this.rules.ttlMs);
  private readonly waiting = new WaitingRoom(this.outputs);
  /** Grants made in this epoch: the second half of the next token. */
  private granted = 0;
  private lookedAt: number;

  constructor(
    readonly partition: number,
    readonly epoch: number,
    protected readonly rules: StoreRules,
    ownership: Ownership,
    private readonly holders = new Holders(rules, ownership),
  ) {
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
    if (this.waiting.size === 0 && this.watched.size === 0) return Infinity;
    const nextLook = this.lookedAt + Math.min(lookMs[this.rules.unreachableHolder], this.rules.leaseMs / 10);
    return Math.min(this.waiting.nextDeadline, nextLook);
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

  private cancel(session: SessionState, { request }: Cancel, holder: string, now: Now): void {
    const waiter = this.waiting.of(session, holder);
    if (waiter?.request === request) return this.waiting.leave(session, waiter);
    // A holder cancels only what it never accepted: a grant of it that is on its way is as good as returned.
    const { grant } = session;
    if (grant?.holder === holder && grant.request === request) this.endGrant(session, grant, now);
  }

  private grant(session: SessionState, acquire: Acquire, holder: string, queue: string, now: Now): void {
    const token: Token = [this.epoch, ++this.granted];
    const grant: GrantRecord = {
      token,
      holder,
      request: acquire.request,
      queue,
      seq: 0,
      revoked: false,
    };
    this.changing(session, () => session.begin(grant, acquire.create, now.wall));
    this.counters.grants++;
    this.sendGrant(session, grant, acquire, queue, now);
  }

  private sendGrant(
    session: SessionState,
    grant: GrantRecord,
    { mode, known }: Acquire,
    queue: string,
    now: Now,
  ): void {
    const { token, request, seq } = grant;
    const { id, record } = session;
    const contended = this.waiting.line(session).length > 0;
    if (contended) session.recalledAt ??= now.mono;
    const { set, keep } = session.since(known);
    const head = { kind: 'grant', session: id, request, token, mode, version: record!.version } as const;
    this.outputs.send(queue, { ...head, seq, set, keep, contended });
  }

  /** Asks the lock back; again whenever a waiter repeats its request (rule 4). */
  private recall(session: SessionState, now: Now): void {
    const { id, grant } = session;
    if (!grant || grant.revoked) return;
    if (session.recalledAt === undefined) this.counters.recalls++;
    session.recalledAt ??= now.mono;
    this.outputs.send(this.queueOf(grant), { kind: 'recall', session: id, token: grant.token });
  }

  // Revoking: rule 10. -------------------------------------------------------------------------------------------------

  /**
   * Takes the lock away from a holder that may not keep it while others wait. The next one gets it when the holder cannot use it any more: it has
   * confirmed, or its lease has run out.
   */
  private reconsider(session: SessionState, now: Now): void {
    const { grant } = session;
    const isWaitedFor = this.waiting.line(session).length > 0;
    if (!grant?.revoked && !session.expiring) this.watched.delete(session);
    if (!grant) return;
    if (!grant.revoked) {
      const reason = isWaitedFor || session.expiring ? this.revocable(session, grant, now) : undefined;
      if (!reason) return;
      if (!isWaitedFor && reason === 'lease-over') return this.expire(session, now);
      this.revoke(session, grant, reason);
    }
    if (this.isOutOfUse(session, grant, now)) this.endGrant(session, grant, now);
  }

  /** Whether nobody can use a revoked grant any more: its holder's lease has run out, as it was when it was revoked. */
  protected isOutOfUse(session: SessionState, grant: GrantRecord, now: Now): boolean {
    session.limboEnd ??= this.holders.leaseEnd(grant.holder, now);
    return session.limboEnd <= now.mono || this.holders.hasLapsed(grant.holder, now);
  }

  /** Why a grant that somebody waits for may be revoked; undefined while it may not. */
  protected revocable(session: SessionState, grant: GrantRecord, now: Now): RevocationReason | undefined {
    if (this.holders.hasLapsed(grant.holder, now)) return 'lease-over';
    const recalledMs = now.mono - (session.recalledAt ?? now.mono);
    return recalledMs >= this.rules.recallTimeoutMs ? 'recall-timeout' : undefined;
  }

  private revoke(session: SessionState, grant: GrantRecord, why: RevocationReason): void {
    this.counters.revocations++;
    this.changing(session, () => (grant.revoked = true));
    this.watched.add(session);
    const { id } = session;
    this.outputs.send(this.queueOf(grant), { kind: 'revoked', session: id, token: grant.token, why });
  }

  private queueOf({ holder, queue }: GrantRecord): string {
    return this.holders.queueOf(holder) ?? queue;
  }

  // Changes: rules 1 and 6. --------------------------------------------------------------------------------------------

  private commit(session: SessionState, commit: Commit, { holder, queue }: HolderFrame, now: Now): void {
    const grant = this.currentGrant(session, commit, holder);
    if (!grant) return this.answerEnded(session, commit, holder, queue, now);
    const repeated = commit.seq <= grant.seq;
    if (!repeated && !this.apply(session, commit, grant, queue)) return;
    session.touch(now.wall);
    this.counters[repeated ? 'repeats' : 'commits']++;
    this.confirm(queue, commit);
  }

  private release(session: SessionState, release: Release, { holder, queue }: HolderFrame, now: Now): void {
    const grant = this.currentGrant(session, release, holder);
    if (!grant) return this.answerEnded(session, release, holder, queue, now);
    if (release.seq > grant.seq && !this.apply(session, release, grant, queue)) return;
    this.counters.releases++;
    this.confirm(queue, release);
    this.endGrant(session, grant, now);
  }

  /** Nothing is left but a tombstone, which turns everybody away (rule 14). */
  private destroy(session: SessionState, destroy: Destroy, { holder, queue }: HolderFrame, now: Now): void {
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

  /** The lock goes to the first who waits (rule 2). */
  private endGrant(session: SessionState, grant: GrantRecord, now: Now): void {
    this.changing(session, () => session.end(grant, this.rules.endedGrants));
    this.watched.delete(session);
    const next = this.waiting.next(session, now.mono);
    if (next) this.grant(session, next.acquire, next.holder, next.queue, now);
    else if (session.expiring) this.expire(session, now);
  }

  /** The session's record is changed, counted and written. */
  private changing(session: SessionState, change: () => void): void {
    this.sessions.changing(session, change);
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
      const session = this.sessions.peek(id);
      if (!session) continue;
      session.namedAs(expires);
      if (session.record) this.expire(session, now);
      else this.outputs.write(session);
    }
  }

  /** Removes what is due, and whom nobody holds; a holder is asked to release first: a due expiry counts as a waiter. */
  private expire(session: SessionState, now: Now): void {
    const { grant } = session;
    const isSilent = grant !== undefined && this.holders.hasLapsed(grant.holder, now);
    const dueAt = session.dueAt(this.rules.ttlMs) + (isSilent ? this.graceMs : 0);
    session.expiring = dueAt <= now.wall;
    if (!session.expiring) {
      session.remark(dueAt);
      return this.outputs.write(session);
    }
    if (this.waiting.line(session).length > 0) return;
    if (!grant) {
      if (session.record!.destroyed === undefined) this.counters.expired++;
      return this.changing(session, () => session.remove());
    }
    this.watched.add(session);
    if (!isSilent) return this.recall(session, now);
    this.revoke(session, grant, 'lease-over');
    this.endGrant(session, grant, now);
  }

  private get graceMs(): number {
    return this.rules.ttlMs * graceShare;
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

  /** The session was used by its holder, at `wall` (rule 15). */
  protected touch(session: SessionState, wall: number): void {
    this.changing(session, () => session.touch(wall));
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

  private owns(session: string): boolean {
    return partitionOf(session, this.rules.partitions) === this.partition;
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
