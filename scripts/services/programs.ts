/** The programs of this machine that run private servers, their users, and free ports. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, constants } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

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

/** A port of the loopback interface that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await once(server.close(), 'close');
  return port;
}

/** The user of a database's programs, which refuse to run as root. Only root needs another user. */
export async function unprivileged(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const id = async (...of: string[]) => Number((await run('id', of)).stdout);
  const of = async (user: string) => ({ uid: await id('-u', user), gid: await id('-g', user) });
  return of('postgres').catch(() => of('nobody'));
}
