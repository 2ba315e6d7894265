/** What befalls processes, data and frames, beside the loss of a frame. */
import type { HolderPart } from '#protocol';
import { emptyDisk, type Disk } from './disk.js';
import { nowAt, withSlot, type Deployment, type State, type ToStore } from './deployment.js';
import { actAt } from './holder-steps.js';
import type { Mark } from './marks.js';
import { hasComeBack, serve, takeOver } from './store-steps.js';

/** What is on its way to it goes with its queue; what it has sent stays on its way. */
export function cutOff(deployment: Deployment, state: State, slot: number): State {
  const cut = withSlot(state, slot, { toHolder: deployment.part([]), isSevered: false, bounced: [] });
  return actAt(deployment, cut, slot, 'reconnects', (server, { now }) => server.reconnect(now));
}

/** Its queue is gone, and nothing tells it so for a while. */
export function sever(deployment: Deployment, state: State, slot: number): State {
  return withSlot(state, slot, { toHolder: deployment.part([]), isSevered: true });
}

/**
 * The store stands still. What was handed over to it goes to another one, too, which owns the partition when
 * it has read something.
 */
export function pause(deployment: Deployment, state: State): State {
  const handedOver = state.slots.flatMap(({ toStore, direct }) => [
    ...framesIn(toStore.value).map((frame) => ({ frame, isDirect: false })),
    ...framesIn(direct.value).map((frame) => ({ frame, isDirect: true })),
  ]);
  const paused = { store: state.store, inbox: deployment.part(handedOver) };
  return { ...takeOver(deployment, state), paused };
}

/** The store that stood still ends. What is in its own queue comes back. */
export function endPaused(state: State): State {
  const { paused } = state;
  if (!paused) return state;
  const { key } = paused.store.value;
  const senders = paused.inbox.value.flatMap(({ frame, isDirect }) => (isDirect ? [frame.holder] : []));
  const slots = state.slots.map((slot) => {
    const isIts = senders.includes(slot.server.value.name) && !slot.bounced.includes(key);
    return isIts ? { ...slot, bounced: [...slot.bounced, key] } : slot;
  });
  return { ...state, slots, paused: undefined };
}

function framesIn(items: readonly ToStore[]): HolderPart[] {
  return items.flatMap((item) => ('frame' in item ? [item.frame] : []));
}

/** Another incarnation comes. Nobody knows what became of what was not answered. */
export function crash(deployment: Deployment, state: State, slot: number): State {
  const { server, marks } = state.slots[slot]!;
  const { name } = server.value;
  const other = deployment.server(slot, Number(name.slice(1)) + 1, server.value, nowAt(state.time));
  const { regeneration } = server.value;
  if (regeneration) other.regeneration = { ...regeneration, step: 'unknown' };
  const isOpen = ({ outcome }: Mark) => outcome === 'pending' || outcome === 'made';
  const died = withSlot(state, slot, {
    server: deployment.part(other),
    marks: deployment.part(
      marks.value.map((mark) => (isOpen(mark) ? { ...mark, outcome: 'unknown' } : mark)),
    ),
    toHolder: deployment.part([]),
    isSevered: false,
    bounced: [],
    isDue: false,
  });
  return actAt(deployment, died, slot, 'begins', () => {});
}

/** The newest writes are gone, and with them the store. What it has claimed is on disk. */
export function losePower(deployment: Deployment, state: State, at: number): State {
  const { epoch, previous, longestLeaseMs } = state.disk.value;
  const disk = { ...state.history.value[at]!, epoch, previous, longestLeaseMs };
  return withDisk(deployment, takeOver(deployment, state), disk);
}

/** An operator starts the store with an empty directory, on a machine whose clock is ten minutes behind. */
export function loseAll(deployment: Deployment, state: State): State {
  return { ...withDisk(deployment, takeOver(deployment, state), emptyDisk), behindMs: 600_000 };
}

/** The first frame on its way bears an epoch of the day after tomorrow. */
export function lie(deployment: Deployment, state: State, slot: number): State {
  const { value } = state.slots[slot]!.toStore;
  const epoch = nowAt(state.time).wall + 2 * 24 * 3_600_000;
  const lies = (frame: HolderPart): HolderPart => ({ ...frame, epoch });
  const toStore = value.map((item, at) =>
    at === 0 && 'frame' in item ? { ...item, frame: lies(item.frame) } : item,
  );
  return withSlot(state, slot, { toStore: deployment.part(toStore) });
}

/** An echo that took so long shows that the broker stood still: what waits in connections may come later. */
export function stoodStill({ parameters }: Deployment, state: State, echo: number): boolean {
  return !hasComeBack(state, echo) && state.time - echo > parameters.store.leaseMs / 20;
}

/**
 * Only so long a deafness spares everybody: the store's timer is late by half a lease. It was due within a
 * tenth of one.
 */
export function isLongDeaf({ parameters }: Deployment, { deafSince = Infinity, time }: State): boolean {
  return time - deafSince > parameters.store.leaseMs * 0.6;
}

/** The store's timers fire first. What was sent to it meanwhile was refused by a full queue. */
export function hearAgain(deployment: Deployment, state: State): State {
  const { deafSince = Infinity, time } = state;
  const isRefused = (item: ToStore) => 'frame' in item && item.sentAt > deafSince;
  const spoke = state.slots.flatMap(({ server, toStore }) =>
    toStore.value.some(isRefused) ? [server.value.name] : [],
  );
  const witness = deployment.part({ ...state.witness.value, sparedAt: time, spoke });
  const slots = state.slots.map((slot) => ({
    ...slot,
    toStore: deployment.part(slot.toStore.value.filter((item) => !isRefused(item))),
  }));
  return serve(deployment, { ...state, deafSince: undefined, slots, witness }, 'look', {}, 'written');
}

/** Nobody can say any more what is there and what is not. */
function withDisk(deployment: Deployment, state: State, disk: Disk): State {
  const unknown = (mark: Mark): Mark => ({ ...mark, outcome: 'unknown' });
  return {
    ...state,
    disk: deployment.part(disk),
    history: deployment.part([]),
    lostEpoch: state.disk.value.epoch,
    slots: state.slots.map((slot) => ({ ...slot, marks: deployment.part(slot.marks.value.map(unknown)) })),
  };
}
