/**
 * An explored app server: the real holder's machine, and a client that uses it as the gate of
 * `locked-session` does. It has at most one scope in a session at a time. A change appends a mark to a list,
 * so a lost or doubled one is seen.
 */
import {
  HolderMachine,
  noChanges,
  type Acquire,
  type HeldGrant,
  type HolderEvent,
  type HolderMessage,
  type HolderParameters,
  type HolderRules,
  type Now,
  type RefusalReason,
  type StorePart,
} from '#protocol';
import { Violation, type Diary } from './marks.js';
import { goOn, type Regeneration } from './regeneration.js';
import { emptySeat, marksAs, marksOf, type Ending, type Result, type Seat } from './seat.js';

/** Reasons after which nothing more of a grant is applied. */
const surelyNot: ReadonlySet<RefusalReason> = new Set(['ended', 'too-large', 'unsupported']);

/** Those who use an app server. */
export interface Clients {
  /** How many scopes may still come. */
  readonly visits: number;
  /** Each session that is visited is a new one, with a first change. */
  readonly creates: boolean;
}

export class AppServer {
  /** Acquires on their way into the queues of their sessions (rule 21). */
  puts: readonly Acquire[] = [];
  readonly machine: HolderMachine;
  readonly seats = new Map<string, Seat>();
  visits: number;
  readonly creates: boolean;
  regeneration: Regeneration | undefined;
  private connections = 1;
  /** What could be sent, when something else could not. */
  private sendable: readonly HolderMessage[] = [];
  /** How many partitions the store counts, as the machine has told. */
  private partitions = this.parameters.partitions;

  constructor(
    readonly name: string,
    private readonly parameters: HolderParameters,
    rules: Partial<HolderRules>,
    { visits, creates }: Clients,
    now: Now,
  ) {
    this.visits = visits;
    this.creates = creates;
    this.machine = new HolderMachine(parameters, rules);
    this.machine.connected(now);
  }

  /** Where answers go: another place with each connection. */
  get queue(): string {
    return `${this.name}.${this.connections}`;
  }

  seat(session: string): Seat {
    let seat = this.seats.get(session);
    if (!seat) this.seats.set(session, (seat = emptySeat()));
    return seat;
  }

  /** A scope comes. */
  visit(session: string, waitMs: number, diary: Diary): void {
    const seat = this.seat(session);
    this.visits--;
    seat.scope = 'waits';
    seat.deadline = diary.now.mono + waitMs;
    if (this.creates && !seat.grant) {
      const mark = diary.mark(session);
      seat.creation = { mark, values: marksAs([mark]) };
    }
    if (seat.grant) this.enter(session, seat, diary);
    else this.want(session, seat, diary.now);
  }

  /** The scope that is inside asks for another id: the new session is made while it waits. */
  regenerate(from: string, to: string, waitMs: number, diary: Diary): void {
    const mark = diary.mark(to);
    const seat = this.seat(to);
    seat.deadline = diary.now.mono + waitMs;
    seat.creation = { mark, values: marksAs([mark]) };
    this.regeneration = { from, to, step: 'making' };
    this.want(to, seat, diary.now);
  }

  /** Whether a scope is inside that may end now. */
  mayLeave(session: string): boolean {
    const { step } = this.regeneration ?? {};
    const isBound = step === 'making' || step === 'ending' || step === 'undoing';
    return this.seats.get(session)?.scope === 'inside' && !isBound;
  }

  /** The scope that is inside ends. */
  leave(session: string, ending: Ending, diary: Diary): void {
    const seat = this.seat(session);
    const grant = seat.grant!;
    const { now } = diary;
    const missing = diary.missing(session, marksOf(grant.attributes));
    seat.scope = undefined;
    grant.inside--;
    if (ending === 'reading') this.read(seat, grant, missing, diary);
    if (ending === 'changing') this.change(session, diary);
    if (ending === 'destroying') {
      this.machine.destroy(grant, now);
      seat.results.push({ grant, seq: grant.seq, destroys: true, missing });
      seat.grant = undefined;
    }
    this.giveBackIfAsked(seat, now);
  }

  /** A change is made under the lock, and its result is waited for. */
  change(session: string, diary: Diary): void {
    const seat = this.seat(session);
    const grant = seat.grant!;
    const seen = marksOf(grant.attributes);
    const mark = diary.mark(session);
    const changes = { set: marksAs([...seen, mark]), removed: [] };
    const seq = this.machine.commit(grant, changes, diary.now);
    seat.results.push({ grant, seq, mark, missing: diary.missing(session, seen) });
    if (this.parameters.writeBackMs > 0) diary.settle(mark, 'made');
  }

  /** The last change that would be sent cannot be written into a frame. */
  failToSend(diary: Diary): void {
    const messages = [...this.machine.takeMessages().values()].flat();
    const at = messages.findLastIndex((one) => 'set' in one && one.set.size > 0);
    this.sendable = messages.filter((_, i) => i !== at);
    if (at >= 0) this.machine.unsendable(messages[at]!, 0, 'it cannot be encoded', diary.now);
    this.takeEvents(diary);
  }

  /** The scope that waits gives up. */
  giveUp(session: string, diary: Diary): void {
    const seat = this.seat(session);
    seat.scope = undefined;
    if (seat.creation) diary.settle(seat.creation.mark, 'unknown');
    seat.creation = undefined;
    if (!seat.grant) this.machine.giveUp(session);
  }

  /** Nobody has used the lock for a while. */
  release(session: string, now: Now): void {
    const seat = this.seat(session);
    this.machine.release(seat.grant!, noChanges, now);
    seat.grant = undefined;
    if (seat.scope === 'waits') this.want(session, seat, now);
  }

  /** Whoever waits goes on waiting until then. */
  waitOn(deadline: number, now: Now): void {
    for (const [session, seat] of this.seats) {
      if (seat.scope !== 'waits') continue;
      seat.deadline = deadline;
      if (!seat.grant) this.want(session, seat, now);
    }
  }

  /** Everything that nobody is inside of goes back. */
  releaseAll(now: Now): void {
    for (const [session, { grant, scope }] of this.seats)
      if (grant && scope !== 'inside') this.release(session, now);
  }

  /** `key` leads to the own queue of the store that has sent the frame. */
  receive(frame: StorePart, key: string, diary: Diary): void {
    this.machine.receive(frame, diary.now, () => this.takeEvents(diary), key);
    for (const message of frame.messages) {
      if (message.kind === 'renewed' && message.partitions !== this.partitions)
        throw new Violation(`${this.name} is not told that the store counts another number of partitions`);
    }
  }

  /** The first acquire that is on its way into its session's queue is there, or will never be. */
  wasPut(isThere: boolean, { now }: Diary): void {
    const [acquire, ...others] = this.puts;
    this.puts = others;
    this.machine.enqueued(acquire!, isThere, now);
  }

  tick(diary: Diary): void {
    this.machine.tick(diary.now);
    for (const [session, seat] of this.seats)
      if (seat.scope === 'waits' && seat.deadline <= diary.now.mono) this.giveUp(session, diary);
  }

  /** The connection is lost, and another one stands. */
  reconnect(now: Now): void {
    this.machine.takeMessages();
    this.puts = [];
    this.connections++;
    this.machine.connected(now);
  }

  /** What is to be sent, in order: to the partition, and to the own queue of a store. */
  takeMessages(now: Now) {
    const { toStores, toPartitions } = this.machine.takeTurn(now);
    const messages = [...this.sendable, ...toPartitions.flatMap((part) => part.messages)];
    this.sendable = [];
    const direct = Array.from(toStores, ([key, parts]) => ({
      key,
      messages: parts.flatMap((part) => part.messages),
    }));
    if (this.parameters.queues !== 'per-session') return { messages, direct };
    this.puts = [...this.puts, ...messages.filter((one) => one.kind === 'acquire')];
    return { messages: messages.filter((one) => one.kind !== 'acquire'), direct };
  }

  private takeEvents(diary: Diary): void {
    for (const event of this.machine.takeEvents()) this.note(event, diary);
  }

  private want(session: string, seat: Seat, now: Now): void {
    this.machine.want(session, seat.deadline, seat.creation?.values ?? new Map(), now);
  }

  /** A scope that waits begins, if the lock may be used now. */
  private enter(session: string, seat: Seat, diary: Diary): void {
    const { grant } = seat;
    if (seat.scope !== 'waits' || !grant || !this.machine.trusts(grant, diary.now)) return;
    seat.scope = 'inside';
    seat.since = diary.now.mono;
    grant.inside++;
    grant.used = true;
    const missing = diary.missing(session, marksOf(grant.attributes));
    if (missing !== undefined)
      throw new Violation(`${this.name} enters ${session} and does not see ${missing}`);
  }

  /**
   * What was read under a lock that is not trusted any more is told only when the store has confirmed the
   * lock (rule 8).
   */
  private read(seat: Seat, grant: HeldGrant, missing: string | undefined, { now }: Diary): void {
    if (!this.machine.isTrusted(grant, now)) {
      seat.results.push({ grant, seq: this.machine.confirmHeld(grant, now), missing });
    } else if (missing !== undefined) {
      throw new Violation(`${this.name} reads ${grant.session} and does not see ${missing}`);
    }
  }

  private giveBackIfAsked(seat: Seat, now: Now): void {
    const { grant, scope } = seat;
    if (!grant || scope === 'inside') return;
    const results = seat.results.filter((result) => result.grant === grant).length;
    if (grant.recalled || this.machine.isTurnOver(grant, results)) this.release(grant.session, now);
  }

  private note(event: HolderEvent, diary: Diary): void {
    if (event.kind === 'partitions') {
      this.partitions = event.partitions;
      return;
    }
    if (event.kind === 'refused') {
      return this.refused(event.session, event.why, diary);
    }
    const { grant } = event;
    const seat = this.seat(grant.session);
    switch (event.kind) {
      case 'granted':
        seat.grant = grant;
        this.created(seat, grant, diary);
        this.enter(grant.session, seat, diary);
        return this.giveBackIfAsked(seat, diary.now);
      case 'trusted':
        this.enter(grant.session, seat, diary);
        return this.giveBackIfAsked(seat, diary.now);
      case 'recalled':
        return this.giveBackIfAsked(seat, diary.now);
      case 'acknowledged':
        this.acknowledged(seat, grant, diary);
        return this.giveBackIfAsked(seat, diary.now);
      case 'lost':
        return this.lost(seat, event, diary);
    }
  }

  private refused(session: string, why: RefusalReason, diary: Diary): void {
    const seat = this.seat(session);
    if (seat.creation) diary.settle(seat.creation.mark, why === 'outcome-unknown' ? 'unknown' : 'refused');
    seat.scope = undefined;
    seat.creation = undefined;
    goOn(this, session, why, diary);
  }

  /** A session that another one has made before is not the visitor's: nothing of his is kept (rule 16). */
  private created(seat: Seat, grant: HeldGrant, diary: Diary): void {
    const { creation } = seat;
    if (!creation) return;
    seat.creation = undefined;
    const isMade = grant.seq > 0;
    diary.settle(creation.mark, isMade ? 'acknowledged' : 'refused');
    if (!isMade) seat.scope = undefined;
    const isWanted = this.regeneration?.step === 'making' && this.regeneration.to === grant.session;
    if (!isWanted) return;
    if (isMade) {
      seat.scope = 'inside';
      grant.inside++;
    }
    goOn(this, grant.session, isMade ? 'made' : 'not made', diary);
  }

  private acknowledged(seat: Seat, grant: HeldGrant, diary: Diary): void {
    const isDurable = (result: Result) => result.grant === grant && result.seq <= grant.acknowledged;
    for (const { mark, destroys, missing } of seat.results.filter(isDurable)) {
      if (missing !== undefined)
        throw new Violation(`${this.name} answers as if ${missing} had never been in ${grant.session}`);
      if (mark !== undefined) diary.settle(mark, 'acknowledged');
      if (!destroys) continue;
      diary.destroyed(grant.session);
      goOn(this, grant.session, 'destroyed', diary);
    }
    seat.results = seat.results.filter((result) => !isDurable(result));
  }

  private lost(seat: Seat, { grant, why, madeAreLost }: HolderEvent & { kind: 'lost' }, diary: Diary): void {
    const isIts = (result: Result) => result.grant === grant;
    for (const { mark } of seat.results.filter(isIts)) {
      if (mark === undefined) continue;
      if (this.parameters.writeBackMs > 0 && !madeAreLost)
        throw new Violation(`${this.name} loses ${mark}, whose result was given, and tells nobody`);
      diary.settle(mark, surelyNot.has(why) ? 'refused' : 'unknown');
    }
    seat.results = seat.results.filter((result) => !isIts(result));
    if (seat.grant === grant) {
      seat.grant = undefined;
      if (seat.scope === 'inside') seat.scope = undefined;
      if (seat.scope === 'waits') this.want(grant.session, seat, diary.now);
    }
    goOn(this, grant.session, why, diary);
  }
}
