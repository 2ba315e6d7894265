/**
 * Starts the programs of this repository as child processes, for the demo and for the suites that need real ones. A
 * child is ready when a line of its output says so, and it never outlives us: we kill it when we exit, and should we be
 * killed ourselves, it notices and goes by itself (die-with-parent.mjs). Each child has a process group of its own, so
 * that a Ctrl-C reaches only us, and we end the children in the order that suits.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';

export interface ProcessOptions {
  /** How it is called in the log and in errors. */
  readonly name: string;
  /** What Node runs, relative to the repository's root. */
  readonly script: string;
  readonly args?: readonly string[];
  /** Added to our own environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Matches the line of output that says that the program is ready. */
  readonly ready: RegExp;
  /** How long it may take to be ready. */
  readonly readyWithinMs?: number;
  /** Gets every line of its output, with the name in front. */
  readonly log?: (line: string) => void;
}

export interface RunningProcess {
  readonly name: string;
  readonly pid: number;
  /** What `ready` matched. */
  readonly match: RegExpExecArray;
  /** The last lines that it printed, stdout and stderr as they came. */
  output(): string;
  /** Sends `signal` (SIGTERM), and SIGKILL when that did not end it `withinMs`. Resolves when it is gone. */
  kill(signal?: NodeJS.Signals, withinMs?: number): Promise<void>;
  /** Resolves when it is gone, with why. */
  readonly stopped: Promise<Stopped>;
}

export interface Stopped {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** The repository's root: above this file, whether that runs in place or from dist. */
export const root = (function above(directory: string): string {
  return existsSync(join(directory, 'package.json')) ? directory : above(dirname(directory));
})(dirname(fileURLToPath(import.meta.url)));

const dieWithParent = pathToFileURL(join(root, 'scripts/die-with-parent.mjs')).href;
const keptLines = 2_000;

const children = new Set<ChildProcess>();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

export async function startProcess(options: ProcessOptions): Promise<RunningProcess> {
  const { name, script, args = [], env = {}, ready, readyWithinMs = 30_000, log } = options;
  const child = spawn(process.execPath, ['--import', dieWithParent, resolve(root, script), ...args], {
    env: { ...process.env, NO_COLOR: '1', ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    detached: true,
  });
  await once(child, 'spawn');
  children.add(child);

  const stopped = new Promise<Stopped>((resolveStopped) => {
    child.once('close', (code, signal) => {
      children.delete(child);
      resolveStopped({ code, signal });
    });
  });

  const lines: string[] = [];
  const matched = new Promise<RegExpExecArray>((resolveMatched) => {
    for (const input of [child.stdout!, child.stderr!]) {
      createInterface({ input }).on('line', (line) => {
        if (lines.push(line) > keptLines) lines.shift();
        log?.(`${name} | ${line}`);
        const match = ready.exec(line);
        if (match) resolveMatched(match);
      });
    }
  });

  const kill = async (signal: NodeJS.Signals = 'SIGTERM', withinMs = 10_000) => {
    child.kill(signal);
    if (!(await within(withinMs, stopped))) child.kill('SIGKILL');
    await stopped;
  };

  const match = await within(readyWithinMs, Promise.race([matched, stopped.then(() => undefined)]));
  if (!match) {
    const why = children.has(child)
      ? `was not ready within ${readyWithinMs} ms`
      : 'stopped before it was ready';
    await kill('SIGKILL');
    throw new Error(`${name} ${why}; the last it printed:\n${lastLines(lines)}`);
  }
  return { name, pid: child.pid!, match, output: () => lines.join('\n'), kill, stopped };
}

/** What `promise` resolves to, or undefined when it takes longer. */
async function within<T>(limitMs: number, promise: Promise<T>): Promise<T | undefined> {
  const timer = new AbortController();
  try {
    return await Promise.race([promise, delay(limitMs, undefined, { signal: timer.signal })]);
  } finally {
    timer.abort();
  }
}

const lastLines = (lines: readonly string[]) =>
  lines.length
    ? lines
        .slice(-20)
        .map((line) => `  ${line}`)
        .join('\n')
    : '  (nothing)';
