/**
 * The holder's side of the protocol, for one app-server process and all its sessions: what is asked, held, changed and given back, and
 * what is repeated until it is answered. Pure: no I/O, no clock, no randomness. Who may use a held session, and when it is drained, is
 * decided by the caller; what came of a frame is told as events. Rules are cited by their numbers in docs/PROTOCOL.md.
 */
import { gripOf, type Grip } from './grip.js';
import { HolderChanges, touchesPerTtl } from './holder-changes.js';
import type { Session, Wait } from './holder-desk.js';
import type { HeldGrant } from './holder-outputs.js';
import { limits } from './limits.js';
import type { Acquire, Grant, RefusalReason, Refused, Renewed, StoreFrame } from './messages.js';
import { compareTokens, sameToken, type Now, type Token } from './order.js';
import { partitionOf } from './session-id.js';

export class HolderMachine extends HolderChanges {
  private requests = 0;
  /** Partitions of which a grant came without a lease. */
  private readonly doubtful = new Set<number>();
  /** How many partitions the store says there are. */
  private partitions = this.rules.partitions;

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
        asking: undefined,
        put: undefined,
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
    for (const session of this.unanswered) {
      // An acquire in the session's queue names the old connection: it keeps the place, and another one says where answers go (rule 21).
      if (session.wait) this.putAgain(session.wait);
      this.repeat(session, now);
    }
  }

  /** What became of an acquire that was to be put into its session's queue: it is there, or on no way any more (rule 21). */
  asked(acquire: Acquire, isThere: boolean, now: Now): void {
    const session = this.sessions.get(acquire.session);
    const wait = session?.wait;
    if (wait?.asking !== acquire) return; // it was given up meanwhile; should it be granted, the grant goes back (rule 12)
    wait.asking = undefined;
    if (!isThere) return; // the next repeat tries again
    wait.put = { at: now.mono, until: now.mono + acquire.waitMs };
    this.sendAcquire(session!, wait, now);
  }

  /** An acquire was not put into its session's queue: a limit is reached. */
  turnedAway({ session, request }: Acquire, why: RefusalReason, detail: string, now: Now): void {
    this.requestRefused({ kind: 'refused', session, request, why, detail }, now);
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
          else this.requestRefused(message, now);
          break;
        case 'revoked':
          this.revoked(message.session, message.token, partition, now);
      }
      told();
    }
    this.renewSpoken(now);
    if (owner === 'new' || this.doubtful.delete(partition)) this.renew(partition, now);
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

  /** Asks for a lease, and for the locks that are in doubt, unless that was done just now. */
  private askFor(partition: number, now: Now): void {
    if (this.leases.shouldAsk(partition, now)) this.renew(partition, now);
  }

  private requestRefused({ session: id, request, why, detail = '' }: Refused, now: Now): void {
    const session = this.sessions.get(id);
    if (!session?.wait || session.wait.request !== request) return;
    if (why === 'unheard') {
      if (!session.wait.put) return;
      this.putAgain(session.wait);
      return this.sendAcquire(session, session.wait, now);
    }
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
    this.repeatChanges(session, now, ageMs);
    const { wait } = session;
    if (!wait || now.mono - wait.sentAt < ageMs || wait.deadline <= now.mono) return;
    this.counters.repeats++;
    this.sendAcquire(session, wait, now);
  }

  /**
   * In the layout `per-session` the acquire goes into the session's queue, and from then on knocks do as its repeats. It is there for as long as was waited for when it was put there;
   * who waits longer by then, puts it there again (rule 21).
   */
  private sendAcquire({ id, partition, known }: Session, wait: Wait, now: Now): void {
    const { request, create, deadline, put } = wait;
    const waitMs = Math.min(limits.waitMs, Math.max(0, Math.ceil(deadline - now.mono)));
    wait.sentAt = now.mono;
    wait.told = now.mono + waitMs;
    const head = { session: id, request, waitMs };
    if (put && now.mono < put.until) {
      return this.send(partition, { kind: 'knock', ...head, ageMs: Math.floor(now.mono - put.at) });
    }
    if (wait.asking) return;
    const acquire = {
      kind: 'acquire',
      ...head,
      mode: 'exclusive',
      known: known?.version,
      create,
    } as const;
    if (this.rules.queues === 'per-session') this.putAgain(wait, acquire);
    this.send(partition, acquire);
  }

  /** What is in the session's queue of it does not count any more. */
  private putAgain(wait: Wait, asking?: Acquire): void {
    wait.put = undefined;
    wait.asking = asking;
  }
}
