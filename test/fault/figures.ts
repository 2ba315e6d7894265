/** The times of scripted scenarios that docs/GUARANTEES.md promises: their slack, and their print. */

/**
 * The slack for a busy machine, in milliseconds. It is far below the waits that a fault would cause: leases,
 * time-outs, heartbeats. The printed figures show the times of a quiet machine.
 */
export const busyMs = 1_000;

/** Prints a figure for docs/GUARANTEES.md. */
export function figure(what: string, ...values: readonly number[]): void {
  const rounded = values.map((value) => `${Math.round(value)} ms`);
  process.stdout.write(`  ${what}: ${rounded.join(', ')}\n`);
}
