/**
 * Finds a RabbitMQ for the demo and for the tests, so that neither needs anything to be set up: the one that AMQP_URL
 * names, one that runs on this machine, a private node of one that is installed, one in Docker, or one that is
 * installed for the purpose. The demo likes best what is there already; the tests like best what is theirs alone.
 */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Log } from '#broker';
import { tryLogin } from './amqp-login.js';
import { installPackage } from './debian.js';
import { leaveLastWill } from './last-will.js';
import { freePort, startPrivateRabbitmq } from './private-rabbitmq.js';

export interface FoundBroker {
  readonly url: string;
  /** Where it comes from, for people. */
  readonly origin: string;
  /** Ends it if it was started here, and else does nothing. */
  stop(): Promise<void>;
}

export async function findBroker({ log, mode }: { log: Log; mode: 'demo' | 'test' }): Promise<FoundBroker> {
  const failures: string[] = [];
  for (const way of process.env.AMQP_URL ? [named] : WAYS[mode]) {
    try {
      return await way.find(log);
    } catch (error) {
      failures.push(`  - ${way.what}: ${(error as Error).message}`);
    }
  }
  throw new Error(
    `No RabbitMQ could be found or started. What was tried:\n${failures.join('\n')}\n${REMEDIES}`,
  );
}

const REMEDIES = `Do one of these, and try again:
  - install it: apt-get install rabbitmq-server, brew install rabbitmq, or https://www.rabbitmq.com/docs/download
  - start Docker
  - name a running one: AMQP_URL=amqp://user:password@host:5672`;

/** A way to get a broker: throws an error that says why it is none. */
interface Way {
  readonly what: string;
  find(log: Log): Promise<FoundBroker>;
}

const doNothing = async () => {};
const run = promisify(execFile);

const named: Way = {
  what: 'the RabbitMQ that AMQP_URL names',
  async find() {
    const url = new URL(process.env.AMQP_URL!);
    if (url.protocol === 'amqp:') {
      await tryLogin({
        host: url.hostname,
        port: Number(url.port || 5672),
        user: decodeURIComponent(url.username || 'guest'),
        password: decodeURIComponent(url.password || 'guest'),
      });
    }
    return { url: process.env.AMQP_URL!, origin: this.what, stop: doNothing };
  },
};

const running: Way = {
  what: 'a RabbitMQ that runs on this machine',
  async find() {
    await tryLogin({ host: '127.0.0.1', port: 5672, user: 'guest', password: 'guest' });
    return { url: 'amqp://guest:guest@127.0.0.1:5672', origin: this.what, stop: doNothing };
  },
};

const runningAndShared: Way = {
  ...running,
  async find(log) {
    const found = await running.find(log);
    log.warn(
      'The tests use the RabbitMQ at 127.0.0.1:5672. They remove what they make, but others may notice.',
    );
    return found;
  },
};

const privateNode: Way = {
  what: 'a private node of the RabbitMQ that is installed on this machine',
  async find(log) {
    log.log('Starting a private RabbitMQ node: this takes some seconds.');
    const { url, stop } = await startPrivateRabbitmq();
    return { url, origin: this.what, stop };
  },
};

const docker: Way = {
  what: 'a RabbitMQ in Docker',
  async find(log) {
    await run('docker', ['info'], { timeout: 10_000 }).catch(() => {
      throw new Error('no Docker engine answers `docker info`');
    });
    log.log(
      'Starting RabbitMQ in Docker: this takes some seconds, and longer where its image is not there yet.',
    );
    const name = `locked-session-${randomUUID()}`;
    const port = await freePort();
    const will = leaveLastWill('docker rm --force "$1"', name);
    try {
      await run('docker', [
        'run',
        '--detach',
        '--rm',
        '--name',
        name,
        '-p',
        `127.0.0.1:${port}:5672`,
        'rabbitmq:4',
      ]);
      for (const deadline = performance.now() + 120_000; ; await pause(200)) {
        const login = tryLogin({ host: '127.0.0.1', port, user: 'guest', password: 'guest' });
        const failure = await login.then(
          () => undefined,
          (error: Error) => error,
        );
        if (!failure) break;
        if (performance.now() > deadline) throw failure;
      }
    } catch (error) {
      await will.execute();
      throw error;
    }
    return { url: `amqp://guest:guest@127.0.0.1:${port}`, origin: this.what, stop: () => will.execute() };
  },
};

const installed: Way = {
  what: 'a private node of a RabbitMQ that was installed for this',
  async find(log) {
    await installPackage('rabbitmq-server', log);
    return { ...(await privateNode.find(log)), origin: this.what };
  },
};

const WAYS = {
  demo: [running, privateNode, docker, installed],
  test: [privateNode, installed, docker, runningAndShared],
};
