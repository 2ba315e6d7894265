/** The addresses of RabbitMQ: what is taken, what is refused, and what of them is shown. */
import { describe, expect, it } from 'vitest';
import { addressesOf, deploymentAt, shownAddress } from './settings.js';

const hrefs = (url: string | string[]) => addressesOf(url, 5).map(({ href }) => href);

describe('addressesOf', () => {
  it('adds the heartbeat, and leaves one that is there', () => {
    expect(hrefs('amqp://guest:guest@localhost')).toEqual(['amqp://guest:guest@localhost?heartbeat=5']);
    expect(hrefs('amqps://host/%2Fshop?heartbeat=30')).toEqual(['amqps://host/%2Fshop?heartbeat=30']);
  });

  it('takes several, as a list or with commas between them, in which a password may have commas', () => {
    const both = ['amqp://a:1,2@one?heartbeat=5', 'amqp://a:1,2@two?heartbeat=5'];
    expect(hrefs('amqp://a:1,2@one, amqp://a:1,2@two')).toEqual(both);
    expect(hrefs(['amqp://a:1,2@one', 'amqp://a:1,2@two'])).toEqual(both);
  });

  it.each(['', 'localhost:5672', 'http://host', 'amqp://', 'amqp://one,amqp://', 'amqp://one,two'])(
    'refuses %j',
    (url) => {
      expect(() => addressesOf(url)).toThrow('must look like amqp://');
    },
  );

  it.each(['0', '601', '-1', 'x', ''])(
    'refuses the heartbeat %j: a dead connection would not be noticed',
    (it) => {
      expect(() => addressesOf(`amqp://host?heartbeat=${it}`)).toThrow('must be 1 to 600 seconds');
    },
  );

  it('refuses a user or password that cannot be read, and more addresses than anybody has', () => {
    expect(() => addressesOf('amqp://user:100%@host')).toThrow('must be written as %25');
    expect(() => addressesOf(Array(33).fill('amqp://host') as string[])).toThrow('1 to 32 addresses');
  });
});

describe('shownAddress', () => {
  it('leaves out password and parameters', () => {
    const [address] = addressesOf('amqp://shop:sesame@host:5673/live');
    expect(shownAddress(address!)).toBe('amqp://shop@host:5673/live');
  });
});

it.each([
  ['amqp://rabbit', "prefix 'shop' in the virtual host '/'"],
  ['amqp://user:sesame@rabbit:5673/', "prefix 'shop' in the virtual host '/'"],
  ['amqps://rabbit/%2f?heartbeat=5', "prefix 'shop' in the virtual host '/'"],
  ['amqp://one/caf%C3%A9,amqp://two/caf%C3%A9', "prefix 'shop' in the virtual host 'café'"],
])('the deployment at %s has %s, wherever RabbitMQ is', (url, name) => {
  expect(deploymentAt(url, 'shop')).toBe(name);
});
