/**
 * Finds a RabbitMQ for the demo and for the tests, so that neither needs anything to be set up: the one that AMQP_URL
 * names, one that runs on this machine, a private node of one that is installed, one in Docker, or one that is
 * installed for the purpose. The demo likes best what is there already; the tests like best what is theirs alone.
 */
import type { Log } from '#broker';
import { tryLogin } from './amqp-login.js';
import { installPackage } from './debian.js';
import { doNothing, findServer, inDocker, type FoundServer, type Way } from './found-server.js';
import { startPrivateRabbitmq } from './private-rabbitmq.js';

export function findBroker({ log, mode }: { log: Log; mode: 'demo' | 'test' }): Promise<FoundServer> {
  return findServer('RabbitMQ', process.env.AMQP_URL ? [named] : WAYS[mode], REMEDIES, log);
}

const REMEDIES = `Do one of these, and try again:
  - install it: apt-get install rabbitmq-server, brew install rabbitmq, or https://www.rabbitmq.com/docs/download
  - start Docker
  - name a running one: AMQP_URL=amqp://user:password@host:5672`;

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

const guestAt = (port: number) => ({ host: '127.0.0.1', port, user: 'guest', password: 'guest' });

const running: Way = {
  what: 'a RabbitMQ that runs on this machine',
  async find() {
    await tryLogin(guestAt(5672));
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

const docker = inDocker({
  kind: 'RabbitMQ',
  image: 'rabbitmq:4',
  port: 5672,
  ready: (port) => tryLogin(guestAt(port)),
  url: (port) => `amqp://guest:guest@127.0.0.1:${port}`,
});

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
