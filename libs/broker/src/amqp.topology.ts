/**
 * What is pure about the AMQP adapter: the names and arguments of exchange and queues, the address, how long to wait
 * before trying again, and what to tell a person when RabbitMQ cannot be reached.
 */
export type QueueType = 'classic' | 'quorum';

/** The exchange has the bare prefix for its name. */
export const partitionQueueName = (prefix: string, partition: number): string =>
  `${prefix}.store.${partition}`;
export const holderQueueName = (prefix: string, holder: string, connection: number): string =>
  `${prefix}.holder.${holder}.${connection}`;

export const sessionQueueName = (prefix: string, session: string): string => `${prefix}.session.${session}`;

/** Most frames that wait in one session's queue, whatever the settings say. */
const mostInSessionQueue = 10_000;

/** A session's own queue goes by itself when nobody has declared or consumed it for so long. Durable for the same reason as a partition's. */
export function sessionQueueOptions(expiresMs: number) {
  return {
    durable: true,
    arguments: {
      'x-queue-type': 'classic',
      'x-expires': expiresMs,
      'x-max-length': mostInSessionQueue,
      'x-overflow': 'reject-publish',
    },
  };
}

/**
 * Durable, because RabbitMQ 4 deprecates shared queues that are not; the messages in it are transient. When it is
 * full it refuses what is new (senders repeat), because what waits already has its place in the order.
 */
export function partitionQueueOptions(type: QueueType, maxQueuedFrames: number) {
  return {
    durable: true,
    arguments: {
      'x-queue-type': type,
      'x-single-active-consumer': true,
      'x-max-length': maxQueuedFrames,
      'x-overflow': 'reject-publish',
    },
  };
}

/** Goes with the connection that declared it. */
export const holderQueueOptions = { exclusive: true, autoDelete: true, durable: false };

/** The address as amqplib wants it. A heartbeat that the address names itself wins. */
export function addressOf(url: string, heartbeatSeconds: number): URL {
  const address = URL.canParse(url) ? new URL(url) : undefined;
  if (!address || !['amqp:', 'amqps:'].includes(address.protocol) || !address.hostname) {
    // Without the value: it may hold a password.
    throw new Error('The URL of RabbitMQ must look like amqp://user:password@host:5672 (or amqps://…).');
  }
  if (!address.searchParams.has('heartbeat')) {
    address.searchParams.set('heartbeat', String(heartbeatSeconds));
  }
  return address;
}

/** The address for log lines: no password, no parameters. */
export function shownAddress(address: URL): string {
  const shown = new URL(address);
  shown.password = '';
  shown.search = '';
  return shown.href;
}

/** Doubles with every failure up to the most, less up to a half by `random` (0 to 1), so that crowds spread out. */
export function backOffMs(failures: number, minMs: number, maxMs: number, random: number): number {
  if (failures === 0) return 0;
  const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(failures - 1, 30));
  return ceiling * (1 - random / 2);
}

/** What went wrong, in words: Node leaves the message empty when it has tried several addresses of one host. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.message || ('code' in error ? String(error.code) : error.name);
}

/** What a person should look at first. */
export function whatToCheck(reason: string): string {
  if (/ACCESS.REFUSED/.test(reason)) return 'check the user and the password in the URL';
  if (/self.signed|unable to (get|verify)|certificate|altname|ssl|tls|alert/i.test(reason))
    return 'check the certificates on both sides: who signed them, for which host, and that a client certificate is given where RabbitMQ asks for one';
  if (/NOT.ALLOWED/.test(reason)) return 'check the virtual host at the end of the URL, and its permissions';
  if (/ENOTFOUND|EAI_AGAIN/.test(reason)) return 'check the host name in the URL';
  return 'check that RabbitMQ runs there, that host and port are right, and that no firewall is between';
}
