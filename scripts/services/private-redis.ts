/**
 * A Redis of our own, for as long as we live, for the products that Locked Session is compared with: of the
 * program that is installed, or is installed for this where that may be done. It listens on a free port of
 * the loopback interface.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { Log } from '#broker';
import { cleanUpOnExit } from '../processes/exit-cleanup.js';
import { installPackage } from './debian.js';
import { findProgram, freePort, path } from './programs.js';

export interface PrivateRedis {
  readonly url: string;
  stop(): Promise<void>;
}

const folders = [...path, '/usr/bin', '/opt/homebrew/bin', '/usr/local/bin'];

/** `settings` are more arguments of redis-server. Without any, nothing is written to disk. */
export async function startPrivateRedis(log: Log, settings: readonly string[] = []): Promise<PrivateRedis> {
  const program = await findOrInstall(log);
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'locked-session-redis-')));
  const port = await freePort();
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--dir', folder, ...settings];
  const server = spawn(program, args, { cwd: folder, stdio: 'ignore', detached: true });
  await once(server, 'spawn');
  const cleanup = cleanUpOnExit('kill -s KILL "$1"; rm -rf -- "$2"', String(server.pid), folder);
  server.unref();
  const url = `redis://127.0.0.1:${port}`;
  const probe = new Redis(url, { maxRetriesPerRequest: 100, retryStrategy: () => 50 });
  probe.on('error', () => {}); // The client tries again until the server answers.
  await probe.ping();
  await probe.quit();
  return { url, stop: () => cleanup.execute() };
}

async function findOrInstall(log: Log): Promise<string> {
  try {
    return findProgram('redis-server', folders);
  } catch {
    await installPackage('redis-server', log);
    return findProgram('redis-server', folders);
  }
}
