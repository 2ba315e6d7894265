/**
 * Starts programs of this repository as child processes, for the demo and for tests. A child is ready when a
 * line of its output says so. It never outlives this process: `exit` kills it, and after a SIGKILL it notices
 * the end of its parent (die-with-parent.mjs). Each child has a process group of its own. So a Ctrl-C reaches
 * only this process, which ends the children in its order.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';

export interface ProcessOptions {
  /** Its name in the log and in errors. */
  readonly name: string;
  /** The file that Node runs, relative to the repository's root. */
  readonly script: string;
  readonly args?: readonly string[];
  /** Added to the environment of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Matches the line of output by which the program is ready. */
  readonly ready: RegExp;
  /** The limit of its start. */
  readonly readyWithinMs?: number;
  /** Receives each line of its output, with the name in front. */
  readonly log?: (line: string) => void;
}

export interface RunningProcess {
  readonly name: string;
  readonly pid: number;
  /** What `ready` matched. */
  readonly match: RegExpExecArray;
  /** The last lines of stdout and stderr in their order. */
  output(): string;
  /** Sends `signal` (SIGTERM), and after `withinMs` SIGKILL. Resolves when the process is gone. */
  kill(signal?: NodeJS.Signals, withinMs?: number): Promise<void>;
  /** Resolves with its exit code or signal when it is gone. */
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

const dieWithParent = pathToFileURL(join(root, 'scripts/processes/die-with-parent.mjs')).href;
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
    throw new Error(`${name} ${why}; its last output:\n${lastLines(lines)}`);
  }
  return { name, pid: child.pid!, match, output: () => lines.join('\n'), kill, stopped };
}

/** The value of `promise`, or undefined when it takes longer. */
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
