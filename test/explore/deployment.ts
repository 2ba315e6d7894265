/**
 * The state of an explored deployment, and what a step makes of it. A state is never changed: a step copies
 * the one process that it concerns, and shares all others. Between two processes there is a queue for each
 * direction, and frames of different queues arrive in any order.
 */
import type {
  HolderPart,
  HolderParameters,
  HolderRules,
  Now,
  StorePart,
  StoreParameters,
  StoreRules,
} from '#protocol';
import { AppServer, type Clients } from './app-server.js';
import { budgets, type Faults } from './configurations.js';
import { emptyDisk, type Disk } from './disk.js';
import { letters, type Folding } from './folding.js';
import { finish, mix } from './graph.js';
import type { Part, Parts } from './parts.js';
import { StoreServer } from './store-server.js';
import { noQueues, type BrokerQueues } from './broker-queues.js';
import type { Mark } from './marks.js';
import { emptyWitness, type Witness } from './witness.js';

/** On its way to the store. An echo has come back when no queue has anything before it. */
export type ToStore = { readonly frame: HolderPart; readonly sentAt: number } | { readonly echo: number };

/** On its way to a holder: each owner of the partition has its own way. */
export interface ToHolder {
  readonly frame: StorePart;
  readonly queue: string;
  /** Of the store's own queue. */
  readonly key: string;
}

/** A store that stands still, and does not know that another one has the partition's queue. */
export interface Paused {
  readonly store: Part<StoreServer>;
  /** What was handed over to it, and what is in its own queue. */
  readonly inbox: Part<readonly PausedFrame[]>;
}

export interface PausedFrame {
  readonly frame: HolderPart;
  /** From its own queue. All other frames come to the next owner, too. */
  readonly isDirect: boolean;
}

/** What belongs to one app server, through all its incarnations. */
export interface Slot {
  readonly server: Part<AppServer>;
  readonly marks: Part<readonly Mark[]>;
  readonly toStore: Part<readonly ToStore[]>;
  readonly toHolder: Part<readonly ToHolder[]>;
  /** What it has sent to the owner's own queue, which nothing orders with the partition's. */
  readonly direct: Part<readonly ToStore[]>;
  /** Keys of stores that do not serve the partition, to which a frame of it went. */
  readonly bounced: readonly string[];
  /** Its queue is gone, and it does not know. */
  readonly isSevered: boolean;
  /** Its timer has not fired since time went on. */
  readonly isDue: boolean;
}

export interface State {
  readonly time: number;
  readonly store: Part<StoreServer>;
  readonly isStoreDue: boolean;
  readonly disk: Part<Disk>;
  readonly slots: readonly Slot[];
  /** What is delivered again to the next owner, before all else. */
  readonly again: Part<readonly HolderPart[]>;
  readonly echoes: Part<readonly number[]>;
  /** The sessions' own queues at the broker. */
  readonly queues: Part<BrokerQueues>;
  /** Queues of holders that are gone, to which a frame went, as the store is told. */
  readonly returned: Part<readonly string[]>;
  readonly paused: Paused | undefined;
  readonly witness: Part<Witness>;
  /** Disks as they were before the latest writes, oldest first, when the power may fail. */
  readonly history: Part<readonly Disk[]>;
  /** Written data were lost in this epoch: an app server that has heard of no later one cannot know it. */
  readonly lostEpoch: number;
  /** How far the clock of the store is behind, since it was started with other data. */
  readonly behindMs: number;
  /** Since when the store has read nothing. */
  readonly deafSince: number | undefined;
  /** Of each fault, how many more there may be. */
  readonly left: Faults;
}

export interface Rules {
  readonly store: Partial<StoreRules>;
  readonly holder: Partial<HolderRules>;
  /** False: a store does not verify its epoch before it speaks (rule 7). */
  readonly verifies?: boolean;
}

export interface DeploymentParameters {
  readonly holder: HolderParameters;
  readonly store: StoreParameters;
  /** Of stores that take over. */
  readonly nextStore: StoreParameters;
  /** What follows a grant goes to the owner's own queue. */
  readonly hasOwnQueues: boolean;
  /** A store sends its echoes through the partition's queue alone. */
  readonly echoesInPartition: boolean;
  /** Nothing is ever lost. */
  readonly isReliable: boolean;
  /** What is sent is lost with a store at most, and no time passes in which anybody would repeat it. */
  readonly isPrompt: boolean;
}

/** One configuration with its rules: makes the first state, and the parts of all others. */
export class Deployment {
  constructor(
    readonly holders: number,
    readonly parameters: DeploymentParameters,
    readonly rules: Rules,
    private readonly folding: Folding,
    private readonly parts: Parts,
  ) {}

  /** 64 bits that are the same for states that differ by an exchange of holders. */
  printOf(state: State): readonly [high: number, low: number] {
    return printOf(state, this.folding);
  }

  /** The value as a part of states. */
  part<T>(value: T): Part<T> {
    return this.parts.part(value);
  }

  /** A copy of a part's value, to be changed. */
  copy<T>({ value }: Part<T>): T {
    return this.parts.copy(value);
  }

  first(left: Faults, visits: number, creates: boolean): State {
    const empty = { again: this.part([]), echoes: this.part([]) };
    const slots = Array.from({ length: this.holders }, (_, slot): Slot => {
      const server = this.server(slot, 1, { visits, creates: creates && slot === 0 }, nowAt(0));
      return {
        server: this.part(server),
        marks: this.part([]),
        toStore: this.part([]),
        toHolder: this.part([]),
        direct: this.part([]),
        bounced: [],
        isSevered: false,
        isDue: false,
      };
    });
    return {
      time: 0,
      store: this.part(new StoreServer('k1', this.parameters.store, this.rules.store)),
      isStoreDue: false,
      disk: this.part(emptyDisk),
      slots,
      ...empty,
      queues: this.part(noQueues),
      returned: this.part([]),
      paused: undefined,
      witness: this.part(emptyWitness),
      history: this.part([]),
      lostEpoch: 0,
      behindMs: 0,
      deafSince: undefined,
      left,
    };
  }

  /** A new incarnation of an app server. */
  server(slot: number, incarnation: number, clients: Clients, now: Now): AppServer {
    const name = `${letters[slot]}${incarnation}`;
    return new AppServer(name, this.parameters.holder, this.rules.holder, clients, now);
  }
}

/** 64 bits that are the same for states that differ by an exchange of holders. */
function printOf(state: State, { places: all }: Folding): readonly [high: number, low: number] {
  let least: readonly [number, number] | undefined;
  for (const [way, places] of all.entries()) {
    const print = printBy(state, way, places);
    if (!least || print[0] < least[0] || (print[0] === least[0] && print[1] < least[1])) least = print;
  }
  return least!;
}

function printBy(state: State, way: number, places: readonly number[]): [number, number] {
  let [high, low] = [state.time | 0, ~state.time];
  const add = (value: number, other: number) => {
    high = mix(high, value);
    low = mix(low, other);
  };
  for (const part of sharedParts(state)) add(part.prints[2 * way]!, part.prints[2 * way + 1]!);
  for (const budget of budgets) add(state.left[budget], ~state.left[budget]);
  add(Number(state.isStoreDue), 0);
  add(state.lostEpoch, state.behindMs);
  add(state.deafSince ?? -1, 0);
  add(Number(state.paused !== undefined), 0);
  for (let place = 0; place < places.length; place++) {
    const slot = state.slots[places.indexOf(place)]!;
    for (const part of slotParts(slot)) add(part.prints[2 * way]!, part.prints[2 * way + 1]!);
    add(Number(slot.isDue) + 2 * Number(slot.isSevered), 1);
    for (const key of slot.bounced) add(Number(key.slice(1)), 2);
  }
  return [finish(high), finish(low)];
}

const sharedParts = ({ store, disk, again, echoes, queues, returned, witness, history, paused }: State) => [
  ...[store, disk, again, echoes, queues, returned, witness, history],
  ...(paused ? [paused.store, paused.inbox] : []),
];
const slotParts = ({ server, marks, toStore, toHolder, direct }: Slot) => [
  ...[server, marks, toStore, toHolder, direct],
];

export function partsOf(state: State): Part<unknown>[] {
  return [...sharedParts(state), ...state.slots.flatMap(slotParts)];
}

/** Both clocks: the wall clock began long before. */
export function nowAt(time: number): Now {
  return { mono: time, wall: 1_000_000 + time };
}

/**
 * Written data were lost, its grant perhaps among them, and it has not heard of the owner that came after.
 */
function isUnaware({ machine }: AppServer, { lostEpoch }: State): boolean {
  return lostEpoch > 0 && machine.epochOf(0) <= lostEpoch;
}

/**
 * It cannot know that it does not hold its locks any more: data were lost, or its queue is gone, while the
 * store counts such a holder as gone at once.
 */
export function isExcused(server: AppServer, state: State, slot: number): boolean {
  return isUnaware(server, state) || state.slots[slot]!.isSevered;
}

/** The state with another value in one slot. */
export function withSlot(state: State, slot: number, change: Partial<Slot>): State {
  const slots = [...state.slots];
  slots[slot] = { ...slots[slot]!, ...change };
  return { ...state, slots };
}
