/**
 * The end of a process gives its locks back within a time. Locks with unsent changes go first and at once.
 * The others follow, the latest used first, as fast as the store answers. A part of the time is spared for
 * the last answers. The store frees the rest when the process says that it leaves (rule 3).
 */
import type { Clock } from '#broker';
import type { HolderDriver } from '../holder/holder-driver.js';
import type { SessionGate } from '../gate/session-gate.js';
import type { Gates } from './gates.js';

/** Most locks that are given back in one step, before the store has answered. */
const atOnce = 1_000;

/** This share of the time to close is spared for the answers to the last releases, but so long at most. */
const sparedShare = 1 / 4;
const maxSparedMs = 500;

/** Until when locks are given back, of a process that closes in `closeMs` from `now` on (monotonic). */
export function lastRelease(now: number, closeMs: number): number {
  return now + closeMs - Math.min(closeMs * sparedShare, maxSparedMs);
}

/** Gives back the locks that no scope uses, until `deadline` (monotonic). */
export async function giveBackIdle(gates: Gates, driver: HolderDriver, deadline: number): Promise<void> {
  const idle = gates
    .all()
    .filter((gate) => gate.idle)
    .sort((a, b) => b.used - a.used);
  if (idle.length === 0) return;
  const giveBack = (some: readonly SessionGate[]) => {
    for (const gate of some) {
      gate.close();
      gates.forget(gate);
    }
  };
  const unsent = driver.unsentSessions();
  giveBack(idle.filter(({ id }) => unsent.has(id)));
  const rest = unsent.size === 0 ? idle : idle.filter(({ id }) => !unsent.has(id));
  for (let at = 0; at < rest.length && driver.isConnected; at += atOnce) {
    const leftMs = deadline - gates.clock.now().mono;
    if (leftMs <= 0) return;
    giveBack(rest.slice(at, at + atOnce));
    if (!(await driver.answered(leftMs))) return;
  }
}

/** Resolves when `begin` calls `resolve`, and at `deadline` (monotonic) at the latest. */
export function until(clock: Clock, deadline: number, begin: (resolve: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(Math.max(0, deadline - clock.now().mono), resolve);
    begin(() => {
      cancel();
      resolve();
    });
  });
}
