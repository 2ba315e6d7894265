/**
 * A shell script that runs when this process is gone: after an orderly end, an uncaught error, Ctrl-C or
 * SIGKILL. It waits in a process and a session of its own, and reads a pipe that only this process holds
 * open. The end of the pipe starts it.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';

export interface ExitCleanup {
  /** Runs the script now, and awaits its end. A second call does nothing. */
  execute(): Promise<void>;
}

/** The script gets `args` as $1, $2, … */
export function cleanUpOnExit(script: string, ...args: string[]): ExitCleanup {
  const executor = spawn('sh', ['-c', `cat >/dev/null\n${script}`, 'last-will', ...args], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
    cwd: '/',
  });
  const done = once(executor, 'exit');
  // Neither the executor nor the pipe keeps this process alive.
  executor.unref();
  (executor.stdin as Socket).unref();
  return {
    async execute() {
      if (executor.exitCode !== null) return;
      executor.ref();
      executor.stdin.end();
      await done;
    },
  };
}
