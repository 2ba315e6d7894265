/**
 * What everything that a holder does is made of: its sessions, its leases, what is to be said, and what is to be told. The layers above it: holder-changes.ts (what is
 * done under a lock), holder-machine.ts (how locks come and go).
 */
import type { Grip, KnownCopy } from './grip.js';
import type { HeldGrant, HolderCounters, HolderEvent } from './holder-outputs.js';
import { Leases, type LeaseRules } from './leases.js';
import { noChanges } from './messages.js';
import type { Acquire, Cancel, Commit, Destroy, HolderMessage, Release, SessionAge } from './messages.js';
import { compareTokens, sameToken, type Now, type Token } from './order.js';
import { partitionOf } from './session-id.js';

/** Where acquires wait: in the partition's queue, or each session's in a queue of its own (rule 21). */
export type QueueLayout = 'partitioned' | 'per-session';

export interface HolderRules extends LeaseRules {
  readonly queues: QueueLayout;
  /** The deployment's number of partitions. */
  readonly partitions: number;
  /** After this long without an answer a message is sent again, in milliseconds. */
  readonly repeatMs: number;
  /** Changes are held back for at most this long, in milliseconds (write-back, rule 20); 0 sends each at once. */
  readonly writeBackMs: number;
}

/** A request that is not answered yet. */
export interface Wait {
  readonly request: number;
  readonly create: ReadonlyMap<string, Uint8Array> | undefined;
  /** When the last waiting scope gives up, by the monotonic clock. */
  deadline: number;
  /** Which deadline the store was told last, and when. */
  told: number;
  readonly askedAt: number;
  sentAt: number;
  /** Layout `per-session`: the acquire that is on its way into the session's queue; and since when one is there, and until when at most, by the monotonic clock. */
  asking: Acquire | undefined;
  put: { readonly at: number; readonly until: number } | undefined;
  /** No grant up to this token is accepted: it was returned (rule 12). */
  floor: Token | undefined;
}

export interface Session {
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

export abstract class HolderDesk {
  readonly counters: HolderCounters = {
    grants: 0,
    recalls: 0,
    commits: 0,
    releases: 0,
    returns: 0,
    repeats: 0,
    staleFrames: 0,
  };

  protected readonly sessions = new Map<string, Session>();
  /** Those of which an answer is due. */
  protected readonly unanswered = new Set<Session>();
  /** Locks with changes that are held back, in the order of the first of them. */
  protected readonly unsent = new Set<Grip>();
  /** Partitions to which something was said that a renewal must follow. */
  protected readonly spoken = new Set<number>();

  protected outbox = new Map<number, HolderMessage[]>();
  protected events: HolderEvent[] = [];

  constructor(
    protected readonly rules: HolderRules,
    protected readonly leases = new Leases(rules),
  ) {}

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

  /** The session, which must be held by this grant. */
  protected gripped({ session: id, token }: HeldGrant): Session {
    const session = this.sessions.get(id);
    if (session?.grip && sameToken(session.grip.token, token)) return session;
    throw new Error(`the grant of ${id} is over`);
  }

  protected letGo(session: Session): void {
    this.leases.drop(session.partition, session.grip!);
    session.grip = undefined;
    session.known = undefined;
  }

  /** The offer does not stand any more. */
  protected withdraw(session: Session): void {
    if (session.offer) this.leases.drop(session.partition, session.offer);
    session.offer = undefined;
  }

  /** Answers a grant or recall that fits nothing here by an empty release, unless the real one is on its way. */
  protected giveBack(id: string, token: Token, partition: number): void {
    const session = this.sessions.get(id);
    if (session?.flights.some((flight) => sameToken(flight.grip.token, token))) return;
    if (session?.wait) {
      const { wait } = session;
      if (!wait.floor || compareTokens(token, wait.floor) > 0) wait.floor = token;
    }
    this.counters.returns++;
    this.sayUntilHeard(partition, { kind: 'release', session: id, token, seq: 0, ...noChanges });
  }

  /** For what has no answer of its own: lost, it would leave a session locked by a holder that knows nothing of it (rule 12). */
  protected sayUntilHeard(partition: number, message: Cancel | Release): void {
    this.leases.said(partition, message);
    this.send(partition, message);
    this.spoken.add(partition);
  }

  protected renewSpoken(now: Now): void {
    for (const partition of this.spoken) this.send(partition, this.leases.bareRenewal(partition, now));
    this.spoken.clear();
  }

  protected renew(partition: number, now: Now, touches?: readonly SessionAge[]): void {
    for (const message of this.leases.renewal(partition, now, touches)) this.send(partition, message);
  }

  protected send(partition: number, message: HolderMessage): void {
    const messages = this.outbox.get(partition);
    if (messages) messages.push(message);
    else this.outbox.set(partition, [message]);
  }

  protected add(id: string): Session {
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
  protected settle(session: Session): void {
    if (session.wait || session.flights.length > 0) return;
    this.unanswered.delete(session);
    if (session.grip || this.sessions.get(session.id) !== session) return;
    this.sessions.delete(session.id);
    this.leases.count(session.partition, -1);
  }
}
