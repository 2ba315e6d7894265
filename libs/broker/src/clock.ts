/**
 * The port `Clock`: time and the end of the current turn, for the drivers. The rules in `#protocol` take
 * `Now` as an argument, and only drivers have a clock. The simulator has its own clock, and moves it.
 */
import type { Now } from '#protocol';

export interface Clock {
  now(): Now;
  /** Runs `task` when the current turn of the event loop is over, before any later turn. */
  soon(task: () => void): void;
  /** Runs `task` in this turn, when the promises that are settled by then have been handled. */
  afterPromises(task: () => void): void;
  /**
   * Runs `task` once, after `delayMs`, and returns a function that cancels it. It does not keep the process
   * alive.
   */
  after(delayMs: number, task: () => void): () => void;
  /** Keeps the process alive until the returned function is called. */
  keepAlive(): () => void;
}

/** Runs `task`, and keeps the process alive until its promise has settled. */
export async function keptAlive<T>(clock: Clock, task: () => Promise<T>): Promise<T> {
  const done = clock.keepAlive();
  try {
    return await task();
  } finally {
    done();
  }
}

/**
 * Node's own timers, as they are when this is loaded. An application's tests may replace the global ones by
 * timers that stand still, and then no session would be granted. They may also set the date, which counts
 * here.
 */
const { queueMicrotask, setImmediate, setTimeout, clearTimeout, setInterval } = globalThis;
const nextTick = process.nextTick.bind(process);
const monotonic = performance.now.bind(performance);

/** The longest delay of a timer of Node, in milliseconds. */
const longestMs = 2 ** 31 - 1;
/** One timer keeps the process alive while `awaited` is above zero. */
let anchor: NodeJS.Timeout | undefined;
let awaited = 0;

export const systemClock: Clock = {
  now: () => ({ mono: monotonic(), wall: Date.now() }),
  soon: (task) => void setImmediate(task),
  // Node runs ticks before promises, but not before those that a promise's handler is among.
  afterPromises: (task) => queueMicrotask(() => nextTick(task)),
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
  keepAlive() {
    anchor ??= setInterval(() => {}, longestMs);
    if (awaited++ === 0) anchor.ref();
    let done = false;
    return () => {
      if (done) return;
      done = true;
      if (--awaited === 0) anchor!.unref();
    };
  },
};
