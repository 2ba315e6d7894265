/**
 * The holder's side of the protocol, for one app-server process and all its sessions: what is asked, held, changed and given back, and
 * what is repeated until it is answered. Pure: no I/O, no clock, no randomness. Who may use a held session, and when it is drained, is
 * decided by the caller; what came of a frame is told as events. Rules are cited by their numbers in docs/PROTOCOL.md.
 */
import { alter, gripOf, holdBack, takeUnsent, type Grip, type KnownCopy } from './grip.js';
import type { HeldGrant, HolderCounters, HolderEvent } from './holder-outputs.js';
import { Leases, type LeaseRules } from './leases.js';
import { limits } from './limits.js';
import { noChanges } from './messages.js';
import type {
  Cancel,
  Changes,
  Commit,
  Destroy,
  Grant,
  HolderMessage,
  RefusalReason,
  Refused,
  Release,
  Renewed,
  SessionAge,
  StoreFrame,
} from './messages.js';
import { compareTokens, sameToken, type Now, type Token } from './order.js';
import { partitionOf } from './session-id.js';

export interface HolderRules extends LeaseRules {
  /** The deployment's number of partitions. */
  readonly partitions: number;
  /** After this long without an answer a message is sent again, in milliseconds. */
  readonly repeatMs: number;
  /** Changes are held back for at most this long, in milliseconds (write-back, rule 20); 0 sends each at once. */
  readonly writeBackMs: number;
}

interface Wait {
  readonly request: number;
  readonly create: ReadonlyMap<string, Uint8Array> | undefined;
  /** When the last waiting scope gives up, by the monotonic clock. */
  deadline: number;
  /** Which deadline the store was told last, and when. */
  told: number;
  readonly askedAt: number;
  sentAt: number;
  /** No grant up to this token is accepted: it was returned (rule 12). */
  floor: Token | undefined;
}

/** A session that is used is touched this often within its time to live. */
const touchesPerTtl = 8;

interface Session {
  readonly id: string;
  readonly partition: number;
  wait: Wait | undefined;
  grip: Grip | undefined;
  /** A grant that came while no lease ran: it is accepted when the store confirms it. The request goes on until then. */
  offer: Grip | undefined;
  /** The copy that the last grant left here. */
  known: KnownCopy | undefined;
  /** Changes not answered yet, in the order of sending. */
  flights: { readonly grip: Grip; readonly message: Commit | Release | Destroy }[];
  flightsSentAt: number;
}

export class HolderMachine {
  readonly counters: HolderCounters = {
    grants: 0,
    recalls: 0,
    commits: 0,
    releases: 0,
    returns: 0,
    repeats: 0,
    staleFrames: 0,
  };

  private readonly sessions = new Map<string, Session>();
  /** Those of which an answer is due. */
  private readonly unanswered = new Set<Session>();
  /** Locks with changes that are held back, in the order of the first of them. */
  private readonly unsent = new Set<Grip>();
  /** Partitions to which something was said that a renewal must follow. */
  private readonly spoken = new Set<number>();
  /** Partitions of which a grant came without a lease. */
  private readonly doubtful = new Set<number>();
  private requests = 0;
  /** How often used sessions are touched, in milliseconds; and when it was done last. */
  private touchMs = Infinity;
  private touchedAt = 0;
  /** How many partitions the store says there are. */
  private partitions = this.rules.partitions;

  private outbox = new Map<number, HolderMessage[]>();
  private events: HolderEvent[] = [];

  constructor(
    protected readonly rules: HolderRules,
    private readonly leases = new Leases(rules),
  ) {}

  /**
   * Asks for the lock, or keeps asking until `deadline` (monotonic) if it is later than before. `create` lets the store make the
   * session. Does nothing while the lock is held.
   */
  want(id: string, deadline: number, create: ReadonlyMap<string, Uint8Array> | undefined, now: Now): void {
    const session = this.sessions.get(id) ?? this.add(id);
    if (session.grip) return;
    const { wait } = session;
    if (!wait) {
      const request = ++this.requests;
      session.wait = {
        request,
        create,
        deadline,
        told: deadline,
        askedAt: now.mono,
        sentAt: now.mono,
        floor: undefined,
      };
      this.unanswered.add(session);
      if (!this.leases.runs(session.partition, now)) this.askFor(session.partition, now);
      this.sendAcquire(session, session.wait, now);
    } else if (deadline > wait.deadline) {
      wait.deadline = deadline;
      // A repeat tells the store; one is sent now when the next might come too late.
      if (wait.told < now.mono + 2 * this.rules.repeatMs) this.sendAcquire(session, wait, now);
    }
  }

  /** Nobody waits for the session any more. */
  giveUp(id: string, now: Now): void {
    const session = this.sessions.get(id);
    if (!session?.wait) return;
    this.withdraw(session);
    this.sayUntilHeard(session.partition, { kind: 'cancel', session: id, request: session.wait.request });
    this.renewSpoken(now);
    session.wait = undefined;
    this.settle(session);
  }

  /**
   * Changes the state under a held lock. Sent at once, or with write-back when `flush` is called, the store recalls the lock, or `writeBackMs` have passed. Returns
   * the seq to wait for.
   */
  commit(grant: HeldGrant, changes: Changes, now: Now): number {
    this.counters.commits++;
    const grip = this.gripped(grant).grip!;
    const seq = alter(grip, changes);
    if (this.rules.writeBackMs === 0) {
      this.change(grip, 'commit', changes, now);
    } else {
      holdBack(grip, changes, now);
      this.unsent.add(grip);
    }
    return seq;
  }

  /** Sends what is held back. The seq to wait for is `grant.seq` afterwards. */
  flush(grant: HeldGrant, now: Now): void {
    const { grip } = this.gripped(grant);
    if (grip!.unsent) this.change(grip!, 'commit', noChanges, now);
  }

  /** Has the store say that the lock is still held: once the seq that is returned is acknowledged, all was true that was read before (rule 8). */
  prove(grant: HeldGrant, now: Now): number {
    const { grip } = this.gripped(grant);
    return this.change(grip!, 'commit', noChanges, now);
  }

  /** Gives a held lock back, with last changes. */
  release(grant: HeldGrant, changes: Changes, now: Now): void {
    this.counters.releases++;
    const session = this.gripped(grant);
    const grip = session.grip!;
    // The store must not take a session for unused whose use it was not told of yet (rule 15).
    if (grip.used && now.mono - grip.touchedAt >= this.touchMs) this.touch([grip], now);
    alter(grip, changes);
    this.change(grip, 'release', changes, now);
    this.letGo(session);
    session.known = grip;
  }

  /** Ends a held session for good (rule 14). The seq to wait for is `grant.seq` afterwards. */
  destroy(grant: HeldGrant, now: Now): void {
    const session = this.gripped(grant);
    session.grip!.unsent = undefined;
    this.change(session.grip!, 'destroy', noChanges, now);
    this.letGo(session);
  }

  /** Whether a held lock may be used without asking (rules 8 and 9). If not, the store is asked, and its answer is told as `trusted` or `lost`. */
  trusts(grant: HeldGrant, now: Now): boolean {
    if (this.isTrusted(grant, now)) return true;
    this.askFor(partitionOf(grant.session, this.rules.partitions), now);
    return false;
  }

  /** The same, and nobody is asked. */
  isTrusted(grant: HeldGrant, now: Now): boolean {
    const session = this.sessions.get(grant.session);
    return session?.grip === grant && this.leases.trusts(session.partition, session.grip, now);
  }

  /** Says to every store that this holder has gone, so that nobody waits for its lease (rule 3). What is held must have been released before. */
  leave(): void {
    for (const partition of this.leases.known()) this.send(partition, { kind: 'leave' });
  }

  /** A connection stands: everything that is unanswered is sent again, and every partition ever asked learns the new queue. */
  connected(now: Now): void {
    this.leases.connected();
    for (const partition of this.leases.needed()) this.renew(partition, now);
    for (const session of this.unanswered) this.repeat(session, now);
  }

  /** Repeats, renews and sends what is due. To be called every `tickMs` or so while `busy`. */
  tick(now: Now): void {
    for (const partition of this.leases.due(now)) this.renew(partition, now);
    for (const session of this.unanswered) this.repeat(session, now, this.rules.repeatMs);
    for (const grip of this.unsent) {
      if (now.mono - grip.unsent!.since < this.rules.writeBackMs) break;
      this.flush(grip, now);
    }
    if (now.mono - this.touchedAt < this.touchMs) return;
    this.touchedAt = now.mono;
    this.touch(
      [...this.sessions.values()].flatMap(({ grip }) => (grip?.used ? [grip] : [])),
      now,
    );
  }

  get tickMs(): number {
    return Math.min(this.leases.shortestMs, this.rules.writeBackMs || Infinity) / 2;
  }

  /** Whether there is anything to renew or repeat. */
  get busy(): boolean {
    return this.sessions.size > 0 || !this.leases.needed().next().done;
  }

  /** `told` is called after each message, so that nothing has changed since when its events are taken. */
  receive(frame: StoreFrame, now: Now, told: () => void = () => {}): void {
    const { partition, epoch } = frame;
    const owner = this.leases.heard(partition, epoch);
    if (owner === 'stale') {
      this.counters.staleFrames++;
      return;
    }
    for (const message of frame.messages) {
      // A store speaks for the sessions of its partition, and of no other.
      if ('session' in message && partitionOf(message.session, this.rules.partitions) !== partition) continue;
      switch (message.kind) {
        case 'grant':
          this.granted(message, partition, now);
          break;
        case 'recall':
          this.recalled(message.session, message.token, partition, now);
          break;
        case 'renewed':
          this.renewed(message, partition, now);
          break;
        case 'committed':
          this.answered(message.session, message.token, message.seq);
          break;
        case 'released':
          this.answered(message.session, message.token, Infinity);
          break;
        case 'refused':
          if (message.token) this.changeRefused(message, message.token, partition, now);
          else this.requestRefused(message);
          break;
        case 'revoked':
          this.revoked(message.session, message.token, partition, now);
      }
      told();
    }
    this.renewSpoken(now);
    if (owner === 'new' || this.doubtful.delete(partition)) this.renew(partition, now);
  }

  /** Messages by partition, in order, since the last call. */
  takeMessages(): ReadonlyMap<number, readonly HolderMessage[]> {
    const { outbox } = this;
    if (outbox.size > 0) this.outbox = new Map();
    return outbox;
  }

  /** What happened since the last call, in order. */
  takeEvents(): readonly HolderEvent[] {
    const { events } = this;
    if (events.length > 0) this.events = [];
    return events;
  }

  /** For operators: how many sessions are here, and of how many an answer is due. */
  snapshot() {
    return { sessions: this.sessions.size, unanswered: this.unanswered.size };
  }

  // Grants and recalls: rules 4 and 12. ------------------------------------------------------------------------------

  private granted(message: Grant, partition: number, now: Now): void {
    const { session: id, token } = message;
    const session = this.sessions.get(id);
    if (session?.grip && sameToken(session.grip.token, token)) {
      if (message.contended) this.recalled(id, token, partition, now);
      return;
    }
    const grip =
      session && this.acceptable(session, message)
        ? gripOf(message, session.known, session.wait!.askedAt)
        : undefined;
    if (!session || !grip) return this.giveBack(id, token, partition);
    this.withdraw(session);
    if (this.leases.hold(partition, grip, now)) return this.accept(session, grip);
    session.offer = grip;
    this.doubtful.add(partition);
  }

  private accept(session: Session, grip: Grip): void {
    session.grip = grip;
    session.offer = undefined;
    session.wait = undefined;
    session.known = undefined;
    this.settle(session);
    this.counters.grants++;
    this.events.push({ kind: 'granted', grant: grip, contended: grip.recalled });
  }

  /** The offer does not stand any more. */
  private withdraw(session: Session): void {
    if (session.offer) this.leases.drop(session.partition, session.offer);
    session.offer = undefined;
  }

  /** Rule 12: only for the outstanding request, and only above every token returned. */
  protected acceptable({ wait }: Session, { request, token }: Grant): boolean {
    return wait?.request === request && (!wait.floor || compareTokens(token, wait.floor) > 0);
  }

  private recalled(id: string, token: Token, partition: number, now: Now): void {
    const { grip, offer } = this.sessions.get(id) ?? {};
    if (offer && sameToken(offer.token, token)) return void (offer.recalled = true);
    if (!grip || !sameToken(grip.token, token)) return this.giveBack(id, token, partition);
    if (grip.recalled) return;
    grip.recalled = true;
    this.counters.recalls++;
    this.flush(grip, now);
    this.events.push({ kind: 'recalled', grant: grip });
  }

  /** Answers a grant or recall that fits nothing here by an empty release, unless the real one is on its way. */
  private giveBack(id: string, token: Token, partition: number): void {
    const session = this.sessions.get(id);
    if (session?.flights.some((flight) => sameToken(flight.grip.token, token))) return;
    if (session?.wait) {
      const { wait } = session;
      if (!wait.floor || compareTokens(token, wait.floor) > 0) wait.floor = token;
    }
    this.counters.returns++;
    this.sayUntilHeard(partition, { kind: 'release', session: id, token, seq: 0, ...noChanges });
  }

  // Leases: rules 8 to 11. --------------------------------------------------------------------------------------------

  private renewed(message: Renewed, partition: number, now: Now): void {
    const { confirmed, lost } = this.leases.answered(partition, message, now);
    this.counted(message.partitions);
    this.touchMs = message.ttlMs / touchesPerTtl;
    for (const { session, token } of lost) this.loseWhenAnswered(session, token, now);
    for (const lock of confirmed) {
      const session = this.sessions.get(lock.session)!;
      if (session.offer === lock) this.accept(session, session.offer);
      else this.events.push({ kind: 'trusted', grant: lock as Grip });
    }
    for (const [session, token] of message.revoked) this.revoked(session, token, partition, now);
    for (const [session, token] of message.recalled) this.recalled(session, token, partition, now);
  }

  /** The store took the lock away, and lets nobody in before it knows that nobody here uses it any more (rule 10). */
  private revoked(id: string, token: Token, partition: number, now: Now): void {
    if (this.loseWhenAnswered(id, token, now)) this.giveBack(id, token, partition);
  }

  /** The lock is lost. What was sent under it may be applied all the same: first its answer must come, which tells. True when the lock is lost now. */
  private loseWhenAnswered(id: string, token: Token, now: Now): boolean {
    const session = this.sessions.get(id);
    const isOpen = session?.flights.some((flight) => sameToken(flight.grip.token, token)) ?? false;
    if (isOpen) this.repeat(session!, now, this.rules.repeatMs / 4);
    else this.lose(id, token, 'ended');
    return !isOpen;
  }

  /** Asks for a lease, and for the locks that are in doubt, unless that was done just now. */
  private askFor(partition: number, now: Now): void {
    if (this.leases.shouldAsk(partition, now)) this.renew(partition, now);
  }

  // Changes: rule 6. -----------------------------------------------------------------------------------------------------

  /** The session, which must be held by this grant. */
  private gripped({ session: id, token }: HeldGrant): Session {
    const session = this.sessions.get(id);
    if (session?.grip && sameToken(session.grip.token, token)) return session;
    throw new Error(`the grant of ${id} is over`);
  }

  private letGo(session: Session): void {
    this.leases.drop(session.partition, session.grip!);
    session.grip = undefined;
    session.known = undefined;
  }

  /** Sends changes that are made already, with those that were held back. */
  private change(grip: Grip, kind: 'commit' | 'release' | 'destroy', changes: Changes, now: Now): number {
    const session = this.sessions.get(grip.session)!;
    const { token } = grip;
    const all = takeUnsent(grip, changes, now);
    this.unsent.delete(grip);
    const head = { session: session.id, token, seq: ++grip.seq };
    const message = kind === 'destroy' ? ({ kind, ...head } as const) : ({ kind, ...head, ...all } as const);
    if (kind === 'commit') grip.touchedAt = now.mono;
    if (session.flights.length === 0) session.flightsSentAt = now.mono;
    session.flights.push({ grip, message });
    this.unanswered.add(session);
    this.send(session.partition, message);
    return grip.seq;
  }

  private answered(id: string, token: Token, through: number): void {
    const session = this.sessions.get(id);
    const first = session?.flights.find((flight) => sameToken(flight.grip.token, token));
    if (!session || !first) return;
    const { grip } = first;
    const before = grip.acknowledged;
    session.flights = session.flights.filter((flight) => {
      if (flight.grip !== grip || flight.message.seq > through) return true;
      grip.acknowledged = Math.max(grip.acknowledged, flight.message.seq);
      return false;
    });
    if (grip.acknowledged > before) this.events.push({ kind: 'acknowledged', grant: grip });
    this.settle(session);
  }

  private changeRefused(
    { session: id, seq = 0, why, appliedThrough }: Refused,
    token: Token,
    partition: number,
    now: Now,
  ): void {
    if (appliedThrough !== undefined) this.answered(id, token, appliedThrough);
    if (why !== 'gap') this.lose(id, token, why);
    if (why === 'ended') this.giveBack(id, token, partition);
    if (why !== 'gap') return;
    const session = this.sessions.get(id);
    const flight = session?.flights.find(
      ({ grip, message }) => sameToken(grip.token, token) && message.seq === seq,
    );
    if (!session || !flight) return; // answered by now
    // The store once said more: a power loss took it back, and nothing that follows can be applied any more.
    if (appliedThrough !== undefined && appliedThrough < flight.grip.acknowledged)
      return this.lose(id, token, 'outcome-unknown');
    // Each change behind a gap is refused: one of those refusals is enough to send all again.
    this.repeat(session, now, this.rules.repeatMs / 4);
  }

  private lose(id: string, token: Token, why: RefusalReason): void {
    const session = this.sessions.get(id);
    if (session?.offer && sameToken(session.offer.token, token)) return this.withdraw(session);
    const mine = (grip: Grip | undefined) => grip !== undefined && sameToken(grip.token, token);
    const grip = mine(session?.grip)
      ? session?.grip
      : session?.flights.find((flight) => mine(flight.grip))?.grip;
    if (!session || !grip) return;
    const isWritten = !grip.unsent && !session.flights.some((flight) => flight.grip === grip);
    session.flights = session.flights.filter((flight) => flight.grip !== grip);
    if (session.grip === grip) this.letGo(session);
    if (session.known === grip) session.known = undefined;
    this.unsent.delete(grip);
    const madeAreLost = this.rules.writeBackMs > 0 && !isWritten;
    this.events.push({ kind: 'lost', grant: grip, why, madeAreLost });
    this.settle(session);
  }

  private requestRefused({ session: id, request, why, detail = '' }: Refused): void {
    const session = this.sessions.get(id);
    if (!session?.wait || session.wait.request !== request) return;
    session.wait = undefined;
    this.withdraw(session);
    this.events.push({ kind: 'refused', session: id, why, detail });
    this.settle(session);
  }

  private counted(partitions: number): void {
    if (partitions === this.partitions) return;
    this.partitions = partitions;
    this.events.push({ kind: 'partitions', partitions });
  }

  // Sending and repeating. -------------------------------------------------------------------------------------------

  /** Sends again what was last sent `ageMs` ago or longer: first the changes, then the acquire, as at first. */
  private repeat(session: Session, now: Now, ageMs = 0): void {
    const { flights, wait, partition } = session;
    if (flights.length > 0 && now.mono - session.flightsSentAt >= ageMs) {
      session.flightsSentAt = now.mono;
      this.counters.repeats += flights.length;
      for (const { message } of flights) this.send(partition, message);
    }
    if (wait && now.mono - wait.sentAt >= ageMs && wait.deadline > now.mono) {
      this.counters.repeats++;
      this.sendAcquire(session, wait, now);
    }
  }

  private sendAcquire({ id, partition, known }: Session, wait: Wait, now: Now): void {
    const { request, create, deadline } = wait;
    const waitMs = Math.min(limits.waitMs, Math.max(0, Math.ceil(deadline - now.mono)));
    wait.sentAt = now.mono;
    wait.told = now.mono + waitMs;
    const acquire = { kind: 'acquire', session: id, request, mode: 'exclusive', waitMs } as const;
    this.send(partition, { ...acquire, known: known?.version, create });
  }

  /** For what has no answer of its own: lost, it would leave a session locked by a holder that knows nothing of it (rule 12). */
  private sayUntilHeard(partition: number, message: Cancel | Release): void {
    this.leases.said(partition, message);
    this.send(partition, message);
    this.spoken.add(partition);
  }

  private renewSpoken(now: Now): void {
    for (const partition of this.spoken) this.send(partition, this.leases.bareRenewal(partition, now));
    this.spoken.clear();
  }

  /** Tells the store what was used since it heard last (rule 15). */
  protected touch(grips: readonly Grip[], now: Now): void {
    const touches = new Map<number, [string, number][]>();
    for (const grip of grips) {
      grip.used = false;
      grip.touchedAt = now.mono;
      const partition = partitionOf(grip.session, this.rules.partitions);
      const list = touches.get(partition);
      if (list) list.push([grip.session, 0]);
      else touches.set(partition, [[grip.session, 0]]);
    }
    for (const [partition, list] of touches) {
      for (let at = 0; at < list.length; at += limits.listed) {
        this.renew(partition, now, list.slice(at, at + limits.listed));
      }
    }
  }

  private renew(partition: number, now: Now, touches?: readonly SessionAge[]): void {
    for (const message of this.leases.renewal(partition, now, touches)) this.send(partition, message);
  }

  private send(partition: number, message: HolderMessage): void {
    const messages = this.outbox.get(partition);
    if (messages) messages.push(message);
    else this.outbox.set(partition, [message]);
  }

  private add(id: string): Session {
    const partition = partitionOf(id, this.rules.partitions);
    const session: Session = {
      id,
      partition,
      wait: undefined,
      grip: undefined,
      offer: undefined,
      known: undefined,
      flights: [],
      flightsSentAt: 0,
    };
    this.sessions.set(id, session);
    this.leases.count(partition, 1);
    return session;
  }

  /** Forgets what no longer matters, once something was answered or given up. */
  private settle(session: Session): void {
    if (session.wait || session.flights.length > 0) return;
    this.unanswered.delete(session);
    if (session.grip || this.sessions.get(session.id) !== session) return;
    this.sessions.delete(session.id);
    this.leases.count(session.partition, -1);
  }
}
