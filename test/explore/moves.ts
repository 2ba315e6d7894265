/**
 * What may happen next in a state: a frame arrives or is lost, a timer fires, time goes on, a client acts, a
 * fault strikes. Each is a move with a name, which is the line of a transcript and enough to make it again.
 */
import type { AppServer } from './app-server.js';
import type { Ending } from './seat.js';
import type { Diary } from './marks.js';
import type { Budget, Configuration } from './configurations.js';
import { remove } from './broker-queues.js';
import {
  crash,
  cutOff,
  hearAgain,
  isLongDeaf,
  lie,
  loseAll,
  losePower,
  pause,
  sever,
  stoodStill,
} from './faults.js';
import { echoOf, hearingsOf, pausedMoves, readBy, readingsOf } from './deliveries.js';
import { withSlot, type Deployment, type State } from './deployment.js';
import { letters } from './folding.js';
import { actAt } from './holder-steps.js';
import { isAnythingDue, lookForDue, serve, takeOver } from './store-steps.js';
import { passTime } from './time.js';

export interface Move {
  readonly name: string;
  /** The state after it. Throws a `Violation` when something is seen that must never be. */
  readonly next: () => State;
}

export type Moves = (state: State) => Move[];

/** The moves of a configuration. */
export function movesOf(deployment: Deployment, configuration: Configuration): Moves {
  return (state) => {
    const list = new MoveList(deployment, configuration, state);
    list.addReadings();
    for (let slot = 0; slot < deployment.holders; slot++) {
      list.addHearings(slot);
      list.addActs(slot);
      list.addFaults(slot);
    }
    list.addBrokerFaults();
    list.addTime();
    return list.moves;
  };
}

class MoveList {
  readonly moves: Move[] = [];

  constructor(
    private readonly deployment: Deployment,
    private readonly configuration: Configuration,
    private readonly state: State,
  ) {}

  /** The store reads what came first in some queue; its write may end in three ways. */
  addReadings(): void {
    const { deployment, state } = this;
    for (const reading of readingsOf(deployment, state)) {
      const { name, loss, lost } = reading;
      this.add(name, () => readBy(deployment, state, reading, 'written'));
      this.fault('notWritten', `${name}, not written`, (from) =>
        readBy(deployment, from, reading, 'not written'),
      );
      this.fault('unsaid', `${name}, written but not said`, (from) =>
        readBy(deployment, from, reading, 'written, but reported as failed'),
      );
      if (loss !== undefined) this.fault('loss', loss, lost);
    }
  }

  addHearings(slot: number): void {
    for (const { name, heard, without, loss } of hearingsOf(this.deployment, this.state, slot)) {
      this.add(name, () => heard(this.state));
      if (without) this.fault('loss', loss, without);
    }
  }

  /** What befalls queues at the broker, and a store that stands still. */
  addBrokerFaults(): void {
    const { deployment, state } = this;
    for (const session of state.queues.value.queues.keys())
      this.fault('removal', `the queue of ${session} is removed`, (from) => ({
        ...from,
        queues: deployment.part(remove(from.queues.value, session)),
      }));
    for (const { name, next } of pausedMoves(deployment, state)) this.add(name, next);
    if (state.store.value.machine && !state.paused)
      this.fault('pause', 'another store takes over from one that stands still', (from) =>
        pause(deployment, from),
      );
  }

  /** What an app server and its clients do. */
  addActs(slot: number): void {
    const { state } = this;
    const { sessions = ['s'], waitMs } = this.configuration;
    const letter = letters[slot]!;
    const { server, isDue } = state.slots[slot]!;
    const act = (from: State, what: string, how: (server: AppServer, diary: Diary) => void) =>
      actAt(this.deployment, from, slot, what, how);
    if (isDue)
      this.add(`${letter} looks`, () =>
        act(withSlot(state, slot, { isDue: false }), 'looks', (one, diary) => one.tick(diary)),
      );
    for (const session of sessions) {
      const { scope, grant } = server.value.seats.get(session) ?? {};
      if (!scope && server.value.visits > 0)
        this.add(`${letter} visits ${session}`, () =>
          act(state, `visits ${session}`, (one, diary) => one.visit(session, waitMs, diary)),
        );
      if (server.value.mayLeave(session)) {
        const leaves = (ending: Ending) => (from: State) =>
          act(from, `${ending} ${session}`, (one, diary) => one.leave(session, ending, diary));
        this.add(`${letter} changes ${session} and leaves`, () => leaves('changing')(state));
        this.add(`${letter} leaves ${session}`, () => leaves('reading')(state));
        this.fault('destroy', `${letter} destroys ${session}`, leaves('destroying'));
        this.fault('regenerate', `${letter} gives ${session} another id`, (from) =>
          act(from, `regenerates ${session}`, (one, diary) => one.regenerate(session, 'new', waitMs, diary)),
        );
        this.fault('commit', `${letter} commits to ${session}`, (from) =>
          act(from, `commits ${session}`, (one, diary) => one.change(session, diary)),
        );
        this.fault('unsendable', `${letter} changes ${session} in a way that cannot be sent`, (from) =>
          act(from, `fails ${session}`, (one, diary) => {
            one.change(session, diary);
            one.failToSend(diary);
          }),
        );
      }
      if (scope === 'waits')
        this.fault('cancel', `${letter} gives up ${session}`, (from) =>
          act(from, `gives up ${session}`, (one, diary) => one.giveUp(session, diary)),
        );
      if (grant && scope !== 'inside')
        this.fault('idle', `${letter} releases ${session}`, (from) =>
          act(from, `releases ${session}`, (one, { now }) => one.release(session, now)),
        );
    }
  }

  /** What befalls an app server. */
  addFaults(slot: number): void {
    const letter = letters[slot]!;
    this.fault('cut', `${letter} is cut off`, (from) => cutOff(this.deployment, from, slot));
    if (this.state.slots[slot]!.isSevered)
      this.add(`${letter} notices that it is cut off`, () => cutOff(this.deployment, this.state, slot));
    else
      this.fault('severance', `the queue of ${letter} is gone`, (from) => sever(this.deployment, from, slot));
    this.fault('crash', `${letter} dies`, (from) => crash(this.deployment, from, slot));
    if (this.state.slots[slot]!.toStore.value.length > 0)
      this.fault('lie', `${letter} shows an epoch that nobody has claimed`, (from) =>
        lie(this.deployment, from, slot),
      );
  }

  addTime(): void {
    const { deployment, state } = this;
    const [echo] = state.echoes.value;
    if (echo !== undefined && stoodStill(deployment, state, echo))
      this.fault('overtaking', 'the echo comes back before what waits in connections', (from) =>
        readBy(deployment, from, echoOf(deployment, echo), 'written'),
      );
    if (state.deafSince !== undefined) {
      if (isLongDeaf(deployment, state))
        this.add('the store reads again', () => hearAgain(deployment, state));
    } else if (state.store.value.isDue(Number.MAX_VALUE)) {
      this.fault('deafness', 'the store stops reading', (from) => ({ ...from, deafSince: from.time }));
    }
    if (state.isStoreDue && state.deafSince === undefined)
      this.add('the store looks', () => serve(deployment, state, 'look', {}, 'written'));
    if (state.store.value.machine && isAnythingDue(state))
      this.add('the store looks for what is due', () => lookForDue(deployment, state));
    if (state.store.value.machine) {
      this.fault('takeover', 'another store takes over', (from) => takeOver(deployment, from));
      this.fault('oldData', 'the store starts with empty data', (from) => loseAll(deployment, from));
    }
    for (const [at] of state.history.value.entries()) {
      const lost = state.history.value.length - at;
      this.fault('power', `the power fails, and ${lost} writes are lost`, (from) =>
        losePower(deployment, from, at),
      );
    }
    for (const ms of this.configuration.steps)
      this.fault('time', `${ms} ms pass`, (from) => passTime(deployment, from, ms));
  }

  private add(name: string, next: () => State): void {
    this.moves.push({ name, next });
  }

  /** There may be so many of them. */
  private fault(budget: Budget, name: string, next: (from: State) => State): void {
    const { state } = this;
    const left = state.left[budget];
    if (left === 0) return;
    this.add(name, () => next({ ...state, left: { ...state.left, [budget]: left - 1 } }));
  }
}
