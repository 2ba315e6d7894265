/**
 * The changes that a holder makes under its locks. Each is repeated until it is answered (rule 6). Also how a
 * lock is lost (rule 11).
 */
import { noChanges } from '../wire/messages.js';
import type { ChangeSet, Commit, Destroy, RefusalReason, Refused, Release } from '../wire/messages.js';
import { sameToken, type Now, type Token } from '../wire/order.js';
import { applyTo, buffer, fitsBuffer, takeBuffered, type HeldLock } from './held-lock.js';
import type { HolderState, SentChange, Session } from './holder-state.js';
import type { HeldGrant } from './outputs.js';
import type { Renewals } from './renewals.js';

/** After these refusals of a change the store may still have its grant. */
const returned: ReadonlySet<RefusalReason> = new Set(['ended', 'too-large', 'outcome-unknown']);

export class Changes {
  /** Locks with buffered changes, in the order of the first of them. */
  private readonly buffered = new Set<HeldLock>();
  /** Those of them whose changes leave with this turn. */
  private readonly leaving = new Set<HeldLock>();

  constructor(
    private readonly state: HolderState,
    private readonly renewals: Renewals,
  ) {}

  commit(grant: HeldGrant, changes: ChangeSet, now: Now): number {
    this.state.counters.commits++;
    const { lock } = this.state.heldBy(grant);
    const isWriteThrough = this.state.parameters.writeBackMs === 0;
    if (isWriteThrough && !fitsBuffer(lock, changes)) this.send(lock, 'commit', noChanges, now);
    const seq = applyTo(lock, changes);
    buffer(lock, changes, now);
    this.buffered.add(lock);
    if (isWriteThrough) this.leaving.add(lock);
    return seq;
  }

  flush(grant: HeldGrant, now: Now): void {
    const { lock } = this.state.heldBy(grant);
    if (lock.unsent) this.send(lock, 'commit', noChanges, now);
  }

  /** Sends what leaves with this turn. The changes of a lock are one commit. */
  flushWhatLeaves(): void {
    for (const lock of this.leaving) this.flush(lock, lock.unsent!.since);
  }

  /** Whether changes leave with this turn. */
  get isAnyLeaving(): boolean {
    return this.leaving.size > 0;
  }

  /** Sends the changes that were buffered for as long as they may be. */
  flushWhatIsDue(now: Now): void {
    for (const lock of this.buffered) {
      if (now.mono - lock.unsent!.since.mono < this.state.parameters.writeBackMs) break;
      this.flush(lock, now);
    }
  }

  confirmHeld(grant: HeldGrant, now: Now): number {
    return this.send(this.state.heldBy(grant).lock, 'commit', noChanges, now);
  }

  release(grant: HeldGrant, changes: ChangeSet, now: Now): void {
    this.state.counters.releases++;
    const session = this.state.heldBy(grant);
    const { lock } = session;
    this.renewals.touchBeforeRelease(lock, now);
    applyTo(lock, changes);
    this.send(lock, 'release', changes, now);
    this.state.letGo(session);
    session.known = lock;
  }

  destroy(grant: HeldGrant, now: Now): void {
    const session = this.state.heldBy(grant);
    this.send(session.lock, 'destroy', noChanges, now);
    this.state.letGo(session);
  }

  /** The store asks the lock back (rule 4). */
  recalled(id: string, token: Token, partition: number): void {
    const { lock, offer } = this.state.sessions.get(id) ?? {};
    if (offer && sameToken(offer.token, token)) return void (offer.recalled = true);
    if (!lock || !sameToken(lock.token, token)) return this.renewals.giveBack(id, token, partition);
    if (lock.recalled) return;
    lock.recalled = true;
    this.state.counters.recalls++;
    // They go with the release, if that comes in this turn.
    if (lock.unsent) this.leaving.add(lock);
    this.state.tell({ kind: 'recalled', grant: lock });
  }

  /**
   * The store took the lock away. The holder does not trust it from now on (rule 11). The store may have
   * applied changes that are in flight. So the holder waits for their answers. Then it loses the lock and
   * returns it. The store grants it to no other holder until it knows that this one does not use it (rule
   * 10).
   */
  revoked(id: string, token: Token, partition: number, now: Now): void {
    const session = this.state.sessions.get(id);
    const { lock } = session ?? {};
    if (lock && sameToken(lock.token, token)) lock.revoked = this.state.rules.believesRevocation();
    if (session?.inFlight.some((sent) => sameToken(sent.lock.token, token)))
      return this.repeatSoon(session, now);
    this.lose(id, token, 'ended');
    this.renewals.giveBack(id, token, partition);
  }

  /**
   * The grant has ended by a release or destroy of this holder. After an empty release alone this says
   * nothing about changes.
   */
  givenBack(id: string, token: Token, now: Now): void {
    const inFlight = this.state.sessions.get(id)?.inFlight ?? [];
    const isEnd = ({ lock, message }: SentChange) =>
      message.kind !== 'commit' && sameToken(lock.token, token);
    if (inFlight.some(isEnd)) this.answered(id, token, Infinity, now);
  }

  /** The store has applied everything through `through`, now or earlier. */
  answered(id: string, token: Token, through: number, now: Now): void {
    const session = this.state.sessions.get(id);
    const first = session?.inFlight.find((sent) => sameToken(sent.lock.token, token));
    if (!session || !first) return;
    const { rules } = this.state;
    const { lock } = first;
    const before = session.inFlight.length;
    session.inFlight = session.inFlight.filter((sent) => {
      if (sent.lock !== lock || !rules.isAnswered(sent.message.seq, through)) return true;
      lock.acknowledged = Math.max(lock.acknowledged, sent.message.seq);
      return false;
    });
    if (session.inFlight.length < before) this.state.tell({ kind: 'acknowledged', grant: lock });
    if (lock.revoked && session.lock === lock) this.revoked(id, token, session.partition, now);
    this.state.settle(session);
  }

  refused(
    { session: id, seq = 0, why, appliedThrough }: Refused,
    token: Token,
    partition: number,
    now: Now,
  ): void {
    if (appliedThrough !== undefined) this.answered(id, token, appliedThrough, now);
    const session = this.state.sessions.get(id);
    // A release without changes ended the grant, and its answer was lost. So no change is lost.
    if (why === 'outcome-unknown' && session && isOnlyReturn(session, token))
      return this.answered(id, token, seq, now);
    if (why !== 'gap') return this.loseAndReturn(id, token, why, partition);
    if (session) this.behindGap(session, token, seq, appliedThrough, now);
  }

  /** The change cannot be sent. Later changes build on it. So the grant is over, and the lock goes back. */
  unsendable({ session: id, token, seq }: Commit | Release | Destroy, partition: number): void {
    const { rules, sessions } = this.state;
    const isAlone = !sessions
      .get(id)
      ?.inFlight.some(
        ({ lock, message }) => sameToken(lock.token, token) && rules.isBefore(message.seq, seq),
      );
    this.lose(id, token, isAlone ? 'unsupported' : 'outcome-unknown');
    this.renewals.giveBack(id, token, partition);
  }

  tooLarge({ session: id, token, seq }: Commit | Release): Commit {
    const unanswered =
      this.state.sessions.get(id)?.inFlight.filter(({ lock }) => sameToken(lock.token, token)) ?? [];
    for (const sent of unanswered) if (sent.message.seq === seq) sent.isTooLarge = true;
    // No message behind the newest change was ever sent. So this seq cannot be the next one.
    const newest = Math.max(seq, ...unanswered.map(({ message }) => message.seq));
    return { kind: 'commit', session: id, token, seq: newest + 2, ...noChanges };
  }

  /** Sends the changes in flight again, in order, if they were last sent `ageMs` ago or longer. */
  repeat(session: Session, now: Now, ageMs: number): void {
    const { inFlight, partition } = session;
    if (now.mono - session.sentAt < ageMs) return;
    session.sentAt = now.mono;
    this.state.counters.repeats += inFlight.length;
    for (const { message } of inFlight) this.state.send(partition, message);
  }

  /** The sessions with buffered changes (write-back). */
  unsentSessions(): Set<string> {
    return new Set([...this.buffered].map((lock) => lock.session));
  }

  /** How many sessions have changes that are not acknowledged, sent or not. */
  get unacknowledged(): number {
    const sessions = this.unsentSessions();
    for (const { id, inFlight } of this.state.unanswered) if (inFlight.some(isChange)) sessions.add(id);
    return sessions.size;
  }

  /** The store lacks a change before this one. */
  private behindGap(
    session: Session,
    token: Token,
    seq: number,
    appliedThrough: number | undefined,
    now: Now,
  ): void {
    const { id, partition } = session;
    const unanswered = session.inFlight.filter(({ lock }) => sameToken(lock.token, token));
    const [first] = unanswered;
    const { rules } = this.state;
    if (!first || rules.isAnswered(seq, first.message.seq - 1)) return; // answered by now
    if (isTooLargeNext(first, appliedThrough)) return this.loseAndReturn(id, token, 'too-large', partition);
    // The store has lost changes that it acknowledged. So it can apply none of the later ones.
    if (rules.isTakenBack(appliedThrough, first.lock.acknowledged))
      return this.loseAndReturn(id, token, 'outcome-unknown', partition);
    // What stood in the place of one that is too large is not among them. The next repeat tries it again.
    if (unanswered.some(({ message }) => message.seq === seq)) this.repeatSoon(session, now);
  }

  /** The store refuses each change behind a gap. The first of those refusals has all of them sent again. */
  private repeatSoon(session: Session, now: Now): void {
    this.repeat(session, now, this.state.parameters.repeatMs / 4);
  }

  /** Nothing of the lock is buffered any more. */
  private forget(lock: HeldLock): void {
    this.buffered.delete(lock);
    this.leaving.delete(lock);
  }

  /** Sends changes that the copy already has, together with the buffered ones. */
  private send(lock: HeldLock, kind: 'commit' | 'release' | 'destroy', changes: ChangeSet, now: Now): number {
    const session = this.state.sessions.get(lock.session)!;
    const { token } = lock;
    const all = takeBuffered(lock, changes, now);
    this.forget(lock);
    const head = { session: session.id, token, seq: ++lock.seq };
    // Nothing of the changes is left after a destroy. Its answer is theirs, too.
    const message = kind === 'destroy' ? ({ kind, ...head } as const) : ({ kind, ...head, ...all } as const);
    lock.touchedAt = now.mono;
    if (session.inFlight.length === 0) session.sentAt = now.mono;
    session.inFlight.push({ lock, message });
    this.state.unanswered.add(session);
    this.state.send(session.partition, message);
    return lock.seq;
  }

  /**
   * The store may still have the grant. It must not keep the lock for a holder that does not use it any more
   * (rule 12).
   */
  private loseAndReturn(id: string, token: Token, why: RefusalReason, partition: number): void {
    this.lose(id, token, why);
    if (returned.has(why)) this.renewals.giveBack(id, token, partition);
  }

  private lose(id: string, token: Token, why: RefusalReason): void {
    const session = this.state.sessions.get(id);
    if (session?.offer && sameToken(session.offer.token, token)) return this.state.withdraw(session);
    const lock = session && lockUnder(session, token);
    if (!session || !lock) return;
    const isWritten = !lock.unsent && !session.inFlight.some((sent) => sent.lock === lock);
    session.inFlight = session.inFlight.filter((sent) => sent.lock !== lock);
    if (session.lock === lock) this.state.letGo(session);
    if (session.known === lock) session.known = undefined;
    this.forget(lock);
    const madeAreLost = this.state.parameters.writeBackMs > 0 && !isWritten;
    this.state.tell({ kind: 'lost', grant: lock, why, madeAreLost });
    this.state.settle(session);
  }
}

/** The lock of the token. It is held, or has changes without an answer. */
function lockUnder({ lock, inFlight }: Session, token: Token): HeldLock | undefined {
  if (lock && sameToken(lock.token, token)) return lock;
  return inFlight.find((sent) => sameToken(sent.lock.token, token))?.lock;
}

function isChange({ message }: SentChange): boolean {
  return message.kind === 'destroy' || message.set.size > 0 || message.removed.length > 0;
}

/** Whether the change that the store could apply next is too large. */
function isTooLargeNext({ isTooLarge, message }: SentChange, appliedThrough: number | undefined): boolean {
  return isTooLarge === true && appliedThrough === message.seq - 1;
}

/** Whether a release without changes is all that is unanswered of the grant. */
function isOnlyReturn({ inFlight }: Session, token: Token): boolean {
  const first = inFlight.find(({ lock }) => sameToken(lock.token, token)); // a release is the last, too
  return first?.message.kind === 'release' && !isChange(first);
}
