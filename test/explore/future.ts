/**
 * A good future: nothing is lost any more, time goes on, scopes end. Then whoever waits must be served in
 * time, every change must be where it was acknowledged, and in the end nothing may be held or kept.
 */
import type { Now } from '#protocol';
import type { AppServer } from './app-server.js';
import { budgets, type Faults } from './configurations.js';
import { withSlot, type Deployment, type State } from './deployment.js';
import { deliverAll } from './deliveries.js';
import { cutOff } from './faults.js';
import { mix } from './graph.js';
import { letters } from './folding.js';
import { actAt } from './holder-steps.js';
import { wrongWith } from './invariants.js';
import { isAnythingDue, lookForDue, serve } from './store-steps.js';
import { passTime } from './time.js';
import { Violation } from './marks.js';

/** How often timers fire, in milliseconds. */
const tickMs = 500;
/** A future in which sessions expire is long: only with so short a time to live. */
const shortTtlMs = 60_000;
const noFaults = Object.fromEntries(budgets.map((budget) => [budget, 0])) as unknown as Faults;

/**
 * States in good futures that ended well, by their fingerprints. A future that comes to one of them is not
 * played on.
 */
export class GoodStates {
  /** How many futures were played to their end. */
  played = 0;
  private readonly prints = new Set<number>();

  /** Whether the state is new here. It counts as good from now on: whoever finds it bad ends the search. */
  add([high, low]: readonly [number, number], phase: number): boolean {
    const print = (mix(high, phase) >>> 0) * 2 ** 21 + (low >>> 11);
    if (this.prints.has(print)) return false;
    this.prints.add(print);
    return true;
  }
}

/** What is wrong in the good future of a state; undefined when all is well in the end. */
export function wrongInFuture(
  deployment: Deployment,
  from: State,
  sessions: readonly string[],
  good: GoodStates,
): string | undefined {
  try {
    for (const [state, phase] of futureOf(deployment, from, sessions))
      if (!good.add(deployment.printOf(state), phase)) return undefined;
    good.played++;
    return undefined;
  } catch (error) {
    if (error instanceof Violation) return `in a good future, ${error.message}`;
    throw error;
  }
}

/** Any lock is free after this long, whatever has happened. */
function patienceMs({ parameters: { store } }: Deployment): number {
  return 2 * (store.leaseMs + store.recallTimeoutMs) + 2_000;
}

/** Nothing strikes any more, those who wait go on waiting, and all that is on its way arrives. */
function settle(deployment: Deployment, from: State): State {
  let state: State = { ...from, deafSince: undefined, left: noFaults };
  for (const [slot, { isSevered }] of state.slots.entries())
    if (isSevered) state = cutOff(deployment, state, slot);
  const deadline = state.time + 2 * patienceMs(deployment);
  state = everybody(deployment, state, 'waits on', (server, at) => server.waitOn(deadline, at));
  return deliverAll(deployment, state);
}

/** What comes to pass, step by step. A state in another phase has another future. */
function* futureOf(
  deployment: Deployment,
  from: State,
  sessions: readonly string[],
): Generator<[state: State, phase: number]> {
  const { leaseMs, ttlMs } = deployment.parameters.store;
  const longestMs = patienceMs(deployment);
  let phase = 0;
  let now = settle(deployment, from);
  const forgotten = wronglyCounted(deployment, now);
  if (forgotten !== undefined) throw new Violation(forgotten);
  for (now of untilServed(deployment, now, longestMs)) yield [now, phase];
  for (let slot = 0; slot < deployment.holders; slot++) {
    for (const session of sessions) {
      now = actAt(deployment, now, slot, `visits ${session}`, (server, diary) => {
        if (!server.seat(session).scope) server.visit(session, 2 * longestMs, diary);
      });
      phase++;
      for (now of untilServed(deployment, now, longestMs)) yield [now, phase];
    }
  }
  now = everybody(deployment, now, 'releases all', (server, at) => server.releaseAll(at));
  now = deliverAll(deployment, now);
  yield [now, ++phase];
  now = calm(deployment, now, 2 * leaseMs);
  const wrong = wrongAtRest(now);
  if (wrong !== undefined) throw new Violation(wrong);
  if (ttlMs > shortTtlMs) return;
  now = calm(deployment, now, 2 * ttlMs);
  if (now.disk.value.records.size > 0) throw new Violation('a session never expires');
}

/** Time passes, timers fire and frames arrive. A silent app server does nothing. */
export function calm(deployment: Deployment, from: State, ms: number, silent?: number): State {
  let state = from;
  for (const end = from.time + ms; state.time < end;) state = beat(deployment, state, silent);
  return state;
}

function beat(deployment: Deployment, from: State, silent?: number): State {
  let state = deliverAll(deployment, passTime(deployment, from, tickMs), silent);
  const dropped = deployment.parameters.isReliable ? wronglyDropped(state) : undefined;
  if (dropped !== undefined) throw new Violation(dropped);
  if (state.store.value.machine && isAnythingDue(state)) state = lookForDue(deployment, state);
  if (state.isStoreDue) state = serve(deployment, state, 'look', {}, 'written');
  for (const [slot, { isDue }] of state.slots.entries()) {
    if (!isDue || slot === silent) continue;
    state = actAt(deployment, state, slot, 'looks', (server, diary) => server.tick(diary));
    state = withSlot(state, slot, { isDue: false });
  }
  state = deliverAll(deployment, state, silent);
  const wrong = wrongWith(state);
  if (wrong !== undefined) throw new Violation(wrong);
  return state;
}

function* untilServed(deployment: Deployment, from: State, ms: number): Generator<State> {
  let state = leaveAll(deployment, deliverAll(deployment, from));
  for (const end = from.time + ms; ;) {
    yield state;
    const kept = keptInVain(state);
    if (kept !== undefined) throw new Violation(kept);
    const waiting = state.slots.findIndex(({ server }) => isWaiting(server.value));
    if (waiting < 0) return;
    if (state.time >= end) throw new Violation(`${letters[waiting]} waits for ever`);
    state = leaveAll(deployment, beat(deployment, state));
  }
}

/**
 * Rule 23: a lock that goes from holder to holder is not kept by one whose scopes have ended, while another
 * one waits. Nobody needs to ask for it.
 */
function keptInVain({ slots }: State): string | undefined {
  for (const [slot, { server }] of slots.entries()) {
    for (const [session, { grant, scope, results }] of server.value.seats) {
      if (!grant?.untilIdle || scope === 'inside' || results.length > 0) continue;
      const waiting = slots.findIndex(({ server: { value } }) => value.seats.get(session)?.scope === 'waits');
      if (waiting >= 0 && waiting !== slot)
        return `${server.value.name} keeps ${session}, which nobody uses, and ${letters[waiting]} waits`;
    }
  }
  return undefined;
}

/** Scopes end, and others begin, until nobody is inside. */
function leaveAll(deployment: Deployment, from: State): State {
  let state = from;
  for (;;) {
    const slot = state.slots.findIndex(({ server: { value } }) =>
      [...value.seats.keys()].some((s) => value.mayLeave(s)),
    );
    if (slot < 0) return state;
    state = actAt(deployment, state, slot, 'all leave', (server, diary) => {
      for (const session of server.seats.keys())
        if (server.mayLeave(session)) server.leave(session, 'reading', diary);
    });
    state = deliverAll(deployment, state);
  }
}

function isWaiting({ seats, regeneration }: AppServer): boolean {
  const { step } = regeneration ?? {};
  if (step === 'making' || step === 'ending' || step === 'undoing') return true;
  return [...seats.values()].some(({ scope, results }) => scope === 'waits' || results.length > 0);
}

function everybody(
  deployment: Deployment,
  from: State,
  name: string,
  act: (server: AppServer, at: Now) => void,
): State {
  let state = from;
  for (let slot = 0; slot < deployment.holders; slot++)
    state = actAt(deployment, state, slot, name, (server, { now }) => act(server, now));
  return state;
}

/**
 * Rule 12: who has nothing and repeats nothing has been heard. So the store counts it neither as a waiter nor
 * as the holder. Where a cancel may overtake its acquire, the grant that follows is given back.
 */
function wronglyCounted({ parameters }: Deployment, { slots, disk, witness, time, lostEpoch }: State) {
  if (parameters.hasOwnQueues || parameters.holder.queues === 'per-session' || lostEpoch > 0)
    return undefined;
  const idle = slots.flatMap(({ server: { value } }) => {
    const { sessions, leases } = value.machine.memory();
    return sessions === 0 && leases.every(({ repeated }) => repeated === 0) ? [value.name] : [];
  });
  for (const [session, line] of witness.value.lines)
    for (const { holder, deadline } of line)
      if (deadline > time && idle.includes(holder))
        return `${holder} waits for ${session}, and does not know`;
  for (const [session, { grant }] of disk.value.records)
    if (grant && idle.includes(grant.holder)) return `${grant.holder} holds ${session}, and does not know`;
  return undefined;
}

/** Rule 2: where nothing is lost, the store learns in time that somebody waits longer. */
function wronglyDropped({ slots, witness, time }: State): string | undefined {
  for (const [session, line] of witness.value.lines) {
    for (const { holder, deadline } of line) {
      const seat = slots.find(({ server }) => server.value.name === holder)?.server.value.seats.get(session);
      if (deadline <= time && seat?.scope === 'waits' && seat.deadline > time)
        return `${holder} waits on for ${session}, and the store does not know`;
    }
  }
  return undefined;
}

/** After everybody has let everything go, nothing may be left of it. */
function wrongAtRest({ slots, disk, queues, store }: State): string | undefined {
  // Whoever asks next has it from a dead holder, and else its time to live.
  const living = new Set(slots.map(({ server }) => server.value.name));
  for (const [session, { grant }] of disk.value.records)
    if (grant && living.has(grant.holder))
      return `nobody uses ${session}, and ${grant.holder} holds it for ever`;
  for (const [slot, { server, marks }] of slots.entries()) {
    const { sessions, leases } = server.value.machine.memory();
    const repeated = leases.some((lease) => lease.repeated > 0);
    if (sessions > 0 || repeated) return `${letters[slot]} waits for an answer for ever`;
    if (marks.value.some(({ outcome }) => outcome === 'pending'))
      return `a change of ${letters[slot]} is never answered`;
  }
  for (const [session, queue] of queues.value.queues)
    if (queue.ready.length + queue.taken.length > 0)
      return `an acquire stays in the queue of ${session} for ever`;
  const { lines, outputs } = store.value.machine?.memory() ?? { lines: [], outputs: { open: 0 } };
  if (lines.length + outputs.open > 0) return 'the store keeps a request for ever';
  return undefined;
}
