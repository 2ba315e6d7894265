/** What a deployment has at RabbitMQ: the names and arguments of its exchange and queues. */
export type QueueType = 'classic' | 'quorum';

/** The exchange has the bare prefix for its name. */
export const partitionQueueName = (prefix: string, partition: number): string =>
  `${prefix}.store.${partition}`;
/** The key of the binding leads to the store's own queue. No partition's number is like it. */
export const storeQueueKey = (id: string): string => `own.${id}`;
export const storeQueueName = (prefix: string, key: string): string => `${prefix}.store.${key}`;
export const holderQueueName = (prefix: string, holder: string, connection: number): string =>
  `${prefix}.holder.${holder}.${connection}`;

export const sessionQueueName = (prefix: string, session: string): string => `${prefix}.session.${session}`;

/** Most frames that wait in one session's queue, whatever the settings say. */
const maxInSessionQueue = 10_000;

/**
 * RabbitMQ removes a session's own queue that nobody has declared or consumed for so long. It is durable for
 * the same reason as a partition's.
 */
export function sessionQueueOptions(expiresMs: number) {
  return {
    durable: true,
    arguments: {
      'x-queue-type': 'classic',
      'x-expires': expiresMs,
      'x-max-length': maxInSessionQueue,
      'x-overflow': 'reject-publish',
    },
  };
}

/**
 * Durable, because RabbitMQ 4 deprecates shared queues that are not. Its messages are transient. A full queue
 * refuses new messages, which their senders repeat. The waiting ones keep their place in the order.
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

/** It ends with the connection that declared it, and so does what waits in it. */
export function storeQueueOptions(maxQueuedFrames: number) {
  return {
    exclusive: true,
    autoDelete: true,
    durable: false,
    arguments: { 'x-max-length': maxQueuedFrames, 'x-overflow': 'reject-publish' },
  };
}

/** It ends with the connection that declared it. */
export const holderQueueOptions = { exclusive: true, autoDelete: true, durable: false };
