/** What is on its way, and what becomes of the next of it: a frame is read, heard or lost. */
import { withSlot, type Deployment, type State } from './deployment.js';
import { letters } from './folding.js';
import { actAt } from './holder-steps.js';
import type { Batch, WriteEnd } from './store-server.js';
import { hasComeBack, rest, serve } from './store-steps.js';

/** A batch that the store may read next, and the state without it. */
export interface Reading {
  readonly name: string;
  /** Which batch it is, by the part that it is taken from. */
  readonly key: string;
  readonly batch: Batch;
  readonly without: (state: State) => State;
  readonly loss: string | undefined;
}

export function readingsOf(deployment: Deployment, state: State): Reading[] {
  if (state.deafSince !== undefined) return [];
  const [again] = state.again.value;
  if (again) {
    const without = (from: State) => ({ ...from, again: deployment.part(from.again.value.slice(1)) });
    return [
      {
        name: 'the store reads again',
        key: `${state.again.id}`,
        batch: { frame: again },
        without,
        loss: undefined,
      },
    ];
  }
  const readings: Reading[] = [];
  for (const [slot, { toStore }] of state.slots.entries()) {
    const [first] = toStore.value;
    if (!first || !('frame' in first)) continue;
    const letter = letters[slot];
    readings.push({
      name: `the store reads ${letter}`,
      key: `${toStore.id}`,
      batch: { frame: first.frame },
      without: (from) => withSlot(from, slot, { toStore: deployment.part(rest(toStore.value)) }),
      loss: `a frame of ${letter} is lost`,
    });
  }
  const [echo] = state.echoes.value;
  if (echo !== undefined && hasComeBack(state, echo)) readings.push(echoOf(deployment, echo));
  return readings;
}

/** The first echo, whether anything stands before it or not. */
export function echoOf(deployment: Deployment, echo: number): Reading {
  const without = (from: State) => ({ ...from, echoes: deployment.part(from.echoes.value.slice(1)) });
  return {
    name: 'the echo comes back',
    key: `echo ${echo}`,
    batch: { echo },
    without,
    loss: 'the echo is lost',
  };
}

export function readBy(
  deployment: Deployment,
  state: State,
  { batch, key, without }: Reading,
  end: WriteEnd,
): State {
  return serve(deployment, without(state), key, batch, end);
}

/** A frame that an app server may hear next: the first of each owner's. */
export interface Hearing {
  readonly name: string;
  readonly heard: (state: State) => State;
  readonly without: (state: State) => State;
  readonly loss: string;
}

export function hearingsOf(deployment: Deployment, state: State, slot: number): Hearing[] {
  const letter = letters[slot]!;
  const { value: queue, id } = state.slots[slot]!.toHolder;
  const owners = [...new Set(queue.map(({ frame }) => frame.epoch))];
  return owners.map((epoch, nth) => {
    const at = queue.findIndex(({ frame }) => frame.epoch === epoch);
    const { frame } = queue[at]!;
    const without = (from: State) =>
      withSlot(from, slot, { toHolder: deployment.part(queue.toSpliced(at, 1)) });
    const heard = (from: State) =>
      actAt(deployment, without(from), slot, `hears ${id} ${at}`, (server, diary) =>
        server.receive(frame, diary),
      );
    const of = owners.length > 1 ? ` owner ${nth + 1} of ${owners.length}` : '';
    return { name: `${letter} hears${of}`, heard, without, loss: `a frame to ${letter}${of} is lost` };
  });
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
