/**
 * Finds a RabbitMQ for the demo and for the tests without any setup: the one that AMQP_URL names, one that
 * runs on this machine, a private node of an installed one, one in Docker, or one that is installed now. The
 * demo prefers a running one. The tests prefer one that nothing else uses.
 */
import { checkAmqp, type Log } from '#broker';
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
    const url = process.env.AMQP_URL!;
    // The programs themselves bring the certificates that a RabbitMQ with TLS may require.
    if (url.startsWith('amqp:')) await checkAmqp(url);
    return { url, origin: this.what, stop: doNothing };
  },
};

const guestAt = (port: number) => `amqp://guest:guest@127.0.0.1:${port}`;

const running: Way = {
  what: 'a RabbitMQ that runs on this machine',
  async find() {
    await checkAmqp(guestAt(5672));
    return { url: guestAt(5672), origin: this.what, stop: doNothing };
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
  ready: (port) => checkAmqp(guestAt(port)),
  url: guestAt,
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
