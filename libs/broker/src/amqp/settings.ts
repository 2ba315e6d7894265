/**
 * The settings of the RabbitMQ adapter: what they are, their defaults and limits, and what is wrong with
 * given ones. The store and the app servers both read them from here.
 */
import { unescape } from 'node:querystring';
import type { Log } from '../log.js';
import type { AmqpTls } from './tls.js';
import type { QueueType } from './topology.js';

export interface AmqpSettings {
  /** Where RabbitMQ is. Of several addresses, those of a cluster, each is tried. */
  readonly url: string | readonly string[];
  readonly log: Log;
  /** Is called for every connection, so that a changed secret needs no restart. */
  readonly secrets?: () => AmqpSecrets | Promise<AmqpSecrets>;
  /** What RabbitMQ's lists of connections and consumers call this process. */
  readonly name?: string;
  /**
   * The names of the exchange and the queues begin with it. Each deployment has its own, the same in the
   * store and in the app servers.
   */
  readonly prefix?: string;
  /**
   * The type of the partition queues. Quorum queues are for clusters of RabbitMQ, and about three times
   * slower. It is fixed once the queues are made.
   */
  readonly queueType?: QueueType;
  /** Most frames that wait in the queue of one partition. It is fixed once the queue is made. */
  readonly maxQueuedFrames?: number;
  /**
   * RabbitMQ removes a session's own queue that nobody has used for so long: far longer than any wait. It is
   * fixed once the queue is made.
   */
  readonly sessionQueueExpiresMs?: number;
  /** Most bytes that wait in one channel for a slow connection. More are refused. */
  readonly maxStalledBytes?: number;
  /** A silent connection counts as lost after two to three times this. */
  readonly heartbeatSeconds?: number;
  /** The longest that connecting to one address may take. */
  readonly connectTimeoutMs?: number;
  /** The pause before the first new try to connect. It doubles with each try. */
  readonly reconnectMinMs?: number;
  /** The longest pause between two tries to connect. */
  readonly reconnectMaxMs?: number;
  /** How long `close` waits for RabbitMQ to take what was sent. */
  readonly closeTimeoutMs?: number;
}

export interface AmqpSecrets {
  /** Counts before the one in the address. */
  readonly password?: string | undefined;
  /** With amqps:// alone. */
  readonly tls?: AmqpTls | undefined;
}

/** A RabbitMQ on this machine, as it is after its installation. */
export const localAmqpUrl = 'amqp://guest:guest@127.0.0.1:5672';

export const amqpDefaults = {
  prefix: 'locked-session',
  queueType: 'classic' as QueueType,
  maxQueuedFrames: 100_000,
  sessionQueueExpiresMs: 300_000,
  maxStalledBytes: 64 * 1024 * 1024,
  heartbeatSeconds: 5,
  connectTimeoutMs: 5_000,
  reconnectMinMs: 100,
  reconnectMaxMs: 1_000,
  closeTimeoutMs: 5_000,
};

/** The least and the most of each number that users may set. */
export const amqpLimits = {
  maxQueuedFrames: [1_000, 10_000_000],
  maxStalledBytes: [65_536, 1_073_741_824],
  heartbeatSeconds: [1, 600],
  connectTimeoutMs: [100, 600_000],
  reconnectMinMs: [1, 60_000],
  reconnectMaxMs: [1, 600_000],
} as const satisfies Partial<Record<keyof typeof amqpDefaults, readonly [least: number, most: number]>>;

export const amqpPrefix = /^[\w.-]{1,64}$/;

/** Most addresses of one RabbitMQ. */
const maxAddresses = 32;

/**
 * The addresses as amqplib wants them. A heartbeat that an address names itself wins. Throws an error that
 * does not repeat the address, since that may hold a password.
 */
export function addressesOf(
  url: string | readonly string[],
  heartbeatSeconds: number = amqpDefaults.heartbeatSeconds,
): URL[] {
  const texts = (typeof url === 'string' ? [url] : url).flatMap((text) => text.split(/,(?=\s*\w+:\/\/)/));
  if (texts.length === 0 || texts.length > maxAddresses)
    throw new Error(`There must be 1 to ${maxAddresses} addresses of RabbitMQ.`);
  return texts.map((text) => addressOf(text.trim(), heartbeatSeconds));
}

function addressOf(text: string, heartbeatSeconds: number): URL {
  const address = URL.canParse(text) ? new URL(text) : undefined;
  if (!address || !['amqp:', 'amqps:'].includes(address.protocol) || !/^[^,]+$/.test(address.hostname))
    throw new Error(
      'The URL of RabbitMQ must look like amqp://user:password@host:5672 (or amqps://…), each of several ' +
        'in full.',
    );
  if (!isDecodable(address.username) || !isDecodable(address.password))
    throw new Error('In the URL of RabbitMQ, a % in the user or the password must be written as %25.');
  const { searchParams } = address;
  const [least, most] = amqpLimits.heartbeatSeconds;
  const heartbeat = searchParams.get('heartbeat') ?? String(heartbeatSeconds);
  if (!/^\d{1,3}$/.test(heartbeat) || Number(heartbeat) < least || Number(heartbeat) > most)
    throw new Error(
      `The heartbeat in the URL of RabbitMQ must be ${least} to ${most} seconds: without one, a ` +
        'connection that is gone is not noticed.',
    );
  searchParams.set('heartbeat', heartbeat);
  return address;
}

function isDecodable(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

/** What is wrong with the addresses, as a sentence without any of them; undefined when nothing is. */
export function wrongInAddresses(url: string | readonly string[]): string | undefined {
  try {
    addressesOf(url);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

/** The address for log lines: no password, no parameters. */
export function shownAddress(address: URL): string {
  const shown = new URL(address);
  shown.password = '';
  shown.search = '';
  return shown.href;
}

/** What tells a deployment from every other one of a RabbitMQ, as a name for people. */
export function deploymentAt(url: string | readonly string[], prefix: string): string {
  const virtualHost = unescape(addressesOf(url)[0]!.pathname.slice(1)) || '/';
  return `prefix '${prefix}' in the virtual host '${virtualHost}'`;
}
