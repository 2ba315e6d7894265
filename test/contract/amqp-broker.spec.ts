/**
 * The RabbitMQ adapter keeps the promises of the port `Broker`, and copes with failures of networks and
 * changes by operators. scripts/test.ts brings the broker. Each exchange under test has a prefix of its own,
 * and is deleted at the end.
 */
import { randomUUID } from 'node:crypto';
import { connect } from 'amqplib';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AmqpBroker, checkAmqp, type AmqpSettings } from '#broker';
import { brokerContract } from './broker.contract.js';
import { bytes, RecordingClient, RecordingServer, RecordingStore } from './broker.parties.js';
import { TcpProxy } from './tcp-proxy.js';

const url = process.env.AMQP_URL;
if (!url) throw new Error('AMQP_URL is not set. Run the tests by `npm test`, which brings a broker.');

const PARTITION = 3;
const silent = { log() {}, warn() {}, error() {} };

for (const queueType of ['classic', 'quorum'] as const) {
  brokerContract(`RabbitMQ, ${queueType} queues`, async ({ maxQueuedFrames }) => {
    const prefix = `test-${randomUUID()}`;
    const parties: { broker: AmqpBroker; proxy: TcpProxy }[] = [];
    return {
      async party() {
        const proxy = await TcpProxy.start(url);
        const settings = {
          url: proxy.url,
          prefix,
          queueType,
          maxQueuedFrames,
          reconnectMinMs: 1,
          log: silent,
        };
        const broker = new AmqpBroker(settings);
        parties.push({ broker, proxy });
        return { broker, cut: () => proxy.cut() };
      },
      async stop() {
        await Promise.all(parties.map(({ broker }) => broker.close()));
        await Promise.all(parties.map(({ proxy }) => proxy.stop()));
        await deleteAll(prefix);
      },
    };
  });
}

describe('AmqpBroker', () => {
  let prefix: string;
  let proxy: TcpProxy;
  let lines: string[];
  let brokers: AmqpBroker[];
  beforeEach(async () => {
    prefix = `test-${randomUUID()}`;
    proxy = await TcpProxy.start(url);
    lines = [];
    brokers = [];
  });
  afterEach(async () => {
    await Promise.all(brokers.map((broker) => broker.close()));
    await proxy.stop();
    await deleteAll(prefix);
  });

  const start = (settings: Partial<AmqpSettings> = {}) => {
    const write = (line: string) => void lines.push(line);
    const log = { log: write, warn: write, error: write };
    const broker = new AmqpBroker({ url: proxy.url, prefix, reconnectMinMs: 1, log, ...settings });
    brokers.push(broker);
    return broker;
  };

  it('warns once, without the password, while RabbitMQ is out of reach, and works when it comes', async () => {
    const { username, password } = new URL(url);
    proxy.refuse();
    const server = new RecordingServer();
    const serving = start({ reconnectMaxMs: 5 }).serve(PARTITION, { prefetch: 10 }, server);
    await proxy.untilAttempts(5);
    proxy.accept();
    await serving;

    expect(lines).toHaveLength(2);
    const address = `amqp://${username}@${new URL(proxy.url).host}`;
    expect(lines[0]).toContain(`RabbitMQ at ${address} cannot be used`);
    expect(lines[0]).toContain('check that RabbitMQ runs there');
    expect(lines[0]).not.toContain(`:${password}@`);
    expect(lines[1]).toContain(`RabbitMQ at ${address} is back`);
  });

  it('logs that the password may be wrong, without showing it', async () => {
    const wrong = new URL(url);
    wrong.password = 'open-sesame';
    const broker = start({ url: wrong.href });
    const joining = broker.join('h1', new RecordingClient());
    await expect.poll(() => lines.length).toBeGreaterThan(0);
    await Promise.all([expect(joining).rejects.toThrow('closed before it was connected'), broker.close()]);
    expect(lines[0]).toContain('check the user and the password');
    expect(lines.join()).not.toContain('open-sesame');
  });

  it('serves its partition again when the queue was deleted', async () => {
    const server = new RecordingServer();
    const client = new RecordingClient();
    const broker = start();
    await broker.serve(PARTITION, { prefetch: 10 }, server);
    const link = await broker.join('h1', client);
    await asOperator((channel) => channel.deleteQueue(`${prefix}.store.${PARTITION}`));
    await server.until(() => server.lostTurns === 1);
    // The broker consumes the queue again a little later. Until then RabbitMQ has no consumer for a frame.
    const repeat = setInterval(() => link.send(PARTITION, bytes('hello again')), 5);
    await server.until(() => server.frames.length > 0);
    clearInterval(repeat);
    expect(broker.counters.reconnects).toBe(0);
  });

  it('ignores a foreign message that looks like an echo', async () => {
    const server = new RecordingServer();
    const broker = start();
    const link = await broker.serve(PARTITION, { prefetch: 1 }, server);
    const queue = `${prefix}.store.${PARTITION}`;
    await asOperator(async (channel) => {
      channel.sendToQueue(queue, Buffer.from('1'), { type: 'echo', correlationId: randomUUID() });
      channel.sendToQueue(queue, Buffer.from('2'), { type: 'echo' });
      await channel.checkQueue(queue); // they are there
    });
    link.echo(3);
    await server.until(() => server.events.length > 0);
    expect(server.events).toEqual(['echo 3']);
    await broker.close();
    let left: number | undefined;
    await asOperator(async (channel) => (left = (await channel.checkQueue(queue)).messageCount));
    expect(left).toBe(0);
  });

  it('opens a single dead channel anew, and leaves the others open', async () => {
    const server = new RecordingServer();
    const client = new RecordingClient();
    const broker = start();
    await broker.serve(PARTITION, { prefetch: 10 }, server);
    const link = await broker.join('h1', client);
    await client.until(() => client.queues.length === 1);
    await asOperator((channel) => channel.deleteExchange(prefix));
    link.send(PARTITION, bytes('RabbitMQ closes a channel that publishes to an exchange that is gone'));
    await client.until(() => client.queues.length === 2);
    expect(client.events).toEqual(['connected', 'disconnected', 'connected']);
    expect(new Set(client.queues).size).toBe(2);
    expect(server.lostTurns).toBe(0);
    expect(broker.counters.reconnects).toBe(0);
    await expect.poll(() => lines).toHaveLength(2);
    expect(lines[0]).toContain('The channel of holder h1 ended (');
    expect(lines[1]).toContain('The channel of holder h1 is back');
  });

  it("binds a store's own queue again after its exchange was deleted", async () => {
    const store = new RecordingStore();
    const broker = start();
    await broker.openStore({ prefetch: 10 }, store);
    const link = await broker.join('h1', new RecordingClient());
    await store.until(() => store.keys.length === 1);
    await asOperator((channel) => channel.deleteExchange(prefix));
    await vi.waitFor(() => {
      link.sendToStore(store.key, bytes('again'));
      expect(store.frames).toContain('again');
    }, 10_000);
    expect(store.keys).toHaveLength(1);
  });

  it('rejects serve() when a queue has other properties, and logs nothing', async () => {
    await start().serve(PARTITION, { prefetch: 10 }, new RecordingServer());
    const other = start({ queueType: 'quorum' });
    const serving = other.serve(PARTITION, { prefetch: 10 }, new RecordingServer());
    await expect(serving).rejects.toThrow(/with x-queue-type classic, but the store needs quorum/);
    await other.close();
    expect(lines).toEqual([]);
  });

  it('finds the address that works, and another one when that fails', async () => {
    const second = await TcpProxy.start(url);
    try {
      second.refuse();
      const client = new RecordingClient();
      const broker = start({ url: [proxy.url, second.url] });
      await broker.join('h1', client);
      await client.until(() => client.queues.length === 1);
      proxy.refuse();
      second.accept();
      proxy.cut();
      await client.until(() => client.queues.length === 2);
      expect(broker.counters.reconnects).toBe(1);
      expect(lines.join()).not.toContain('cannot be used (Socket closed abruptly');
    } finally {
      await Promise.all(brokers.map((broker) => broker.close()));
      await second.stop();
    }
  });

  it('reads the secrets for each connection, so that a changed one needs no restart', async () => {
    const address = new URL(proxy.url);
    const right = decodeURIComponent(address.password);
    address.password = '';
    const passwords = ['of before', right, right];
    let asked = 0;
    const secrets = async () => ({ password: passwords[Math.min(asked++, 2)] });
    const client = new RecordingClient();
    const broker = start({ url: address.href, secrets });
    await broker.join('h1', client);
    await client.until(() => client.queues.length === 1);
    expect(asked).toBe(2);
    expect(lines[0]).toContain('check the user and the password');
    proxy.cut();
    await client.until(() => client.queues.length === 2);
    expect(asked).toBe(3);
  });

  it('passes checkAmqp, which names a wrong virtual host or password', async () => {
    await expect(checkAmqp(url)).resolves.toBeUndefined();
    const nowhere = new URL(url);
    nowhere.pathname = '/nowhere';
    await expect(checkAmqp(nowhere.href)).rejects.toThrow(/check the virtual host at the end of the URL/);
    const wrong = new URL(url);
    wrong.password = 'open-sesame';
    await expect(checkAmqp(wrong.href)).rejects.toThrow(/check the user and the password/);
  });

  it('delivers a frame again when the server throws', async () => {
    const broker = start();
    let calls = 0;
    const redelivered = new Promise<void>((resolve) => {
      const received = () => {
        if (++calls === 1) throw new Error('a bug in the server');
        resolve();
      };
      void broker.serve(PARTITION, { prefetch: 10 }, { received, lost() {}, queueGone() {}, echoed() {} });
    });
    const link = await broker.join('h1', new RecordingClient());
    const repeat = setInterval(() => link.send(PARTITION, bytes('1')), 5);
    await redelivered;
    clearInterval(repeat);
    await expect.poll(() => lines[0]).toContain('a bug in the server');
  });

  it('closes when RabbitMQ does not answer', async () => {
    const broker = start({ closeTimeoutMs: 50 });
    await broker.serve(PARTITION, { prefetch: 10 }, new RecordingServer());
    proxy.mute();
    await expect(broker.close()).resolves.toBeUndefined();
  });

  it('refuses an invalid URL without repeating it', () => {
    expect(() => start({ url: 'http://guest:open-sesame@localhost' })).toThrow(/^(?!.*open-sesame).*amqp:/);
  });
});

/** An operator's change of a running system. */
async function asOperator(act: (channel: Awaited<ReturnType<typeof operatorChannel>>) => Promise<unknown>) {
  const connection = await connect(url!, { noDelay: true });
  await act(await operatorChannel(connection));
  await connection.close();
}

const operatorChannel = (connection: Awaited<ReturnType<typeof connect>>) => connection.createChannel();

/** Holders' queues end with their connections. A deployment leaves its exchange and its partition queues. */
async function deleteAll(prefix: string): Promise<void> {
  await asOperator(async (channel) => {
    for (const partition of [3, 4]) await channel.deleteQueue(`${prefix}.store.${partition}`);
    await channel.deleteExchange(prefix);
  });
}
