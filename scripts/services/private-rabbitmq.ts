/**
 * A RabbitMQ that lives as long as this process: a node of the RabbitMQ that is installed on this machine,
 * with its data in a temporary folder, on free ports of the loopback interface. Other nodes would share
 * Erlang's name server (epmd), which would stay as a daemon. So the node gets one of its own, in its process
 * group, which an exit cleanup ends.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { mkdtemp, readFile, realpath, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { checkAmqp } from '#broker';
import { cleanUpOnExit, type ExitCleanup } from '../processes/exit-cleanup.js';
import { findProgram, freePort, path, run } from './programs.js';

export interface RabbitmqOptions {
  /** More lines of rabbitmq.conf. */
  readonly conf?: readonly string[];
  /** PEM files for a listener with TLS that requires a certificate of its clients. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
}

export interface PrivateRabbitmq {
  readonly url: string;
  /** The port of the listener with TLS. The host is `localhost`. */
  readonly tlsPort: number;
  /** Runs `rabbitmqctl` on the node. Resolves with its output. */
  ctl(...args: string[]): Promise<string>;
  /** The path of the program. */
  readonly program: string;
  /** Ends it like a crash. `restart` starts it again at the same address, with its data on disk. */
  kill(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

const START_WITHIN_MS = 120_000;

export async function startPrivateRabbitmq(options: RabbitmqOptions = {}): Promise<PrivateRabbitmq> {
  // The wrapper of Debian and Red Hat in the PATH requires its own user and folders. The real script comes
  // first.
  const program =
    process.env.RABBITMQ_SERVER ||
    findProgram('rabbitmq-server', ['/usr/lib/rabbitmq/bin', ...path, ...HOMEBREW]);
  const epmd = findProgram('epmd', [...path, ...HOMEBREW, '/usr/lib/erlang/bin']);

  const folder = await realpath(await mkdtemp(join(tmpdir(), 'locked-session-rabbitmq-')));
  const lastWill = cleanUpOnExit(REMOVE, folder);
  const ports = await freePorts();
  const env = await settle(folder, ports, options);
  const start = async () => {
    const output = openSync(join(folder, 'output'), 'a');
    const node = spawn('sh', ['-c', START, 'start', epmd, program], {
      cwd: folder,
      env,
      stdio: ['ignore', output, output],
      detached: true,
    });
    const will = cleanUpOnExit(KILL, String(node.pid));
    closeSync(output);
    node.unref();
    try {
      await untilReady(node, ports.amqp);
    } catch (error) {
      const printed = await readFile(join(folder, 'output'), 'utf8');
      await will.execute();
      throw new Error(`${(error as Error).message}. Its last output:\n${printed.slice(-2_000)}`, {
        cause: error,
      });
    }
    return will;
  };
  let node: ExitCleanup;
  try {
    node = await start();
  } catch (error) {
    await lastWill.execute();
    throw error;
  }
  return {
    url: `amqp://guest:guest@127.0.0.1:${ports.amqp}`,
    tlsPort: ports.tls,
    program,
    async ctl(...args) {
      const { stdout } = await run(join(dirname(program), 'rabbitmqctl'), args, { cwd: folder, env });
      return stdout;
    },
    kill: () => node.execute(),
    async restart() {
      node = await start();
    },
    async stop() {
      await node.execute();
      await lastWill.execute();
    },
  };
}

/** $1 is epmd, $2 rabbitmq-server, which needs an epmd and may not start one. */
const START = `
"$1" -port "$ERL_EPMD_PORT" -address 127.0.0.1 &
until "$1" -port "$ERL_EPMD_PORT" -names >/dev/null 2>&1; do sleep 0.05; done
exec "$2"`;

/** $1 is the process group. */
const KILL = 'kill -s KILL -- "-$1"';

/** $1 is the folder. Its removal fails while a dying process still writes there. */
const REMOVE = 'for try in 1 2 3 4 5 6 7 8 9; do rm -rf -- "$1" && break; sleep 0.1; done';

interface Ports {
  readonly amqp: number;
  readonly tls: number;
  readonly distribution: number;
  readonly epmd: number;
}

async function freePorts(): Promise<Ports> {
  return {
    amqp: await freePort(),
    tls: await freePort(),
    distribution: await freePort(),
    epmd: await freePort(),
  };
}

/** Writes the configuration. Returns an environment in which the node shares nothing with others. */
async function settle(
  folder: string,
  ports: Ports,
  { conf = [], tls }: RabbitmqOptions,
): Promise<NodeJS.ProcessEnv> {
  const files = {
    config: join(folder, 'rabbitmq.conf'),
    environment: join(folder, 'rabbitmq-env.conf'),
    plugins: join(folder, 'enabled_plugins'),
  };
  const lines = [`listeners.tcp.1 = 127.0.0.1:${ports.amqp}`, 'log.file.level = warning', ...conf];
  if (tls) {
    lines.push(`listeners.ssl.1 = 127.0.0.1:${ports.tls}`, `ssl_options.cacertfile = ${tls.ca}`);
    lines.push(`ssl_options.certfile = ${tls.cert}`, `ssl_options.keyfile = ${tls.key}`);
    lines.push('ssl_options.verify = verify_peer', 'ssl_options.fail_if_no_peer_cert = true');
  }
  await writeFile(files.config, `${lines.join('\n')}\n`);
  await writeFile(files.environment, '');
  await writeFile(files.plugins, '[].\n');
  return {
    PATH: [...path, ...HOMEBREW].join(delimiter),
    LANG: 'C.UTF-8',
    HOME: folder, // for the Erlang cookie
    ERL_EPMD_PORT: String(ports.epmd),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_FLAGS: '-start_epmd false', // for each Erlang below, also those that RabbitMQ starts later
    RABBITMQ_NODENAME: `locked-session-${ports.amqp}@localhost`,
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_NODE_PORT: String(ports.amqp),
    RABBITMQ_DIST_PORT: String(ports.distribution),
    RABBITMQ_MNESIA_BASE: join(folder, 'data'),
    RABBITMQ_LOG_BASE: join(folder, 'log'),
    RABBITMQ_CONFIG_FILE: files.config,
    RABBITMQ_CONF_ENV_FILE: files.environment,
    RABBITMQ_ENABLED_PLUGINS_FILE: files.plugins,
    RABBITMQ_PID_FILE: join(folder, 'pid'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
  };
}

async function untilReady(node: ChildProcess, port: number): Promise<void> {
  const deadline = performance.now() + START_WITHIN_MS;
  for (;;) {
    try {
      await checkAmqp(`amqp://guest:guest@127.0.0.1:${port}`);
      return;
    } catch (error) {
      if (node.exitCode !== null || node.signalCode !== null) throw new Error('it stopped', { cause: error });
      if (performance.now() > deadline) throw new Error(`it was not ready in time`, { cause: error });
    }
    await pause(100);
  }
}

const HOMEBREW = ['/opt/homebrew', '/usr/local'].flatMap((root) =>
  ['opt/rabbitmq/sbin', 'opt/erlang/bin', 'bin'].map((folder) => join(root, folder)),
);
