/** What is on its way, and what becomes of the next of it: a frame is read, heard or lost. */
import type { Acquire } from '#protocol';
import { nextOf, put, settle, take } from './broker-queues.js';
import { withSlot, type Deployment, type State } from './deployment.js';
import { endPaused } from './faults.js';
import { letters } from './folding.js';
import { actAt, frameOf } from './holder-steps.js';
import { Violation } from './marks.js';
import type { Batch, WriteEnd } from './store-server.js';
import { hasComeBack, rest, serve, servePaused } from './store-steps.js';

/** A batch that the store may read next, and the state without it. */
export interface Reading {
  readonly name: string;
  /** Which batch it is, by the part that it is taken from. */
  readonly key: string;
  readonly batch: Batch;
  readonly without: (state: State) => State;
  /** What its loss is called, and the state after it. */
  readonly loss: string | undefined;
  readonly lost: (state: State) => State;
}

export function readingsOf(deployment: Deployment, state: State): Reading[] {
  if (state.deafSince !== undefined) return [];
  return [
    ...fromPartition(deployment, state),
    ...fromOwnQueue(deployment, state),
    ...fromQueues(deployment, state),
    ...notices(deployment, state),
    ...echoes(deployment, state),
  ];
}

/** Through the partition's queue: what is delivered again comes first. */
function fromPartition(deployment: Deployment, state: State): Reading[] {
  const [again] = state.again.value;
  if (again) {
    const without = (from: State) => ({ ...from, again: deployment.part(from.again.value.slice(1)) });
    const key = `${state.again.id}`;
    return [
      {
        ...{ name: 'the store reads again', key, batch: { frame: again } },
        ...{ without, loss: undefined, lost: without },
      },
    ];
  }
  return state.slots.flatMap(({ toStore }, slot) => {
    const [first] = toStore.value;
    if (!first || !('frame' in first)) return [];
    const letter = letters[slot]!;
    const without = (from: State) => withSlot(from, slot, { toStore: deployment.part(rest(toStore.value)) });
    const batch = { frame: first.frame };
    const names = { name: `the store reads ${letter}`, loss: `a frame of ${letter} is lost` };
    return [{ ...names, key: `${toStore.id}`, batch, without, lost: without }];
  });
}

/**
 * Through the store's own queue. What a store reads there of a partition that it does not own, it says so at
 * once.
 */
function fromOwnQueue(deployment: Deployment, state: State): Reading[] {
  if (!state.store.value.machine) return [];
  return state.slots.flatMap(({ direct }, slot) => {
    const [first] = direct.value;
    if (!first || !('frame' in first)) return [];
    const letter = letters[slot]!;
    const without = (from: State) => withSlot(from, slot, { direct: deployment.part(rest(direct.value)) });
    const batch = { frame: first.frame, isDirect: true } as const;
    const names = { name: `the store reads ${letter} directly`, loss: `a direct frame of ${letter} is lost` };
    return [{ ...names, key: `direct ${direct.id}`, batch, without, lost: without }];
  });
}

/** Out of queues of sessions. */
function fromQueues(deployment: Deployment, state: State): Reading[] {
  const { queues } = state;
  return [...queues.value.queues].flatMap(([session, queue]) => {
    const next = nextOf(queue);
    if (!next || !state.store.value.machine) return [];
    const { n, frame } = next;
    const letter = frame.holder[0]!;
    const without = (from: State) => ({
      ...from,
      queues: deployment.part(take(from.queues.value, session)),
    });
    const lost = (from: State) => {
      const taken = take(from.queues.value, session);
      return { ...from, queues: deployment.part(settle(taken, session, n)) };
    };
    const name = `the store takes ${letter} out of the queue of ${session}`;
    const batch = { frame, from: { session, n } };
    const loss = `the acquire of ${letter} in the queue of ${session} is lost`;
    return [{ name, key: `queue ${session} ${queues.id}`, batch, without, loss, lost }];
  });
}

/** What the broker tells the store: a queue is not there. */
function notices(deployment: Deployment, state: State): Reading[] {
  const readings: Reading[] = [];
  const [queue] = state.returned.value;
  if (queue !== undefined) {
    const without = (from: State) => ({ ...from, returned: deployment.part(from.returned.value.slice(1)) });
    const batch = state.store.value.machine ? { unreachable: queue } : undefined;
    const name = `a frame to ${queue} comes back`;
    if (batch) readings.push({ name, key: name, batch, without, loss: undefined, lost: without });
  }
  const [session] = state.queues.value.gone;
  if (session !== undefined && state.store.value.machine) {
    const without = (from: State) => {
      const { value } = from.queues;
      return { ...from, queues: deployment.part({ ...value, gone: value.gone.slice(1) }) };
    };
    const name = `the store learns that the queue of ${session} is gone`;
    const batch = { goneQueue: session };
    readings.push({ name, key: name, batch, without, loss: undefined, lost: without });
  }
  return readings;
}

function echoes(deployment: Deployment, state: State): Reading[] {
  const [echo] = state.echoes.value;
  return echo !== undefined && hasComeBack(state, echo) ? [echoOf(deployment, echo)] : [];
}

/** The first echo, whether anything stands before it or not. */
export function echoOf(deployment: Deployment, echo: number): Reading {
  const without = (from: State) => ({ ...from, echoes: deployment.part(from.echoes.value.slice(1)) });
  const names = { name: 'the echo comes back', loss: 'the echo is lost' };
  return { ...names, key: `echo ${echo}`, batch: { echo }, without, lost: without };
}

export function readBy(
  deployment: Deployment,
  state: State,
  { batch, key, without }: Reading,
  end: WriteEnd,
): State {
  return serve(deployment, without(state), key, batch, end);
}

/** Something that arrives at a holder, or comes of what it has sent. */
export interface Hearing {
  readonly name: string;
  readonly heard: (state: State) => State;
  readonly without: ((state: State) => State) | undefined;
  readonly loss: string;
}

export function hearingsOf(deployment: Deployment, state: State, slot: number): Hearing[] {
  return [
    ...framesTo(deployment, state, slot),
    ...putsOf(deployment, state, slot),
    ...bouncesOf(deployment, state, slot),
  ];
}

/** A frame that an app server may hear next: the first of each owner's. */
function framesTo(deployment: Deployment, state: State, slot: number): Hearing[] {
  const letter = letters[slot]!;
  const { value: queue, id } = state.slots[slot]!.toHolder;
  const owners = [...new Set(queue.map(({ frame }) => frame.epoch))];
  return owners.map((epoch, nth) => {
    const at = queue.findIndex(({ frame }) => frame.epoch === epoch);
    const { frame, key } = queue[at]!;
    const without = (from: State) =>
      withSlot(from, slot, { toHolder: deployment.part(queue.toSpliced(at, 1)) });
    const heard = (from: State) =>
      actAt(deployment, without(from), slot, `hears ${id} ${at}`, (server, diary) =>
        server.receive(frame, key, diary),
      );
    const of = owners.length > 1 ? ` owner ${nth + 1} of ${owners.length}` : '';
    return { name: `${letter} hears${of}`, heard, without, loss: `a frame to ${letter}${of} is lost` };
  });
}

/** An acquire comes into its session's queue. The broker may lose it, and the holder cannot know. */
function putsOf(deployment: Deployment, state: State, slot: number): Hearing[] {
  const server = state.slots[slot]!.server.value;
  const [acquire] = server.puts;
  if (!acquire) return [];
  const letter = letters[slot]!;
  const { session } = acquire;
  const into = (isLost: boolean) => (from: State) => {
    const queues = put(from.queues.value, session, ...placeOf(from, slot, acquire), isLost);
    const next = { ...from, queues: deployment.part(queues) };
    return actAt(deployment, next, slot, 'was put', (one, diary) => one.wasPut(true, diary));
  };
  const name = `the acquire of ${letter} comes into the queue of ${session}`;
  const loss = `the broker loses the acquire of ${letter} for the queue of ${session}`;
  return [{ name, heard: into(false), without: into(true), loss }];
}

function placeOf({ slots, time }: State, slot: number, acquire: Acquire) {
  const frame = frameOf(slots[slot]!.server.value, [acquire]);
  return [frame, time + acquire.waitMs] as const;
}

/** A frame to a store's own queue that has not reached the owner: the sender is told. */
function bouncesOf(deployment: Deployment, state: State, slot: number): Hearing[] {
  const { bounced, direct } = state.slots[slot]!;
  const letter = letters[slot]!;
  const [key] = bounced;
  if (key !== undefined) {
    const heard = (from: State) => {
      const without = withSlot(from, slot, { bounced: bounced.slice(1) });
      const act = actAt(deployment, without, slot, `bounced ${key}`, (one, { now }) =>
        one.machine.returned(key, now),
      );
      return judgeTold(deployment, act, slot);
    };
    return [{ name: `a frame of ${letter} comes back`, heard, without: undefined, loss: '' }];
  }
  const { machine, key: own } = state.store.value;
  if (machine || direct.value.length === 0) return [];
  const disowned = { partition: 0, epoch: 0, messages: [{ kind: 'disowned' }] } as const;
  const heard = (from: State) => {
    const without = withSlot(from, slot, { direct: deployment.part([]) });
    const act = actAt(deployment, without, slot, `disowned ${own}`, (one, diary) =>
      one.receive(disowned, own, diary),
    );
    return judgeTold(deployment, act, slot);
  };
  const name = `the store tells ${letter} that the partition is not its own`;
  return [{ name, heard, without: undefined, loss: '' }];
}

/** Rule 22: whoever learns that a store is not the owner does not leave its changes to a timer. */
function judgeTold({ parameters }: Deployment, state: State, slot: number): State {
  const { server, toStore, direct, toHolder } = state.slots[slot]!;
  const { name, seats } = server.value;
  const owes = [...seats.values()].some(({ results }) => results.length > 0);
  const onTheWay = toStore.value.length + direct.value.length + toHolder.value.length;
  const isAgain = state.again.value.some(({ holder }) => holder === name);
  if (parameters.isPrompt && owes && onTheWay === 0 && !isAgain)
    throw new Violation(`${name} learns that its change went to no owner, and does not send it again`);
  return state;
}

/** What a store that stands still may do when it goes on. */
export function pausedMoves(deployment: Deployment, state: State): { name: string; next: () => State }[] {
  const { paused } = state;
  if (!paused) return [];
  const [first, ...others] = paused.inbox.value;
  const moves = [];
  if (first) {
    const read = () => {
      const without = { ...state, paused: { ...paused, inbox: deployment.part(others) } };
      const { frame, isDirect } = first;
      const batch = { frame, ...(isDirect && { isDirect }) };
      const next = servePaused(deployment, without, `paused ${paused.inbox.id}`, batch);
      return next.paused ? next : endPaused({ ...next, paused: without.paused });
    };
    moves.push({ name: 'the paused store reads', next: read });
  }
  if (paused.store.value.isDue(state.time)) {
    const look = () => {
      const next = servePaused(deployment, state, 'paused looks', {});
      return next.paused ? next : endPaused(state);
    };
    moves.push({ name: 'the paused store looks', next: look });
  }
  return moves;
}

/**
 * Everything that is on its way arrives, and all that follows from it; what is for a silent app server waits.
 */
export function deliverAll(deployment: Deployment, from: State, silent?: number): State {
  let state = from;
  for (;;) {
    const [reading] = readingsOf(deployment, state);
    if (reading) {
      state = readBy(deployment, state, reading, 'written');
      continue;
    }
    const [hearing] = state.slots.flatMap((_, slot) =>
      slot === silent ? [] : hearingsOf(deployment, state, slot),
    );
    if (!hearing) return state;
    state = hearing.heard(state);
  }
}
