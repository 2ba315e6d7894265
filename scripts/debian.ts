/**
 * Installs packages of Debian or Ubuntu, where we may: so that the demo and the tests run on a fresh machine. No service
 * that comes with a package is started.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Log } from '#broker';

const run = promisify(execFile);

/** Resolves when the package is there. Throws an error that says why it cannot be: not root, no apt-get, or what apt-get says. */
export async function installPackage(name: string, log: Log): Promise<void> {
  if (!existsSync('/usr/bin/apt-get') || process.getuid?.() !== 0) {
    throw new Error('only done for root, on Debian or Ubuntu');
  }
  log.log(`Installing the package ${name}: this takes a minute.`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args: string[]) =>
    run('apt-get', ['-qq', ...waiting, ...args], { env, maxBuffer: Infinity });
  await withoutStartingServices(async () => {
    await apt('update');
    await apt('install', '-y', '--no-install-recommends', name);
  });
}

/** Somebody else may be installing something just now. */
const waiting = ['-o', 'DPkg::Lock::Timeout=300'];

/** Debian starts a service when it installs it, unless this file, which is an administrator's, says no. */
async function withoutStartingServices(install: () => Promise<void>): Promise<void> {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) return install();
  await writeFile(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await install();
  } finally {
    await rm(policy, { force: true });
  }
}
