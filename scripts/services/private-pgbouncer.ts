/**
 * A pgbouncer that lives as long as this process: in front of a PostgreSQL, with its files in a temporary
 * folder, on a free port of the loopback interface. A missing program is installed, where that may be done.
 * pgbouncer refuses to run as root. So for root it runs as the user that runs PostgreSQL.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { chown, mkdtemp, readFile, realpath, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Log } from '#broker';
import { installPackage } from './debian.js';
import { cleanUpOnExit } from '../processes/exit-cleanup.js';
import { findProgram, freePort, path, unprivileged } from './programs.js';

/**
 * How long a client keeps a connection to PostgreSQL: until it leaves, for a transaction, or for a statement.
 */
export type PoolMode = 'session' | 'transaction' | 'statement';

export interface PrivatePgbouncer {
  /** The URL of the database through pgbouncer. Each client gets the user of that URL. */
  readonly url: string;
  stop(): Promise<void>;
}

const START_WITHIN_MS = 20_000;

/** Resolves when this machine has a pgbouncer. Otherwise it throws a remedy. */
export async function installPgbouncer(log: Log): Promise<void> {
  try {
    findPgbouncer();
  } catch {
    await installPackage('pgbouncer', log).catch((error: Error) => {
      throw new Error(
        `No pgbouncer was found, and none could be installed: ${error.message}.\n` +
          'Install it (apt-get install pgbouncer, brew install pgbouncer), and try again.',
      );
    });
  }
}

const findPgbouncer = () =>
  findProgram('pgbouncer', [...path, '/usr/sbin', '/opt/homebrew/bin', '/usr/local/bin']);

/** `connections` is the maximum to the database. */
export async function startPrivatePgbouncer(
  databaseUrl: string,
  mode: PoolMode,
  { connections = 20 } = {},
): Promise<PrivatePgbouncer> {
  const program = findPgbouncer();
  const user = await unprivileged();
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'locked-session-pgbouncer-')));
  const port = await freePort();
  const url = new URL(databaseUrl);
  url.host = `127.0.0.1:${port}`;
  const settings = join(folder, 'pgbouncer.ini');
  await writeFile(settings, settingsFor(new URL(databaseUrl), mode, port, connections));
  if (user) for (const place of [folder, settings]) await chown(place, user.uid, user.gid);

  const output = openSync(join(folder, 'output'), 'a');
  const server = spawn(program, [settings], {
    ...user,
    cwd: folder,
    stdio: ['ignore', output, output],
    detached: true, // a Ctrl-C does not reach it: it ends after its clients
  });
  closeSync(output);
  const will = cleanUpOnExit(END, `${server.pid}`, folder);
  server.unref();
  try {
    await untilReady(server, port);
  } catch (error) {
    const printed = await readFile(join(folder, 'output'), 'utf8');
    await will.execute();
    throw new Error(`pgbouncer: ${(error as Error).message}. Its last output:\n${printed.slice(-2_000)}`, {
      cause: error,
    });
  }
  return { url: url.href, stop: () => will.execute() };
}

/** The defaults of pgbouncer, but for the mode, and for short pauses after a failure of the database. */
function settingsFor(database: URL, mode: PoolMode, port: number, connections: number): string {
  const quoted = (value: string) => `'${decodeURIComponent(value).replaceAll("'", "''")}'`;
  const at = {
    host: quoted(database.hostname),
    port: database.port || '5432',
    user: quoted(database.username || 'postgres'),
    ...(database.password && { password: quoted(database.password) }),
  };
  const lines = Object.entries(at).map(([name, value]) => `${name}=${value}`);
  return `[databases]
* = ${lines.join(' ')}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
default_pool_size = ${connections}
max_client_conn = 200
server_login_retry = 0.2
`;
}

/** $1 is the process, $2 the folder. pgbouncer has no data to lose. */
const END = 'kill -s KILL "$1"; rm -rf -- "$2"';

/** Resolves when it listens. It connects to the database with the first client. */
async function untilReady(server: ChildProcess, port: number): Promise<void> {
  for (const deadline = performance.now() + START_WITHIN_MS; ; await pause(50)) {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (server.exitCode !== null || server.signalCode !== null)
        throw new Error('it stopped', { cause: error });
      if (performance.now() > deadline) throw new Error('it was not ready in time', { cause: error });
    } finally {
      socket.destroy();
    }
  }
}
