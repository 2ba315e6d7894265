/**
 * What is told of a RabbitMQ that cannot be used, against small stand-ins. Real ones are in test/contract.
 */
import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { checkAmqp, connectToOneOf } from './connect.js';
import { addressesOf } from './settings.js';

describe('checkAmqp', () => {
  let server: Server | undefined;
  afterEach(() => server?.close());

  /** A server that does something at the first bytes of the other side. */
  const listen = async (answer: (socket: Socket) => unknown = () => {}) => {
    server = createServer((socket) => {
      socket.on('error', () => {}).once('data', () => answer(socket));
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    return `amqp://guest:sesame@127.0.0.1:${(server.address() as AddressInfo).port}`;
  };

  it('knows a program that does not speak AMQP, and one that hangs up', async () => {
    const http = await listen((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await expect(checkAmqp(http)).rejects.toThrow('does not speak AMQP 0-9-1');
    server?.close();
    await expect(checkAmqp(await listen((socket) => socket.end()))).rejects.toThrow('needs amqps://');
  });

  it('knows when nobody listens, and when nobody answers; and shows no password', async () => {
    const url = await listen();
    await expect(checkAmqp(url, 20)).rejects.toThrow(/^RabbitMQ at amqp:\/\/guest@127.*connect ETIMEDOUT/);
    server?.close();
    await once(server!, 'close');
    await expect(checkAmqp(url)).rejects.toThrow(/ECONNREFUSED.*check that RabbitMQ runs there/);
  });
});

describe('several addresses', () => {
  const addresses = addressesOf(['amqp://127.0.0.1:1', 'amqp://127.0.0.1:2']);
  const never = new AbortController().signal;

  it('are all tried, and each is named with its reason', async () => {
    const failed = connectToOneOf(addresses, { connectTimeoutMs: 1_000 }, never);
    await expect(failed).rejects.toThrow(/127\.0\.0\.1:1\/?: .*ECONNREFUSED/);
    await expect(failed).rejects.toThrow(/127\.0\.0\.1:2\/?: .*ECONNREFUSED/);
  });

  it('are tried in an order that chance decides', async () => {
    const first = new Set<string>();
    for (let n = 0; n < 100 && first.size < 2; n++) {
      const tried = connectToOneOf(addresses, { connectTimeoutMs: 1_000 }, never);
      const told = await tried.then(() => 'connected', String);
      first.add(/127\.0\.0\.1:(\d)/.exec(told)![1]!);
    }
    expect([...first].toSorted()).toEqual(['1', '2']);
  });

  it('secrets that never come end the try', async () => {
    const secrets = () => new Promise<never>(() => {});
    const failed = connectToOneOf(addresses, { connectTimeoutMs: 5, secrets }, never);
    await expect(failed).rejects.toThrow('the password or the certificates were not read within 5 ms');
  });
});
