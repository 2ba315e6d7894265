/** Names, arguments and addresses of the RabbitMQ adapter, and what it tells people to check. */
import { describe, expect, it } from 'vitest';
import { addressOf, backOffMs, reasonOf, shownAddress, whatToCheck } from './amqp.topology.js';

describe('addressOf', () => {
  it('adds the heartbeat, and leaves one that is there', () => {
    expect(addressOf('amqp://guest:guest@localhost', 5).href).toBe(
      'amqp://guest:guest@localhost?heartbeat=5',
    );
    expect(addressOf('amqps://host/%2Fshop?heartbeat=30', 5).href).toBe('amqps://host/%2Fshop?heartbeat=30');
  });

  it.each(['', 'localhost:5672', 'http://host', 'amqp://'])('refuses %j', (url) => {
    expect(() => addressOf(url, 5)).toThrow('must look like amqp://');
  });
});

describe('shownAddress', () => {
  it('leaves out password and parameters', () => {
    expect(shownAddress(addressOf('amqp://shop:sesame@host:5673/live', 5))).toBe(
      'amqp://shop@host:5673/live',
    );
  });
});

describe('backOffMs', () => {
  it('doubles from the least to the most', () => {
    const delays = [0, 1, 2, 3, 4, 5, 1_000].map((failures) => backOffMs(failures, 100, 1_000, 0));
    expect(delays).toEqual([0, 100, 200, 400, 800, 1_000, 1_000]);
  });

  it('takes off up to a half at random', () => {
    expect(backOffMs(1, 100, 1_000, 0.5)).toBe(75);
    expect(backOffMs(1, 100, 1_000, 1)).toBe(50);
  });
});

describe('reasonOf', () => {
  it('finds words where the message is empty', () => {
    const refused = Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' });
    expect(reasonOf(refused)).toBe('ECONNREFUSED');
    expect(reasonOf(new Error('why'))).toBe('why');
  });
});

describe('whatToCheck', () => {
  it.each([
    ['403 (ACCESS-REFUSED) with message …', 'password'],
    ['530 (NOT-ALLOWED) with message "vhost /x not found"', 'virtual host'],
    ['getaddrinfo ENOTFOUND rabbit', 'host name'],
    ['connect ECONNREFUSED 127.0.0.1:5672', 'RabbitMQ runs there'],
  ])('of %j: the %s', (reason, remedy) => {
    expect(whatToCheck(reason)).toContain(remedy);
  });
});
