/**
 * A shell script that is run when this process is gone, in whatever way: an orderly end, an uncaught error, Ctrl-C, or
 * SIGKILL. It waits in a process and a session of its own, reading a pipe that only this process holds open: when the
 * pipe closes, it is time.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';

export interface LastWill {
  /** Runs the script now, while we are here to see it through. Does nothing the second time. */
  execute(): Promise<void>;
}

/** The script gets `args` as $1, $2, … */
export function leaveLastWill(script: string, ...args: string[]): LastWill {
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
