/**
 * A message of a change's size to a queue and back, by one process that only returns it: the least that
 * RabbitMQ takes.
 */
import { randomUUID } from 'node:crypto';
import { connect } from 'amqplib';
import { pack } from 'msgpackr';
import { startProcess } from '../../../scripts/processes/processes.js';
import {
  changedBy,
  durabilities,
  firstAttribute,
  type Client,
  type Contestant,
  versionOf,
} from '../contest.js';
import { connection } from './limit.js';

export const echo: Contestant = {
  what: `an AMQP echo by amqplib ${versionOf('amqplib')}`,
  durability: durabilities.nothing,
  lacks: 'no lock, and nothing is kept',
  loses: true,
  needs: ['amqp'],

  async start({ servers, name }) {
    const server = await startProcess({
      name: 'echo',
      script: 'dist/test/bench/contestants/echo-server.js',
      env: { AMQP_URL: servers.amqp, QUEUE: name },
      ready: /ready/,
    });
    return { store: server.pid, close: () => server.kill() };
  },

  async open({ servers, name, member }) {
    const link = await connect(servers.amqp, connection);
    const channel = await link.createChannel();
    const replyTo = `echo-${randomUUID()}`;
    const waiting = new Map<string, () => void>();
    let sent = 0;
    await channel.assertQueue(replyTo, { exclusive: true });
    await channel.consume(
      replyTo,
      (message) => {
        const correlationId = message!.properties.correlationId as string;
        waiting.get(correlationId)!();
        waiting.delete(correlationId);
      },
      { noAck: true },
    );
    const send = (): Promise<undefined> => {
      const correlationId = `${++sent}`;
      channel.sendToQueue(name, pack(changedBy(firstAttribute(), `server-${member}`)), {
        replyTo,
        correlationId,
      });
      return new Promise((resolve) => waiting.set(correlationId, () => resolve(undefined)));
    };
    return {
      read: send,
      change: send,
      create: send,
      count: async () => sent,
      close: () => link.close(),
    } satisfies Client;
  },
};
