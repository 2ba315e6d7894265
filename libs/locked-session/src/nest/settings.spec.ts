/** What an app server is told of RabbitMQ: a wrong setting stops the start, is named, and shows no secret. */
import { expect, it } from 'vitest';
import type { LockedSessionOptions } from './options.js';
import { readLockedSessionOptions } from './settings.js';

const read = (broker: unknown) =>
  readLockedSessionOptions({ broker, resolve: () => 'id' } as LockedSessionOptions).broker;

it.each([
  [
    'a heartbeat in the URL that is none',
    { url: 'amqp://h?heartbeat=0' },
    "'broker.url' (what is set): The heartbeat",
  ],
  ['a heartbeat that is none', { url: 'amqp://h', heartbeatSeconds: 0 }, "'broker.heartbeatSeconds'"],
  [
    'one wrong address of several',
    { url: ['amqp://a:sesame@one', 'two'] },
    "'broker.url' (what is set): The URL",
  ],
  ['TLS without amqps', { url: 'amqp://a,amqp://b', tls: { servername: 'x' } }, "'broker.tls.servername'"],
  ['a password that is none', { url: 'amqp://a', password: 4 }, "'broker"],
])('names %s', (_what, broker, message) => {
  expect(() => read(broker)).toThrow(message);
  expect(() => read(broker)).not.toThrow('sesame');
});

it('takes several addresses, and functions for secrets', () => {
  const password = () => 'sesame';
  const tls = async () => ({ ca: 'of now' });
  const url = ['amqps://one', 'amqps://two'];
  expect(read({ url, password, tls })).toMatchObject({ url, password, tls });
});

it("takes another way to the store as it is, though it has properties of RabbitMQ's options", () => {
  class OtherWay {
    readonly url = 'amqp://h';
    join(): void {}
  }
  const broker = new OtherWay();
  expect(read(broker)).toBe(broker);
});
