/**
 * The process that judges mutants. It has all specs and all mutants loaded, and runs the tests that reach a
 * mutant until one fails. Its watchdog kills it when a test takes far too long, for a mutant may never end.
 */
import { setImmediate } from 'node:timers/promises';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';
import { beginFile, collected, type Case } from './harness.js';
import type { Answer, Limited, Measured, Order, Task } from './messages.js';

/** No test takes longer without a mutant. */
const maxMs = 120_000;

if (isMainThread) await serve(JSON.parse(process.argv[2]!) as Task);
else watch(workerData as Int32Array);

async function serve({ specs, judges, active: first, mutants }: Task): Promise<void> {
  let active = first ?? -1;
  let reached = new Uint8Array(mutants);
  (globalThis as { __mutant?: (id: number) => boolean }).__mutant = (id) => {
    reached[id] = 1;
    return id === active;
  };
  const watched = new Int32Array(new SharedArrayBuffer(8));
  const watchdog = new Worker(fileURLToPath(import.meta.url), { workerData: watched });
  watchdog.unref();
  let failed: unknown;
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => (failed ??= error ?? new Error(event)));
  }

  /** Why the case fails; undefined when it does not. */
  const problemOf = async (one: Case, limitMs: number): Promise<unknown> => {
    failed = undefined;
    Atomics.store(watched, 1, limitMs);
    Atomics.add(watched, 0, 1);
    try {
      const result = one.run();
      if (result instanceof Promise) await within(limitMs, result);
    } catch (error) {
      failed ??= error ?? new Error('it fails');
    }
    Atomics.store(watched, 1, 0);
    return failed;
  };

  for (const spec of specs) {
    beginFile(spec);
    await import(new URL(`../../${spec}.js`, import.meta.url).href);
  }
  const cases = [...collected, ...(judges ? (await import('./judges.js')).judges() : [])];

  const measure = async (): Promise<Answer> => {
    const atLoad = listed(reached);
    const found: Measured[] = [];
    for (const one of cases) {
      reached = new Uint8Array(mutants);
      const started = usedMs();
      const problem = await problemOf(one, maxMs);
      const ms = usedMs() - started;
      const fails = problem === undefined ? undefined : String(problem).slice(0, 200);
      found.push({ name: `${one.file}: ${one.title}`, ms, reached: listed(reached), fails });
    }
    return { kind: 'measured', cases: found, atLoad };
  };

  const judge = async (mutant: number, order: readonly Limited[]): Promise<Answer> => {
    const started = usedMs();
    for (const [place, limitMs] of order) {
      active = mutant;
      const problem = await problemOf(cases[place]!, limitMs);
      active = first ?? -1;
      if (problem === undefined) continue;
      await setImmediate(); // what the failed test left behind ends
      if (first === undefined && (await problemOf(cases[place]!, maxMs)) !== undefined)
        return { kind: 'spoilt' };
      return { kind: 'judged', mutant, killedBy: place, ms: usedMs() - started };
    }
    return { kind: 'judged', mutant, killedBy: undefined, ms: usedMs() - started };
  };

  const say = (answer: Answer) => process.send!(answer);
  process.on('message', (order: Order) => {
    void (order.kind === 'measure' ? measure() : judge(order.mutant, order.cases)).then(say);
  });
  process.on('disconnect', () => process.exit());
  say({ kind: 'ready' });
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

/** The other thread. It counts the time of the processor, so that a busy machine kills nothing. */
function watch(watched: Int32Array): void {
  let [known, since] = [-1, 0];
  setInterval(() => {
    const [number, limitMs] = [Atomics.load(watched, 0), Atomics.load(watched, 1)];
    if (number !== known || limitMs === 0) [known, since] = [number, usedMs()];
    else if (usedMs() - since > limitMs) process.kill(process.pid, 'SIGKILL');
  }, 200);
}
