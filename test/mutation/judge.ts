/**
 * The process that judges mutants. It has all specs and all mutants loaded, and runs the tests that reach a
 * mutant until one fails. Its watchdog kills it when a test takes far too long, for a mutant may never end.
 */
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { beginFile, collected, type Case } from './harness.js';
import type { Answer, Limited, Measured, Order, Task } from './messages.js';

/** No test takes longer without a mutant. */
const maxMs = 120_000;

class Judge {
  /** The mutant that is active while no case is judged. */
  private readonly atRest: number;
  private active: number;
  private reached: Uint8Array;
  private cases: readonly Case[] = [];
  /** What failed beside the case that runs. */
  private failed: unknown;
  /** For the watchdog: the number of the case that runs, and the time that it may take. */
  private readonly watched = new Int32Array(new SharedArrayBuffer(8));

  constructor(private readonly task: Task) {
    this.atRest = task.active ?? -1;
    this.active = this.atRest;
    this.reached = new Uint8Array(task.mutants);
    (globalThis as { __mutant?: (id: number) => boolean }).__mutant = (id) => {
      this.reached[id] = 1;
      return id === this.active;
    };
    for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
      process.on(event, (error: unknown) => (this.failed ??= error ?? new Error(event)));
    }
    new Worker(fileURLToPath(import.meta.url), { workerData: this.watched }).unref();
  }

  async load(): Promise<void> {
    for (const spec of this.task.specs) {
      beginFile(spec);
      await import(new URL(`../../${spec}.js`, import.meta.url).href);
    }
    const more = this.task.judges ? (await import('./judges.js')).judges() : [];
    this.cases = [...collected, ...more];
  }

  /** Runs each case without a mutant. */
  async measure(): Promise<Answer> {
    const atLoad = listed(this.reached);
    const found: Measured[] = [];
    for (const one of this.cases) {
      this.reached = new Uint8Array(this.task.mutants);
      const started = usedMs();
      const problem = await this.problemOf(one, maxMs);
      const ms = usedMs() - started;
      const fails = problem === undefined ? undefined : inspect(problem).split('\n')[0]!;
      found.push({ name: `${one.file}: ${one.title}`, ms, reached: listed(this.reached), fails });
    }
    return { kind: 'measured', cases: found, atLoad };
  }

  async judge(mutant: number, cases: readonly Limited[]): Promise<Answer> {
    const started = usedMs();
    for (const [place, limitMs] of cases) {
      this.active = mutant;
      const problem = await this.problemOf(this.cases[place]!, limitMs);
      this.active = this.atRest;
      if (problem === undefined) continue;
      await setImmediate(); // what the failed test left behind ends
      if (await this.isSpoilt(this.cases[place]!)) return { kind: 'spoilt' };
      return { kind: 'judged', mutant, killedBy: place, ms: usedMs() - started };
    }
    return { kind: 'judged', mutant, killedBy: undefined, ms: usedMs() - started };
  }

  /** Whether the case fails without the mutant, too. What the mutant did is still in memory then. */
  private async isSpoilt(one: Case): Promise<boolean> {
    return this.atRest < 0 && (await this.problemOf(one, maxMs)) !== undefined;
  }

  /** Why the case fails. Undefined when it does not. */
  private async problemOf(one: Case, limitMs: number): Promise<unknown> {
    this.failed = undefined;
    Atomics.store(this.watched, 1, limitMs);
    Atomics.add(this.watched, 0, 1);
    try {
      const result = one.run();
      if (result instanceof Promise) await within(limitMs, result);
    } catch (error) {
      this.failed ??= error ?? new Error('it fails');
    }
    Atomics.store(this.watched, 1, 0);
    return this.failed;
  }
}

const listed = (reached: Uint8Array) => [...reached.keys()].filter((id) => reached[id] === 1);

async function within(limitMs: number, result: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('it does not end')), limitMs);
  });
  try {
    await Promise.race([result, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The time that this process has had of the processors. On a busy machine it tells more than a clock. */
function usedMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

/** The watchdog's thread. */
function watch(watched: Int32Array): void {
  let [known, since] = [-1, 0];
  setInterval(() => {
    const [number, limitMs] = [Atomics.load(watched, 0), Atomics.load(watched, 1)];
    if (number !== known || limitMs === 0) [known, since] = [number, usedMs()];
    else if (usedMs() - since > limitMs) process.kill(process.pid, 'SIGKILL');
  }, 200);
}

async function serve(task: Task): Promise<void> {
  const judge = new Judge(task);
  await judge.load();
  const say = (answer: Answer) => process.send!(answer);
  process.on('message', (order: Order) => {
    void (order.kind === 'measure' ? judge.measure() : judge.judge(order.mutant, order.cases)).then(say);
  });
  process.on('disconnect', () => process.exit());
  say({ kind: 'ready' });
}

if (isMainThread) await serve(JSON.parse(process.argv[2]!) as Task);
else watch(workerData as Int32Array);
