/**
 * The programs of this machine, for servers of our own: where they are, how Debian's packages bring them when they are
 * missing, and a port for them to listen at.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants, existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import type { Log } from '#broker';

export const run = promisify(execFile);

export const path = (process.env.PATH ?? '').split(delimiter);

/** Throws when none of the folders has it. */
export function findProgram(program: string, folders: readonly string[]): string {
  const found = folders.map((folder) => join(folder, program)).find(isExecutable);
  if (!found) throw new Error(`${program} is not installed`);
  return found;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export async function installDebianPackage(name: string, log: Log): Promise<void> {
  if (!existsSync('/usr/bin/apt-get') || process.getuid?.() !== 0) {
    throw new Error('only done for root, on Debian or Ubuntu');
  }
  log.log(`Installing the package ${name}: this takes a minute.`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await withoutStartingServices(async () => {
    await run('apt-get', ['update', '-qq'], { env });
    await run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', name], { env });
  });
}

/** Debian starts a service when it installs it, unless this file, which is an administrator's, says no. */
async function withoutStartingServices(install: () => Promise<void>): Promise<void> {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) return install();
  await writeFile(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await install();
  } finally {
    await rm(policy);
  }
}

/** A port of the loopback interface that nobody uses at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await once(server.close(), 'close');
  return port;
}
