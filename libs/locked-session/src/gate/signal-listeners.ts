/**
 * One listener for each signal, however many waits end with it. Node warns of a leak when a signal has more
 * than ten, and an application may give one signal, such as that of its shutdown, to every `run`.
 */

/** The waits that a signal ends. There are no more than scopes may wait. */
const waits = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `end` when the signal aborts. Returns a function that takes that back. Each `end` is given once. */
export function onAbort(signal: AbortSignal, end: () => void): () => void {
  const ends = waits.get(signal) ?? listen(signal);
  ends.add(end);
  return () => ends.delete(end);
}

function listen(signal: AbortSignal): Set<() => void> {
  const ends = new Set<() => void>();
  signal.addEventListener('abort', () => {
    for (const end of ends) end();
    ends.clear();
  });
  waits.set(signal, ends); // only now: a signal that the application has made itself may refuse the listener
  return ends;
}
