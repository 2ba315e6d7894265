/**
 * What must hold in every state: no lock is trusted that is not the recorded one, and what is stored is what
 * was acknowledged.
 */
import { sameToken } from '#protocol';
import type { AppServer } from './app-server.js';
import { marksOf } from './seat.js';
import { isExcused, nowAt, type State } from './deployment.js';
import { copyOf } from './graph.js';
import { wrongAfter } from './regeneration.js';
import { missingIn, wrongIn } from './marks.js';

/** What is wrong with the state; undefined when nothing is. */
export function wrongWith(state: State): string | undefined {
  const { records } = state.disk.value;
  const marks = state.slots.map((slot) => slot.marks.value);
  for (const [session, record] of records) {
    const stored = marksOf(record.attributes);
    const wrong = wrongIn(marks, stored);
    if (wrong !== undefined) return `${session}: ${wrong}`;
    const missing = missingIn(marks, session, stored);
    if (missing !== undefined) return `${session}: ${missing} is gone, though it was acknowledged`;
  }
  const unasked = neverAsked(state);
  if (unasked !== undefined) return unasked;
  for (const [slot, { server }] of state.slots.entries()) {
    const { regeneration } = server.value;
    const wrongIds = regeneration && wrongAfter(regeneration, records);
    if (wrongIds !== undefined) return wrongIds;
    const wrong = wrongAt(server.value, state, slot);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

/**
 * Rule 23: nobody waits in vain for a turn to end. The owner asks for the lock before the time of a waiter is
 * over that it knows.
 */
function neverAsked({
  witness,
  disk,
  store,
  isStoreDue,
  deafSince,
  paused,
  time,
}: State): string | undefined {
  if (!store.value.machine || isStoreDue || deafSince !== undefined || paused) return undefined;
  for (const [session, line] of witness.value.lines) {
    const grant = witness.value.grants.get(session);
    const recorded = disk.value.records.get(session)?.grant;
    const isHeld = grant && recorded && sameToken(recorded.token, grant.token) && !recorded.revoked;
    if (!isHeld || grant.askedAt !== undefined) continue;
    const inVain = line.find(({ deadline }) => grant.at < deadline && deadline <= time);
    if (inVain)
      return `the time of ${inVain.holder} for ${session} is over, and ${grant.holder} was not asked`;
  }
  return undefined;
}

/**
 * A holder that may use a lock without asking holds it by the record, and its copy is what is stored, but for
 * what it has changed.
 */
function wrongAt(server: AppServer, state: State, slot: number): string | undefined {
  if (isExcused(server, state, slot)) return undefined;
  const { disk, time } = state;
  for (const [session, { grant }] of server.seats) {
    if (!grant) continue;
    const record = disk.value.records.get(session);
    const isIts = record?.grant !== undefined && sameToken(record.grant.token, grant.token);
    const isAhead = grant.seq > (record?.grant?.seq ?? 0) || server.machine.unsentSessions().has(session);
    const isSame = isIts && (isAhead || isCopy(marksOf(grant.attributes), marksOf(record.attributes)));
    if (isIts && isSame) continue;
    // To ask may change what the machine knows of its lease: a copy is asked.
    const asked = copyOf(server);
    if (!asked.machine.isTrusted(asked.seats.get(session)!.grant!, nowAt(time))) continue;
    const token = grant.token.join('.');
    if (isIts) return `${server.name} trusts ${session} ${token}, but its copy is not what is stored`;
    const holder = record?.grant
      ? `${record.grant.holder} holds it by ${record.grant.token.join('.')}`
      : 'nobody holds it';
    return `${server.name} trusts ${session} ${token}, but ${holder}`;
  }
  return undefined;
}

function isCopy(copy: readonly string[], stored: readonly string[]): boolean {
  return copy.length === stored.length && copy.every((mark, at) => mark === stored[at]);
}
