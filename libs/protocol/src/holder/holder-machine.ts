/**
 * The holder's side of the protocol, for one app-server process and all its sessions. It has the requests,
 * the held locks, their changes and their releases, and repeats what is not answered. The machine is pure. It
 * has no I/O, no clock and no randomness. The caller decides which scopes use a held session, and when to
 * drain it. The machine reports the results of frames as events. The parts act. The functions of rules.ts
 * decide. Rules are cited by their numbers in docs/PROTOCOL.md.
 */
import type {
  Acquire,
  ChangeSet,
  Commit,
  Grant,
  HolderMessage,
  RefusalReason,
  Release,
  Renewed,
  StoreMessage,
  StorePart,
} from '../wire/messages.js';
import { sameToken, type Now } from '../wire/order.js';
import { partitionOf } from '../wire/session-id.js';
import { Changes } from './changes.js';
import type { HeldLock } from './held-lock.js';
import { HolderState } from './holder-state.js';
import type { HeldGrant, HolderCounters, HolderEvent } from './outputs.js';
import type { HolderParameters } from './parameters.js';
import { Renewals } from './renewals.js';
import { Requests } from './requests.js';
import { Routes, type HolderTurn } from './routes.js';
import { holderRules, type HolderRules } from './rules.js';

export class HolderMachine {
  readonly counters: HolderCounters;
  private readonly state: HolderState;
  private readonly renewals: Renewals;
  private readonly requests: Requests;
  private readonly changes: Changes;
  private readonly routes: Routes;
  /** The number of partitions, as the store last told it. */
  private partitions: number;

  constructor(
    private readonly parameters: HolderParameters,
    rules: Partial<HolderRules> = {},
  ) {
    this.state = new HolderState(parameters, { ...holderRules, ...rules });
    this.counters = this.state.counters;
    this.renewals = new Renewals(this.state);
    this.requests = new Requests(this.state, this.renewals);
    this.changes = new Changes(this.state, this.renewals);
    this.routes = new Routes(this.state.rules);
    this.partitions = parameters.partitions;
  }

  // Locks. --------------------------------------------------------------------------------------------------

  /**
   * Asks for the lock until `deadline` (monotonic). A later deadline extends a request. `create` lets the
   * store make the session. Does nothing while the lock is held.
   */
  want(id: string, deadline: number, create: ReadonlyMap<string, Uint8Array> | undefined, now: Now): void {
    this.requests.want(id, deadline, create, now);
  }

  /** No scope waits for the session any more. */
  giveUp(id: string): void {
    this.requests.giveUp(id);
  }

  /**
   * Whether a held lock may be used without a question to the store (rules 8 and 9). If not, this asks the
   * store. The answer is the event `trusted` or `lost`.
   */
  trusts(grant: HeldGrant, now: Now): boolean {
    if (this.isTrusted(grant, now)) return true;
    this.renewals.askFor(partitionOf(grant.session, this.parameters.partitions), now);
    return false;
  }

  /** The same, without a question to the store. */
  isTrusted(grant: HeldGrant, now: Now): boolean {
    const session = this.state.sessions.get(grant.session);
    return session?.lock === grant && this.state.leases.trusts(session.partition, session.lock, now);
  }

  /** Whether a lock that no scope uses is given back without a recall (rule 23). */
  isTurnOver({ untilIdle }: HeldGrant, resultsThatWait: number): boolean {
    return untilIdle && this.state.rules.isTurnOver(resultsThatWait);
  }

  // Changes under a held lock. ------------------------------------------------------------------------------

  /**
   * Changes the state under a held lock. The change is sent with this turn. One message has all changes of
   * the lock, and if the lock is released in this turn, it is the release. With write-back it is sent when
   * `flush` is called, the store recalls the lock, or `writeBackMs` have passed. Returns the seq to wait for.
   */
  commit(grant: HeldGrant, changes: ChangeSet, now: Now): number {
    return this.changes.commit(grant, changes, now);
  }

  /** Sends the buffered changes. The seq to wait for is `grant.seq` afterwards. */
  flush(grant: HeldGrant, now: Now): void {
    this.changes.flush(grant, now);
  }

  /**
   * Asks the store to confirm that the lock is still held. When the returned seq is acknowledged, all earlier
   * reads were current (rule 8).
   */
  confirmHeld(grant: HeldGrant, now: Now): number {
    return this.changes.confirmHeld(grant, now);
  }

  /** Gives a held lock back, with last changes. */
  release(grant: HeldGrant, changes: ChangeSet, now: Now): void {
    this.changes.release(grant, changes, now);
  }

  /** Ends a held session for good (rule 14). The seq to wait for is `grant.seq` afterwards. */
  destroy(grant: HeldGrant, now: Now): void {
    this.changes.destroy(grant, now);
  }

  /** The sessions with buffered changes (write-back). */
  unsentSessions(): Set<string> {
    return this.changes.unsentSessions();
  }

  /** How many sessions have changes that are not acknowledged, sent or not. */
  get unacknowledged(): number {
    return this.changes.unacknowledged;
  }

  // The way to the store and back. --------------------------------------------------------------------------

  /**
   * There is a connection. Everything without an answer is sent again. Each partition that was ever asked
   * learns the new queue.
   */
  connected(now: Now): void {
    this.routes.connected();
    this.state.leases.connected();
    this.renewals.renewAll(now);
    for (const session of this.state.unanswered) {
      this.requests.connected(session);
      this.changes.repeat(session, now, 0);
      this.requests.repeat(session, now, 0);
    }
  }

  /** Repeats, renews and sends what is due. The driver calls it about every `tickMs` while `busy`. */
  tick(now: Now): void {
    const { repeatMs } = this.parameters;
    this.routes.tick(now.mono, repeatMs);
    this.renewals.renewWhatIsDue(now);
    for (const session of this.state.unanswered) {
      this.changes.repeat(session, now, repeatMs);
      this.requests.repeat(session, now, repeatMs);
    }
    this.changes.flushWhatIsDue(now);
    this.renewals.touchWhatIsDue(now);
  }

  /**
   * A part of a store's frame, and the key that the frame names. Calls `afterEach` after each message. So the
   * events that are taken there fit the present state.
   */
  receive(frame: StorePart, now: Now, afterEach: () => void = () => {}, key = ''): void {
    const { partition } = frame;
    const owner = this.hear(frame, key, now);
    if (owner === 'stale') return;
    for (const message of frame.messages) {
      this.obey(message, partition, now);
      afterEach();
    }
    this.renewals.renewAllOwing();
    if (owner === 'new' || this.requests.takeDoubt(partition)) this.renewals.renew(partition, now);
  }

  private obey(message: StoreMessage, partition: number, now: Now): void {
    // A store speaks only for the sessions of its partition.
    const { partitions } = this.parameters;
    if ('session' in message && partitionOf(message.session, partitions) !== partition) return;
    switch (message.kind) {
      case 'grant':
        this.granted(message, partition, now);
        break;
      case 'recall':
        this.changes.recalled(message.session, message.token, partition);
        break;
      case 'renewed':
        this.renewed(message, partition, now);
        break;
      case 'committed':
        this.changes.answered(message.session, message.token, message.seq, now);
        break;
      case 'released':
        this.changes.givenBack(message.session, message.token, now);
        break;
      case 'refused':
        if (message.token) this.changes.refused(message, message.token, partition, now);
        else this.requests.refused(message, now);
        break;
      case 'revoked':
        this.changes.revoked(message.session, message.token, partition, now);
        break;
      case 'disowned':
      case 'mismatch': // for a holder of another version, which reads no more than the head of its frame
    }
  }

  /**
   * Whether an acquire is in its session's queue now. If not, it is not on its way there any more either
   * (rule 21).
   */
  enqueued(acquire: Acquire, isThere: boolean, now: Now): void {
    this.requests.enqueued(acquire, isThere, now);
  }

  /** An acquire was not put into its session's queue, since a limit is reached. */
  turnedAway({ session, request }: Acquire, why: RefusalReason, detail: string, now: Now): void {
    this.requests.refused({ kind: 'refused', session, request, why, detail }, now);
  }

  /** A message that was taken cannot be sent. Its request or change fails. It is not repeated. */
  unsendable(message: HolderMessage, partition: number, detail: string, now: Now): void {
    switch (message.kind) {
      case 'acquire':
      case 'knock':
        return this.requests.refused({ ...message, kind: 'refused', why: 'unsupported', detail }, now);
      case 'commit':
      case 'destroy':
        return this.changes.unsendable(message, partition);
      case 'release':
        if (message.seq === 0) return this.state.leases.dropRepeated(partition, message);
        return this.changes.unsendable(message, partition);
      case 'cancel':
      case 'renew':
      case 'leave':
        return this.state.leases.dropRepeated(partition, message);
    }
  }

  /**
   * The broker refuses this change as too large. Returns the message to send in its place. It is a commit
   * behind a gap, which the store refuses (rule 6). The refusal comes after the answers to earlier changes,
   * and shows whether this one was ever applied.
   */
  tooLarge(change: Commit | Release): Commit {
    return this.changes.tooLarge(change);
  }

  /** Sends the message that takes the place of one that is too large. */
  sendInstead(partition: number, message: Commit): void {
    this.state.send(partition, message);
  }

  /**
   * Tells each store the uses that it must know, and that this holder leaves and holds nothing (rule 3). No
   * lock may be in use any more, and no change buffered.
   */
  leave(now: Now): void {
    this.changes.flushWhatLeaves();
    this.renewals.touchBeforeLeave(now);
    for (const partition of this.state.leases.known()) this.state.send(partition, { kind: 'leave' });
  }

  /** A frame to the own queue of the store with this key came back. */
  returned(key: string, now: Now): void {
    for (const partition of this.routes.returned(key)) this.goRound(partition, now);
  }

  /** What went to a store that does not read it is sent again, to the partition's queue (rule 22). */
  private goRound(partition: number, now: Now): void {
    for (const session of this.state.unanswered)
      if (session.partition === partition) this.changes.repeat(session, now, 0);
    this.renewals.renew(partition, now);
  }

  /** The same by the ways that the messages go. */
  takeTurn(now: Now): HolderTurn {
    return this.routes.split(this.takeMessages(), (partition) => this.epochOf(partition), now.mono);
  }

  /** Messages by partition, in order, since the last call. */
  takeMessages(): ReadonlyMap<number, readonly HolderMessage[]> {
    this.changes.flushWhatLeaves();
    return this.state.takeMessages();
  }

  /** What happened since the last call, in order. */
  takeEvents(): readonly HolderEvent[] {
    return this.state.takeEvents();
  }

  /**
   * The highest epoch of the partition that this holder knows. Each frame to its store bears it (rule 13).
   */
  epochOf(partition: number): number {
    return this.state.leases.epochOf(partition);
  }

  get tickMs(): number {
    return Math.min(this.state.leases.shortestMs, this.parameters.writeBackMs || Infinity) / 2;
  }

  /** Whether there is anything to renew or repeat. */
  get busy(): boolean {
    return this.state.sessions.size > 0 || !this.state.leases.needed().next().done;
  }

  /** Whether an answer is due. */
  get awaitsAnswer(): boolean {
    return this.state.unanswered.size > 0 || this.changes.isAnyLeaving || this.state.leases.awaitAnswer;
  }

  /** For operators: how many sessions are here, and for how many an answer is due. */
  snapshot() {
    return { sessions: this.state.sessions.size, unanswered: this.state.unanswered.size };
  }

  /** For tests of its bounds: the size of everything in memory. */
  memory() {
    const { leases, sessions } = this.state;
    const locks = [...sessions.values()].filter(({ lock, offer }) => lock ?? offer).length;
    return { sessions: sessions.size, locks, unsent: this.unsentSessions().size, leases: leases.memory() };
  }

  /** Whether the part counts, and what it tells of the owner (rules 13 and 22). */
  private hear({ partition, epoch, messages }: StorePart, key: string, now: Now): 'new' | 'same' | 'stale' {
    if (messages[0]?.kind === 'disowned') {
      if (this.routes.disowned(partition, key)) this.goRound(partition, now);
      return 'stale';
    }
    const owner = this.state.leases.received(partition, epoch);
    if (owner === 'stale') this.counters.staleFrames++;
    else if (this.routes.heard(partition, key)) this.goRound(partition, now);
    return owner;
  }

  private granted(message: Grant, partition: number, now: Now): void {
    const { session: id, token } = message;
    const session = this.state.sessions.get(id);
    // An offer has its copy, too. The copy could not always be built again. The holder would then return a
    // grant that it was offered.
    const here = session?.lock ?? session?.offer;
    if (!here || !sameToken(here.token, token)) return this.requests.granted(message, partition, now);
    if (message.contended) this.changes.recalled(id, token, partition);
  }

  /** Acts on the answer to a renewal (rules 8 to 11). */
  private renewed(message: Renewed, partition: number, now: Now): void {
    const { leases, sessions } = this.state;
    const { confirmed, lost } = leases.answered(partition, message, now);
    this.learnPartitions(message.partitions);
    this.renewals.learnTtl(message.ttlMs);
    for (const { session, token } of lost) this.changes.revoked(session, token, partition, now);
    for (const lock of confirmed) {
      const session = sessions.get(lock.session)!;
      if (session.offer === lock) this.requests.accept(session, session.offer);
      else this.state.tell({ kind: 'trusted', grant: lock as HeldLock });
    }
    for (const [session, token] of message.revoked) this.changes.revoked(session, token, partition, now);
    for (const [session, token] of message.recalled) this.changes.recalled(session, token, partition);
  }

  private learnPartitions(partitions: number): void {
    if (this.state.rules.agrees(partitions, this.partitions)) return;
    this.partitions = partitions;
    this.state.tell({ kind: 'partitions', partitions });
  }
}
