/**
 * A holder's requests for locks. Each is repeated until it is granted or no scope waits any more (rules 2, 4,
 * 12 and 21).
 */
import { limits } from '../wire/limits.js';
import type { Acquire, Grant, Refused } from '../wire/messages.js';
import type { Now } from '../wire/order.js';
import { heldLockOf, type HeldLock } from './held-lock.js';
import type { HolderState, Session, Wait } from './holder-state.js';
import type { Renewals } from './renewals.js';

export class Requests {
  private requests = 0;
  /** Partitions that sent a grant while no lease ran. */
  private readonly inDoubt = new Set<number>();

  constructor(
    private readonly state: HolderState,
    private readonly renewals: Renewals,
  ) {}

  want(id: string, deadline: number, create: ReadonlyMap<string, Uint8Array> | undefined, now: Now): void {
    const { leases, parameters, rules, unanswered } = this.state;
    const session = this.state.session(id);
    if (session.lock) return;
    const { wait } = session;
    if (!wait) {
      const request = ++this.requests;
      session.wait = {
        request,
        create,
        deadline,
        announcedDeadline: deadline,
        askedAt: now.mono,
        sentAt: now.mono,
        pendingAcquire: undefined,
        queuedAcquire: undefined,
        returned: undefined,
      };
      unanswered.add(session);
      if (!leases.runs(session.partition, now)) this.renewals.askFor(session.partition, now);
      return this.send(session, session.wait, now);
    }
    const latest = rules.deadline(wait.deadline, deadline);
    if (latest === wait.deadline) return;
    wait.deadline = latest;
    // A repeat tells the store the new deadline. If the next one might come too late, it is sent now.
    if (rules.mustAnnounce(wait.announcedDeadline, now.mono, parameters.repeatMs))
      this.send(session, wait, now);
  }

  /** No scope waits for the session any more. */
  giveUp(id: string): void {
    const session = this.state.sessions.get(id);
    if (!session?.wait) return;
    const { request } = session.wait;
    this.state.withdraw(session);
    this.renewals.sendUntilHeard(session.partition, { kind: 'cancel', session: id, request });
    this.renewals.renewAllOwing();
    session.wait = undefined;
    this.state.settle(session);
  }

  /**
   * A grant that this process does not have yet. It counts while a lease runs. Else it counts when the store
   * has confirmed it (rule 8).
   */
  granted(message: Grant, partition: number, now: Now): void {
    const { leases, rules, sessions } = this.state;
    const session = sessions.get(message.session);
    const lock =
      session && rules.acceptsGrant(session.wait, message)
        ? heldLockOf(message, session.known, session.wait!.askedAt)
        : undefined;
    if (!session || !lock) return this.renewals.giveBack(message.session, message.token, partition);
    this.state.withdraw(session);
    if (leases.hold(partition, lock, now)) return this.accept(session, lock);
    session.offer = lock;
    this.inDoubt.add(partition);
  }

  accept(session: Session, lock: HeldLock): void {
    session.lock = lock;
    session.offer = undefined;
    session.wait = undefined;
    session.known = undefined;
    this.state.settle(session);
    this.state.counters.grants++;
    this.state.tell({ kind: 'granted', grant: lock, contended: lock.recalled });
  }

  /** Whether the partition sent a grant that the store must confirm. The mark is cleared. */
  takeDoubt(partition: number): boolean {
    return this.inDoubt.delete(partition);
  }

  refused({ session: id, request, why, detail = '' }: Refused, now: Now): void {
    const session = this.state.sessions.get(id);
    if (!session?.wait || session.wait.request !== request) return;
    if (why === 'unheard') {
      if (!session.wait.queuedAcquire) return;
      this.putAgain(session.wait);
      return this.send(session, session.wait, now);
    }
    session.wait = undefined;
    this.state.withdraw(session);
    this.state.tell({ kind: 'refused', session: id, why, detail });
    this.state.settle(session);
  }

  /**
   * Whether an acquire is in its session's queue now. If not, it is not on its way there any more either
   * (rule 21).
   */
  enqueued(acquire: Acquire, isThere: boolean, now: Now): void {
    const session = this.state.sessions.get(acquire.session);
    const wait = session?.wait;
    // It was given up meanwhile. If it is granted, the grant goes back (rule 12).
    if (wait?.pendingAcquire !== acquire) return;
    wait.pendingAcquire = undefined;
    if (!isThere) return; // the next repeat tries again
    wait.queuedAcquire = { at: now.mono, until: now.mono + acquire.waitMs };
    this.send(session!, wait, now);
  }

  /**
   * There is a connection. An acquire in the session's queue names the old one. It keeps the place. Another
   * acquire tells the store the new queue for answers (rule 21).
   */
  connected(session: Session): void {
    if (session.wait) this.putAgain(session.wait);
  }

  /** Sends the request again, if it was last sent `ageMs` ago or longer. */
  repeat(session: Session, now: Now, ageMs: number): void {
    const { counters, rules } = this.state;
    const { wait } = session;
    if (!wait || now.mono - wait.sentAt < ageMs || rules.isTimedOut(wait.deadline, now.mono)) return;
    counters.repeats++;
    this.send(session, wait, now);
  }

  /**
   * In the layout `per-session` the acquire goes into the session's queue. From then on knocks are its
   * repeats. The acquire stays in the queue for the wait that it was sent with. A holder that waits longer
   * puts it there again (rule 21).
   */
  private send({ id, partition, known }: Session, wait: Wait, now: Now): void {
    const { request, create, deadline, queuedAcquire: queued } = wait;
    const waitMs = Math.min(limits.waitMs, Math.max(0, Math.ceil(deadline - now.mono)));
    wait.sentAt = now.mono;
    wait.announcedDeadline = now.mono + waitMs;
    const head = { session: id, request, waitMs };
    // An acquire begins another frame. So the renewal of the messages before it goes first.
    if (queued && !this.state.rules.isTimedOut(queued.until, now.mono)) {
      this.renewals.renewOwing(partition);
      return this.state.send(partition, { kind: 'knock', ...head, ageMs: Math.floor(now.mono - queued.at) });
    }
    if (wait.pendingAcquire) return;
    const acquire = { kind: 'acquire', ...head, mode: 'exclusive', known: known?.version, create } as const;
    if (this.state.parameters.queues === 'per-session') this.putAgain(wait, acquire);
    this.renewals.renewOwing(partition);
    this.state.send(partition, acquire);
  }

  /** The acquire in the session's queue does not count any more. */
  private putAgain(wait: Wait, pendingAcquire?: Acquire): void {
    wait.queuedAcquire = undefined;
    wait.pendingAcquire = pendingAcquire;
  }
}
