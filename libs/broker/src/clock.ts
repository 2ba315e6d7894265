/**
 * The port `Clock`: time and the end of the current turn, for the drivers. The rules in `#protocol` take `Now` as an
 * argument; only drivers hold a clock. The simulator has its own, which moves only when it says so.
 */
import type { Now } from '#protocol';

export interface Clock {
  now(): Now;
  /** Runs `task` when the current turn of the event loop is over, before any later turn. */
  soon(task: () => void): void;
  /** Runs `task` once, after `delayMs`. Returns what cancels it. Does not keep a process alive. */
  after(delayMs: number, task: () => void): () => void;
}

export const systemClock: Clock = {
  now: () => ({ mono: performance.now(), wall: Date.now() }),
  soon: (task) => void setImmediate(task),
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
