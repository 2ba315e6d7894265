/**
 * The holder's side of the protocol, for one app-server process and all its sessions: what is asked, held, changed and given back, and
 * what is repeated until it is answered. Pure: no I/O, no clock, no randomness. Who may use a held session, and when it is drained, is
 * decided by the caller; what came of a frame is told as events. Rules are cited by their numbers in docs/PROTOCOL.md.
 */
import type { HeldAttribute, HeldGrant, HolderCounters, HolderEvent } from './holder-outputs.js';
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
  SessionAge,
  StoreFrame,
} from './messages.js';
import { compareTokens, sameToken, type Now, type Token, type Version } from './order.js';
import { Renewals } from './renewals.js';
import { partitionOf } from './session-id.js';

export interface HolderRules {
  /** The deployment's number of partitions. */
  readonly partitions: number;
  /** After this long without an answer a message is sent again, in milliseconds. */
  readonly repeatMs: number;
  /** How often the holder shows that it lives, in milliseconds, to partitions where it has something. */
  readonly renewMs: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

interface Grip extends Mutable<HeldGrant> {
  readonly attributes: Map<string, HeldAttribute>;
  /** When the store knew the session as used last, by the monotonic clock. */
  touchedAt: number;
  version: Version;
}

interface Wait {
  readonly request: number;
  readonly create: ReadonlyMap<string, Uint8Array> | undefined;
  /** When the last waiting scope gives up, by the monotonic clock. */
  deadline: number;
  /** Which deadline the store was told last, and when. */
  told: number;
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
  /** The copy that the last grant left here. */
  known: Pick<Grip, 'version' | 'attributes'> | undefined;
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
  private readonly renewals: Renewals;
  private readonly epochs = new Map<number, number>();
  private requests = 0;
  /** How often used sessions are touched, in milliseconds; and when it was done last. */
  private touchMs = Infinity;
  private touchedAt = 0;
  /** How many partitions the store says there are. */
  private partitions = this.rules.partitions;

  private outbox = new Map<number, HolderMessage[]>();
  private events: HolderEvent[] = [];

  constructor(protected readonly rules: HolderRules) {
    this.renewals = new Renewals(rules.renewMs);
  }

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
      session.wait = { request, create, deadline, told: deadline, sentAt: now.mono, floor: undefined };
      this.unanswered.add(session);
      this.sendAcquire(session, session.wait, now);
    } else if (deadline > wait.deadline) {
      wait.deadline = deadline;
      // A repeat tells the store; one is sent now when the next might come too late.
      if (wait.told < now.mono + 2 * this.rules.repeatMs) this.sendAcquire(session, wait, now);
    }
  }

  /** Nobody waits for the session any more. */
  giveUp(id: string): void {
    const session = this.sessions.get(id);
    if (!session?.wait) return;
    this.sayUntilHeard(session.partition, { kind: 'cancel', session: id, request: session.wait.request });
    session.wait = undefined;
    this.settle(session);
  }

  /** Sends changes under a held lock and applies them to its copy. The seq to wait for is `grant.seq` afterwards. */
  commit(grant: HeldGrant, changes: Changes, now: Now): void {
    this.counters.commits++;
    this.change(grant as Grip, 'commit', changes, now);
  }

  /** Gives a held lock back, with last changes. */
  release(grant: HeldGrant, changes: Changes, now: Now): void {
    this.counters.releases++;
    const grip = grant as Grip;
    // The store must not take a session for unused whose use it was not told of yet (rule 15).
    if (grip.used && now.mono - grip.touchedAt >= this.touchMs) this.touch([grip], now);
    const session = this.change(grip, 'release', changes, now);
    session.grip = undefined;
    session.known = grip;
  }

  /** Ends a held session for good (rule 14). The seq to wait for is `grant.seq` afterwards. */
  destroy(grant: HeldGrant, now: Now): void {
    const session = this.change(grant as Grip, 'destroy', noChanges, now);
    session.grip = undefined;
    session.known = undefined;
  }

  /** A connection stands: everything that is unanswered is sent again, and every partition ever asked learns the new queue. */
  connected(now: Now): void {
    this.renewals.connected();
    for (const session of this.unanswered) this.repeat(session, now);
    for (const partition of this.renewals.needed()) this.renew(partition, now);
  }

  /** Repeats and renews what is due. To be called every `repeatMs` / 2 or so while `busy`. */
  tick(now: Now): void {
    for (const session of this.unanswered) this.repeat(session, now, this.rules.repeatMs);
    for (const partition of this.renewals.due(now)) this.renew(partition, now);
    if (now.mono - this.touchedAt < this.touchMs) return;
    this.touchedAt = now.mono;
    this.touch(
      [...this.sessions.values()].flatMap(({ grip }) => (grip?.used ? [grip] : [])),
      now,
    );
  }

  /** Whether there is anything to renew or repeat. */
  get busy(): boolean {
    return this.sessions.size > 0 || !this.renewals.needed().next().done;
  }

  receive(frame: StoreFrame, now: Now): void {
    const { partition, epoch } = frame;
    if (epoch < (this.epochs.get(partition) ?? 0)) {
      this.counters.staleFrames++;
      return;
    }
    this.epochs.set(partition, epoch);
    this.renewals.heard(partition);
    for (const message of frame.messages) {
      switch (message.kind) {
        case 'grant':
          this.granted(message, partition, now);
          break;
        case 'recall':
          this.recalled(message.session, message.token, partition);
          break;
        case 'renewed':
          this.renewals.answered(partition, message.n);
          this.counted(message.partitions);
          this.touchMs = message.ttlMs / touchesPerTtl;
          for (const [session, token] of message.recalled) this.recalled(session, token, partition);
          break;
        case 'committed':
          this.answered(message.session, message.token, message.seq);
          break;
        case 'released':
          this.answered(message.session, message.token, Infinity);
          break;
        case 'refused':
          if (message.token) this.changeRefused(message, message.token, now);
          else this.requestRefused(message);
          break;
        case 'revoked':
          this.lose(message.session, message.token, 'ended');
      }
    }
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
    const session = this.sessions.get(message.session);
    if (session?.grip && sameToken(session.grip.token, message.token)) {
      if (message.contended) this.recalled(message.session, message.token, partition);
      return;
    }
    const attributes = session && this.acceptable(session, message) && assemble(session, message);
    if (!attributes) return this.giveBack(message.session, message.token, partition);
    const { session: id, token, seq, version, contended } = message;
    const grip: Grip = {
      session: id,
      token,
      seq,
      acknowledged: seq,
      recalled: contended,
      attributes,
      version,
      used: false,
      touchedAt: now.mono,
    };
    session.grip = grip;
    session.wait = undefined;
    session.known = undefined;
    this.settle(session);
    this.counters.grants++;
    this.events.push({ kind: 'granted', grant: grip, contended });
  }

  /** Rule 12: only for the outstanding request, and only above every token returned. */
  protected acceptable({ wait }: Session, { request, token }: Grant): boolean {
    return wait?.request === request && (!wait.floor || compareTokens(token, wait.floor) > 0);
  }

  private recalled(id: string, token: Token, partition: number): void {
    const grip = this.sessions.get(id)?.grip;
    if (!grip || !sameToken(grip.token, token)) return this.giveBack(id, token, partition);
    if (grip.recalled) return;
    grip.recalled = true;
    this.counters.recalls++;
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

  // Changes: rule 6. -----------------------------------------------------------------------------------------------------

  private change(grip: Grip, kind: 'commit' | 'release' | 'destroy', changes: Changes, now: Now): Session {
    const session = this.sessions.get(grip.session);
    if (session?.grip !== grip) throw new Error(`the grant of ${grip.session} is over`);
    const seq = ++grip.seq;
    for (const name of changes.delete) grip.attributes.delete(name);
    for (const [name, bytes] of changes.set) grip.attributes.set(name, { bytes, seq });
    if (changes.set.size > 0 || changes.delete.length > 0) grip.version = [...grip.token, seq];
    const { token } = grip;
    const head = { session: session.id, token, seq };
    const message =
      kind === 'destroy' ? ({ kind, ...head } as const) : ({ kind, ...head, ...changes } as const);
    if (kind === 'commit') grip.touchedAt = now.mono;
    if (session.flights.length === 0) session.flightsSentAt = now.mono;
    session.flights.push({ grip, message });
    this.unanswered.add(session);
    this.send(session.partition, message);
    return session;
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
    now: Now,
  ): void {
    if (appliedThrough !== undefined) this.answered(id, token, appliedThrough);
    if (why !== 'gap') return this.lose(id, token, why);
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
    const mine = (grip: Grip | undefined) => grip !== undefined && sameToken(grip.token, token);
    const grip = mine(session?.grip)
      ? session?.grip
      : session?.flights.find((flight) => mine(flight.grip))?.grip;
    if (!session || !grip) return;
    session.flights = session.flights.filter((flight) => flight.grip !== grip);
    if (session.grip === grip) session.grip = undefined;
    if (session.known === grip) session.known = undefined;
    this.events.push({ kind: 'lost', grant: grip, why });
    this.settle(session);
  }

  private requestRefused({ session: id, request, why, detail = '' }: Refused): void {
    const session = this.sessions.get(id);
    if (!session?.wait || session.wait.request !== request) return;
    session.wait = undefined;
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
    for (const one of this.renewals.withRenewal(partition, message)) this.send(partition, one);
  }

  /** Tells the store what was used since it heard last (rule 15). */
  private touch(grips: readonly Grip[], now: Now): void {
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
    for (const message of this.renewals.renewal(partition, now, touches)) this.send(partition, message);
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
      known: undefined,
      flights: [],
      flightsSentAt: 0,
    };
    this.sessions.set(id, session);
    this.renewals.count(partition, 1);
    return session;
  }

  /** Forgets what no longer matters, once something was answered or given up. */
  private settle(session: Session): void {
    if (session.wait || session.flights.length > 0) return;
    this.unanswered.delete(session);
    if (session.grip || this.sessions.get(session.id) !== session) return;
    this.sessions.delete(session.id);
    this.renewals.count(session.partition, -1);
  }
}

/** The whole state: what the grant brings, and what it says is unchanged. Undefined when that is not here. */
function assemble({ known }: Session, { set, keep }: Grant): Map<string, HeldAttribute> | undefined {
  const attributes = new Map<string, HeldAttribute>();
  for (const name of keep) {
    const attribute = known?.attributes.get(name);
    if (!attribute) return undefined;
    attributes.set(name, { bytes: attribute.bytes, seq: 0 });
  }
  for (const [name, bytes] of set) attributes.set(name, { bytes, seq: 0 });
  return attributes;
}
