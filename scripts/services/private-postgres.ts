/**
 * A PostgreSQL that lives as long as this process: of the programs that are installed on this machine, with
 * its data in a temporary folder, on a free port of the loopback interface. PostgreSQL refuses to run as
 * root. So for root it runs as the user that Debian makes for it, or as nobody.
 *
 * It is for tests. Its fsync is off, so a power loss would destroy the data. Written data survive a crash of
 * the server.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, existsSync, openSync, readdirSync } from 'node:fs';
import { chown, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { cleanUpOnExit } from '../processes/exit-cleanup.js';
import { findProgram, freePort, path, run, unprivileged } from './programs.js';

export interface PrivatePostgres {
  readonly url: string;
  /** Kills all its processes without a last write. Resolves when it is ready again. */
  crashAndRestart(): Promise<void>;
  stop(): Promise<void>;
}

const START_WITHIN_MS = 60_000;

export async function startPrivatePostgres(): Promise<PrivatePostgres> {
  const programs = findPrograms();
  const user = await unprivileged();
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'locked-session-postgres-')));
  if (user) await chown(folder, user.uid, user.gid);
  const will = cleanUpOnExit(END, folder);
  const port = await freePort();
  const password = randomUUID();
  const data = join(folder, 'data');
  const as = {
    cwd: folder,
    env: { PATH: path.join(delimiter), LANG: 'C', LC_ALL: 'C', HOME: folder },
    ...user,
  };

  const start = async (): Promise<ChildProcess> => {
    const output = openSync(join(folder, 'output'), 'a');
    const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    const server = spawn(programs.postgres, ['-D', data, '-p', String(port), ...settings], {
      ...as,
      stdio: ['ignore', output, output],
      detached: true, // a Ctrl-C does not reach it: it ends after its clients
    });
    closeSync(output);
    server.unref();
    await untilReady(server, programs.ready, port);
    return server;
  };

  let server: ChildProcess;
  try {
    const secret = join(folder, 'password');
    await writeFile(secret, password, { mode: 0o644 });
    const trust = ['--username=postgres', '--auth=password', `--pwfile=${secret}`];
    await run(programs.initdb, ['-D', data, '--no-sync', '--encoding=UTF8', '--locale=C', ...trust], as);
    await rm(secret);
    server = await start();
  } catch (error) {
    const printed = await readFile(join(folder, 'output'), 'utf8').catch(() => '');
    await will.execute();
    throw new Error(`${(error as Error).message}. Its last output:\n${printed.slice(-2_000)}`, {
      cause: error,
    });
  }
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres`,
    async crashAndRestart() {
      const gone = once(server, 'exit');
      server.kill('SIGQUIT');
      await gone;
      server = await start();
    },
    stop: () => will.execute(),
  };
}

const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  max_connections: '200',
  shared_buffers: '64MB',
  fsync: 'off',
  full_page_writes: 'off',
};

/** $1 is the folder. SIGQUIT ends the server and its children at once, and frees the shared memory. */
const END = `
server=$(head -n 1 "$1/data/postmaster.pid")
if [ -n "$server" ]; then
  kill -s QUIT "$server"
  for try in 1 2 3 4 5 6 7 8 9; do kill -s 0 "$server" || break; sleep 0.2; done
  kill -s KILL "$server"
fi
for try in 1 2 3 4 5 6 7 8 9; do rm -rf -- "$1" && break; sleep 0.1; done`;

/** Debian keeps the programs of each version in a folder outside the PATH. */
function findPrograms() {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const homebrew = ['/opt/homebrew/bin', '/usr/local/bin'];
  const folders = [...path, ...versions.map((version) => join(debian, version, 'bin')), ...homebrew];
  const complete = folders.filter((folder) => existsSync(join(folder, 'postgres')));
  const initdb = findProgram('initdb', complete); // of the same version as the server
  const postgres = findProgram('postgres', [join(initdb, '..')]);
  return { initdb, postgres, ready: findProgram('pg_isready', [join(initdb, '..'), ...folders]) };
}

async function untilReady(server: ChildProcess, isReady: string, port: number): Promise<void> {
  for (const deadline = performance.now() + START_WITHIN_MS; ; await pause(50)) {
    try {
      await run(isReady, ['-h', '127.0.0.1', '-p', String(port), '-t', '1']);
      return;
    } catch (error) {
      if (server.exitCode !== null || server.signalCode !== null)
        throw new Error('it stopped', { cause: error });
      if (performance.now() > deadline) throw new Error('it was not ready in time', { cause: error });
    }
  }
}
