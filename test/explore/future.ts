/**
 * A good future: nothing is lost any more, time goes on, scopes end. Then whoever waits must be served in
 * time, every change must be where it was acknowledged, and in the end nothing may be held or kept.
 */
import type { Now } from '#protocol';
import type { AppServer } from './app-server.js';
import { withSlot, type Deployment, type State } from './deployment.js';
import { deliverAll } from './deliveries.js';
import { cutOff, endPaused } from './faults.js';
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

/** What is wrong in the good future of a state; undefined when all is well in the end. */
export function wrongInFuture(
  explored: Deployment,
  from: State,
  sessions: readonly string[],
): string | undefined {
  const { leaseMs, recallTimeoutMs, ttlMs } = explored.parameters.store;
  /** Any lock is free after this long, whatever has happened. */
  const patienceMs = 2 * (leaseMs + recallTimeoutMs) + 2_000;
  const { deployment, state } = explored.passing({ ...endPaused(from), deafSince: undefined });
  try {
    let now = state;
    for (const [slot, { isSevered }] of state.slots.entries())
      if (isSevered) now = cutOff(deployment, now, slot);
    now = everybody(deployment, now, (server, at) => server.waitOn(at.mono + 2 * patienceMs, at));
    now = untilServed(deployment, now, patienceMs);
    for (let slot = 0; slot < deployment.holders; slot++) {
      for (const session of sessions) {
        now = actAt(deployment, now, slot, 'visits', (server, diary) => {
          if (!server.seat(session).scope) server.visit(session, 2 * patienceMs, diary);
        });
        now = untilServed(deployment, now, patienceMs);
      }
    }
    now = everybody(deployment, now, (server, at) => server.releaseAll(at));
    now = calm(deployment, now, 2 * leaseMs);
    const wrong = wrongAtRest(now);
    if (wrong !== undefined || ttlMs > shortTtlMs) return wrong;
    now = calm(deployment, now, 2 * ttlMs);
    return now.disk.value.records.size > 0 ? 'in a good future, a session never expires' : undefined;
  } catch (error) {
    if (error instanceof Violation) return `in a good future, ${error.message}`;
    throw error;
  }
}

/** Time passes, timers fire and frames arrive. A silent app server does nothing. */
export function calm(deployment: Deployment, from: State, ms: number, silent?: number): State {
  let state = from;
  for (const end = from.time + ms; state.time < end;) state = beat(deployment, state, silent);
  return state;
}

function beat(deployment: Deployment, from: State, silent?: number): State {
  let state = deliverAll(deployment, passTime(deployment, from, tickMs), silent);
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

function untilServed(deployment: Deployment, from: State, ms: number): State {
  let state = leaveAll(deployment, deliverAll(deployment, from));
  for (const end = from.time + ms; ;) {
    const waiting = state.slots.findIndex(({ server }) => isWaiting(server.value));
    if (waiting < 0) return state;
    if (state.time >= end) throw new Violation(`${letters[waiting]} waits for ever`);
    state = leaveAll(deployment, beat(deployment, state));
  }
}

/** Scopes end, and others begin, until nobody is inside. */
function leaveAll(deployment: Deployment, from: State): State {
  let state = from;
  for (;;) {
    const slot = state.slots.findIndex(({ server: { value } }) =>
      [...value.seats.keys()].some((s) => value.mayLeave(s)),
    );
    if (slot < 0) return state;
    state = actAt(deployment, state, slot, 'leaves', (server, diary) => {
      for (const session of server.seats.keys())
        if (server.mayLeave(session)) server.leave(session, 'reading', diary);
    });
    state = deliverAll(deployment, state);
  }
}

function isWaiting({ seats, regeneration }: AppServer): boolean {
  const { step } = regeneration ?? {};
  if (step === 'making' || step === 'ending' || step === 'undoing') return true;
  return [...seats.values()].some(({ scope }) => scope === 'waits');
}

function everybody(deployment: Deployment, from: State, act: (server: AppServer, at: Now) => void): State {
  let state = from;
  for (let slot = 0; slot < deployment.holders; slot++)
    state = actAt(deployment, state, slot, 'acts', (server, { now }) => act(server, now));
  return state;
}

/** After everybody has let everything go, nothing may be left of it. */
function wrongAtRest({ slots, disk, store }: State): string | undefined {
  // Whoever asks next has it from a dead holder, and else its time to live.
  const living = new Set(slots.map(({ server }) => server.value.name));
  for (const [session, { grant }] of disk.value.records)
    if (grant && living.has(grant.holder))
      return `in a good future, nobody uses ${session}, and ${grant.holder} holds it for ever`;
  for (const [slot, { server, marks }] of slots.entries()) {
    const { sessions, leases } = server.value.machine.memory();
    const repeated = leases.some((lease) => lease.repeated > 0);
    if (sessions > 0 || repeated) return `in a good future, ${letters[slot]} waits for an answer for ever`;
    if (marks.value.some(({ outcome }) => outcome === 'pending'))
      return `in a good future, a change of ${letters[slot]} is never answered`;
  }
  const { lines, outputs } = store.value.machine?.memory() ?? { lines: [], outputs: { open: 0 } };
  if (lines.length + outputs.open > 0) return 'in a good future, the store keeps a request for ever';
  return undefined;
}
