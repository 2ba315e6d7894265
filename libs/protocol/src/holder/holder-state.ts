/**
 * The state that the parts of a holder's machine share: its sessions, its leases, the messages to send, and
 * the events for the user of the locks. It decides nothing.
 */
import type { Acquire, Commit, Destroy, HolderMessage, Release } from '../wire/messages.js';
import { sameToken, type Token } from '../wire/order.js';
import { partitionOf } from '../wire/session-id.js';
import type { HeldLock, KnownCopy } from './held-lock.js';
import { Leases } from './leases.js';
import type { HeldGrant, HolderCounters, HolderEvent } from './outputs.js';
import type { HolderParameters } from './parameters.js';
import type { HolderRules } from './rules.js';

/** A request without an answer yet. */
export interface Wait {
  readonly request: number;
  readonly create: ReadonlyMap<string, Uint8Array> | undefined;
  /**
   * When the last waiting scope gives up, by the monotonic clock, and the last such time that the store
   * knows.
   */
  deadline: number;
  announcedDeadline: number;
  readonly askedAt: number;
  sentAt: number;
  /**
   * In the layout `per-session`: the acquire that is on its way into the session's queue. Then since when one
   * is there, and until when at most, by the monotonic clock.
   */
  pendingAcquire: Acquire | undefined;
  queuedAcquire: { readonly at: number; readonly until: number } | undefined;
  /** No grant up to this token is accepted, since it was returned (rule 12). */
  returned: Token | undefined;
}

/** A change without an answer yet. */
export interface SentChange {
  readonly lock: HeldLock;
  readonly message: Commit | Release | Destroy;
  /** The broker refuses it as too large. */
  isTooLarge?: boolean;
}

export interface Session {
  readonly id: string;
  readonly partition: number;
  wait: Wait | undefined;
  lock: HeldLock | undefined;
  /**
   * A grant that came while no lease ran. The holder accepts it when the store confirms it. Until then the
   * request goes on.
   */
  offer: HeldLock | undefined;
  /** The copy that the last grant left here. */
  known: KnownCopy | undefined;
  /** Changes without an answer yet, in the order of sending. */
  inFlight: SentChange[];
  sentAt: number;
}

export class HolderState {
  readonly counters: HolderCounters = {
    grants: 0,
    recalls: 0,
    commits: 0,
    releases: 0,
    returns: 0,
    repeats: 0,
    staleFrames: 0,
  };
  readonly sessions = new Map<string, Session>();
  /** The sessions for which an answer is due. */
  readonly unanswered = new Set<Session>();
  readonly leases: Leases;
  private outbox = new Map<number, HolderMessage[]>();
  private events: HolderEvent[] = [];

  constructor(
    readonly parameters: HolderParameters,
    readonly rules: HolderRules,
  ) {
    this.leases = new Leases(parameters, rules);
  }

  send(partition: number, message: HolderMessage): void {
    const messages = this.outbox.get(partition);
    if (messages) messages.push(message);
    else this.outbox.set(partition, [message]);
  }

  tell(event: HolderEvent): void {
    this.events.push(event);
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

  /** The session, which is made if it is not here. */
  session(id: string): Session {
    const known = this.sessions.get(id);
    if (known) return known;
    const partition = partitionOf(id, this.parameters.partitions);
    const session: Session = {
      id,
      partition,
      wait: undefined,
      lock: undefined,
      offer: undefined,
      known: undefined,
      inFlight: [],
      sentAt: 0,
    };
    this.sessions.set(id, session);
    this.leases.count(partition, 1);
    return session;
  }

  /** The session, which this grant must hold. */
  heldBy({ session: id, token }: HeldGrant): Session & { lock: HeldLock } {
    const session = this.sessions.get(id);
    if (session?.lock && sameToken(session.lock.token, token)) return session as Session & { lock: HeldLock };
    throw new Error(`the grant of ${id} is over`);
  }

  letGo(session: Session): void {
    this.leases.drop(session.partition, session.lock!);
    session.lock = undefined;
  }

  /** Drops the offer. */
  withdraw(session: Session): void {
    if (session.offer) this.leases.drop(session.partition, session.offer);
    session.offer = undefined;
  }

  /** Removes a session that is of no use any more, after an answer or a cancel. */
  settle(session: Session): void {
    if (session.wait || session.inFlight.length > 0) return;
    this.unanswered.delete(session);
    if (session.lock || this.sessions.get(session.id) !== session) return;
    this.sessions.delete(session.id);
    this.leases.count(session.partition, -1);
  }
}
