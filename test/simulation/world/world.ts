/**
 * Virtual time: a queue of events in the order of their time and of their request, and a source of
 * randomness. One seed decides everything. Between two events all promises continue that can. That is
 * deterministic as long as nothing touches the real world.
 */
import type { Clock, Log } from '#broker';

interface Event {
  readonly at: number;
  readonly order: number;
  task: (() => void) | undefined;
}

export class World {
  readonly random: Random;
  /** Milliseconds since the world began. */
  time = 0;
  /** Events so far. */
  steps = 0;
  /** A hash of the trace. The same seed must give the same one. */
  digest = 0x811c9dc5;
  /** Called with each line of the trace. */
  onTrace: ((line: string) => void) | undefined;

  private readonly heap: Event[] = [];
  private orders = 0;
  /** Of the events that come before all others of their time. */
  private firstOrders = Number.MIN_SAFE_INTEGER;

  constructor(readonly seed: number) {
    this.random = new Random(seed);
  }

  readonly clock: Clock = {
    now: () => ({ mono: this.time, wall: 1_700_000_000_000 + this.time }),
    soon: (task) => void this.after(0, task),
    afterPromises: (task) => this.next(task),
    after: (delayMs, task) => this.after(delayMs, task),
    keepAlive: () => () => {},
  };

  log(name: string): Log {
    const line = (message: string) => this.trace(`${name}: ${message}`);
    return { log: line, warn: line, error: line };
  }

  trace(line: string): void {
    for (let i = 0; i < line.length; i++)
      this.digest = Math.imul(this.digest ^ line.charCodeAt(i), 0x01000193);
    this.onTrace?.(`${this.time.toFixed(1).padStart(9)} ${line}`);
  }

  after(delayMs: number, task: () => void): () => void {
    const event: Event = { at: this.time + Math.max(0, delayMs), order: ++this.orders, task };
    this.push(event);
    return () => (event.task = undefined);
  }

  /** Runs the task before every other event, when all promises have continued that can. */
  next(task: () => void): void {
    this.push({ at: this.time, order: ++this.firstOrders, task });
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.after(delayMs, resolve));
  }

  /** Lets so much virtual time pass. */
  pass(ms: number): Promise<void> {
    return this.run(() => false, ms);
  }

  /** Runs events until the promise has settled, for at most `limitMs` of virtual time. */
  async until<T>(promise: Promise<T>, limitMs: number): Promise<T> {
    let settled = false;
    const seen = promise.finally(() => (settled = true));
    seen.catch(() => {});
    await this.run(() => settled, limitMs);
    // oxlint-disable-next-line typescript/no-unnecessary-condition -- it settles while the world runs
    if (!settled) throw new Error(`not settled after ${limitMs} ms`);
    return seen;
  }

  /** Runs events until `done()`, until none is left, or until `limitMs` of virtual time have passed. */
  async run(done: () => boolean, limitMs: number): Promise<void> {
    const end = this.time + limitMs;
    await settled();
    while (!done()) {
      const event = this.pop();
      if (!event) return;
      if (event.at > end) {
        this.push(event);
        return;
      }
      if (!event.task) continue;
      this.time = event.at;
      this.steps++;
      event.task();
      await settled();
    }
  }

  private push(event: Event): void {
    const { heap } = this;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!earlier(event, heap[above]!)) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = event;
  }

  private pop(): Event | undefined {
    const { heap } = this;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && earlier(heap[below + 1]!, heap[below]!)) below++;
      if (!earlier(heap[below]!, last)) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = last;
    return first;
  }
}

/** Random numbers that a seed decides: Tommy Ettinger's mulberry32. */
export class Random {
  constructor(private state: number) {}

  /** From 0 up to 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from `min` to `max`. */
  int(min: number, max: number): number {
    return min + Math.floor(this.next() * (max - min + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.int(0, from.length - 1)]!;
  }

  some<T>(from: readonly T[]): T[] {
    const some = from.filter(() => this.chance(0.5));
    return some.length > 0 ? some : [this.pick(from)];
  }
}

function earlier(a: Event, b: Event): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Resolves when all promises have continued that can. */
function settled(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
