/**
 * Installs packages of Debian or Ubuntu, where that may be done, so that the demo and the tests run on a
 * fresh machine. It starts no service of a package.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Log } from '#broker';

const run = promisify(execFile);

/** The option that refuses to install packages, and the variable that passes it to child processes. */
export const noInstall = { option: '--no-install', variable: 'LOCKED_SESSION_NO_INSTALL' };

/** Takes the option out of `args`, and sets the variable. */
export function takeNoInstall(args: string[]): void {
  const at = args.indexOf(noInstall.option);
  if (at < 0) return;
  args.splice(at, 1);
  process.env[noInstall.variable] = '1';
}

/**
 * Resolves when the package is installed. Otherwise it throws the reason: refused, not root, no apt-get, or
 * the message of apt-get.
 */
export async function installPackage(name: string, log: Log): Promise<void> {
  if (process.env[noInstall.variable]) throw new Error(`refused by ${noInstall.option}`);
  if (!existsSync('/usr/bin/apt-get') || process.getuid?.() !== 0) {
    throw new Error('only done for root, on Debian or Ubuntu');
  }
  log.log(
    `Installing the package ${name} as root, since what is to be run needs it and found none. It takes a minute; ` +
      `${noInstall.option} refuses it.`,
  );
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const apt = (...args: string[]) =>
    run('apt-get', ['-qq', ...waiting, ...args], { env, maxBuffer: Infinity });
  await withoutStartingServices(async () => {
    await apt('update');
    await apt('install', '-y', '--no-install-recommends', name);
  });
}

/** Another process may be installing packages now. */
const waiting = ['-o', 'DPkg::Lock::Timeout=300'];

/** Debian starts a service after its installation, unless this file of the administrator forbids it. */
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
