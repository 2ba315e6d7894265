/**
 * The adapter of the port `Broker` over RabbitMQ (AMQP 0-9-1). One connection carries everything. Each link
 * has a channel of its own, so that its frames stay in order and its turn can end alone. amqplib reopens no
 * channels, and gives up connections in some cases. So the adapter has two loops: one keeps a connection, and
 * one for each link keeps a channel on it.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { ChannelModel, ConsumeMessage, Message } from 'amqplib';
import { AmqpDelivery, Connection, KeptChannel, type ChannelSession, type Use } from './channel.js';
import { RangeAcks, StoreDelivery } from './range-acks.js';
import { connectToOneOf } from './connect.js';
import { Probes } from './probes.js';
import { reasonOf, setUpFault, whatToCheck } from './reasons.js';
import { keepTrying } from './retry.js';
import { addressesOf, amqpDefaults, shownAddress, type AmqpSettings } from './settings.js';
import {
  holderQueueName,
  holderQueueOptions,
  partitionQueueName,
  partitionQueueOptions,
  storeQueueKey,
  storeQueueName,
  storeQueueOptions,
  sessionQueueName,
} from './topology.js';
import {
  sessionPrefetch,
  type Broker,
  type HolderClient,
  type HolderLink,
  type PartitionLink,
  type PartitionServer,
  type ServeOptions,
  type StoreLink,
  type StoreServer,
} from '../broker.js';
import { systemClock } from '../clock.js';
import { IncidentLog } from '../incidents.js';
import { OutageLog } from './outage-log.js';

/** How often a store binds its queues again, in milliseconds. */
const bindEveryMs = 2_000;

/** The type of a message that is no frame but an echo. */
const echoType = 'echo';

export class AmqpBroker implements Broker {
  readonly counters = { framesSent: 0, framesReceived: 0, framesDropped: 0, reconnects: 0 };
  readonly #settings: typeof amqpDefaults & AmqpSettings;
  readonly #addresses: readonly URL[];
  readonly #outage: OutageLog;
  readonly #incidents: IncidentLog;
  readonly #probes: Probes;
  readonly #links = new Set<KeptChannel>();
  readonly #closing = new AbortController();
  #connection: Connection | undefined;
  #keeping: Promise<void> | undefined;
  #closed: Promise<void> | undefined;
  #connections = 0;
  #holderQueues = 0;

  constructor(settings: AmqpSettings) {
    this.#settings = { ...amqpDefaults, ...settings };
    this.#addresses = addressesOf(settings.url, this.#settings.heartbeatSeconds);
    const { sessionQueueExpiresMs, log } = this.#settings;
    const keep = (use: Use) => this.#keep('questions', use);
    this.#probes = new Probes(keep, sessionQueueExpiresMs, log);
    this.#outage = new OutageLog(log, `RabbitMQ at ${this.#addresses.map(shownAddress).join(', ')}`);
    const channels = (count: number) => (count === 1 ? 'The channel' : `${count} channels`);
    this.#incidents = new IncidentLog(systemClock, {
      failed: (names, count, reason) =>
        log.warn(
          `${channels(count)} of ${names} ended (${reason}). Opening ${count === 1 ? 'it' : 'them'} anew.`,
        ),
      over: (names, count, left, seconds) =>
        log.log(
          `${channels(count)} of ${names} ${count === 1 ? 'is' : 'are'} back after ${seconds} s` +
            (left > 0 ? `, ${left} not yet.` : '.'),
        ),
    });
  }

  async serve(partition: number, options: ServeOptions, server: PartitionServer): Promise<PartitionLink> {
    const { prefix, queueType, maxQueuedFrames, name: consumerTag } = this.#settings;
    const queue = partitionQueueName(prefix, partition);
    const exchange = prefix;

    // By this name a turn knows its own echoes. Echoes of other turns are dropped.
    let echoes = '';
    const receiveEcho = (turn: ChannelSession, message: ConsumeMessage) => {
      const { content, properties } = message;
      turn.ack(message);
      if (properties.correlationId === echoes) server.echoed(Number(content.toString()));
    };
    // Deliveries before the turn has begun, since they can overtake the answer to `consume`.
    let early: ConsumeMessage[] | undefined;
    const receive = (turn: ChannelSession, message: ConsumeMessage, session?: string) => {
      if (turn.over) return;
      if (session === undefined && message.properties.type === echoType) return receiveEcho(turn, message);
      this.counters.framesReceived++;
      server.received(new AmqpDelivery(message, turn, session));
    };
    // Sessions whose queues are open, or about to be. Each opening is an object of its own.
    const opened = new Map<string, object>();
    const open = async (session: string, opening: object, turn: ChannelSession) => {
      const name = sessionQueueName(prefix, session);
      const isThere = await this.#probes.hasQueue(name, turn);
      const isWanted = () => !turn.over && opened.get(session) === opening;
      if (!isWanted()) return;
      const gone = () => {
        if (!isWanted()) return;
        opened.delete(session);
        server.queueGone(session);
      };
      if (!isThere) return gone();
      const consumed = (message: ConsumeMessage | null) =>
        message ? receive(turn, message, session) : gone();
      await turn.channel.consume(name, consumed, { consumerTag: name });
    };
    const link = await this.#keep(`partition ${partition}`, {
      async open(turn) {
        const { channel } = turn;
        await channel.assertExchange(exchange, 'direct', { durable: true });
        await channel.assertQueue(queue, partitionQueueOptions(queueType, maxQueuedFrames));
        await channel.bindQueue(queue, exchange, String(partition));
        await channel.prefetch(options.prefetch);
        opened.clear();
        echoes = randomUUID();
        early = [];
        const consumed = (message: ConsumeMessage | null) => {
          if (turn.over) return;
          if (!message) turn.end('RabbitMQ cancelled the consumer: was the queue deleted?');
          else if (early) early.push(message);
          else receive(turn, message);
        };
        await channel.consume(queue, consumed, { ...(consumerTag && { consumerTag }) });
        await channel.prefetch(sessionPrefetch); // of the consumers that are opened after this one
        keepBound(turn, queue, exchange, String(partition));
      },
      begun(turn) {
        const messages = early ?? [];
        early = undefined;
        for (const message of messages) receive(turn, message);
      },
      ended: (reason) => server.lost(reason),
      fault: (error) => setUpFault(error, prefix, this.#links.size + 1),
    });
    return {
      echo: (mark) => {
        const options = { type: echoType, correlationId: echoes };
        return link.publish('', queue, Buffer.from(String(mark)), options);
      },
      openQueue: (session) => {
        const { turn } = link;
        if (!turn || opened.has(session)) return;
        const opening = {};
        opened.set(session, opening);
        open(session, opening, turn).catch((error: unknown) => turn.end(reasonOf(error)));
      },
      closeQueue: (session) => {
        if (!opened.delete(session)) return;
        link.turn?.channel.cancel(sessionQueueName(prefix, session)).catch(() => {});
      },
      abandon: () => link.abandonTurn(),
      close: () => this.#drop(link),
    };
  }

  async openStore({ prefetch }: ServeOptions, server: StoreServer): Promise<StoreLink> {
    const { prefix, maxQueuedFrames } = this.#settings;
    let key = '';
    const queue = () => storeQueueName(prefix, key);
    const receive = (turn: ChannelSession, acks: RangeAcks, message: ConsumeMessage) => {
      const { deliveryTag: tag } = message.fields;
      const { type, correlationId } = message.properties as { type?: unknown; correlationId?: unknown };
      if (type !== echoType) {
        this.counters.framesReceived++;
        return server.received(new StoreDelivery(message, acks));
      }
      acks.settle(tag);
      const [partition, mark] = message.content.toString().split(' ').map(Number);
      if (correlationId === key) server.echoed(partition!, mark!);
    };
    // Deliveries before the queue is said to be open, since they can overtake the answer to `consume`.
    let early: (() => void)[] | undefined;
    const link = await this.#keep('the store', {
      async open(turn) {
        const { channel } = turn;
        key = storeQueueKey(randomUUID());
        await channel.assertExchange(prefix, 'direct', { durable: true });
        await channel.assertQueue(queue(), storeQueueOptions(maxQueuedFrames));
        await channel.bindQueue(queue(), prefix, key);
        await channel.prefetch(prefetch);
        channel.on('return', ({ fields }: Message) => {
          if (!turn.over) server.unreachable(fields.routingKey);
        });
        const acks = new RangeAcks(turn);
        early = [];
        const consumed = (message: ConsumeMessage | null) => {
          if (turn.over) return;
          if (!message) turn.end('RabbitMQ cancelled the consumer: was the queue deleted?');
          else if (early) early.push(() => receive(turn, acks, message));
          else receive(turn, acks, message);
        };
        await channel.consume(queue(), consumed, { exclusive: true });
        keepBound(turn, queue(), prefix, key);
      },
      begun() {
        server.opened(key);
        const before = early ?? [];
        early = undefined;
        for (const one of before) one();
      },
      ended: (reason) => server.closed(reason),
      fault: (error) => setUpFault(error, prefix, this.#links.size + 1),
    });
    return {
      get maxFrameBytes() {
        return link.maxFrameBytes;
      },
      send: (to, bytes) => this.#count(link.publish('', to, bytes, { mandatory: true })),
      echo: (partition, mark) => {
        const options = { type: echoType, correlationId: key };
        return link.publish('', queue(), Buffer.from(`${partition} ${mark}`), options);
      },
      close: () => this.#drop(link),
    };
  }

  async join(holder: string, client: HolderClient): Promise<HolderLink> {
    const { prefix } = this.#settings;
    const exchange = prefix;
    let queue = '';
    const link = await this.#keep(`holder ${holder}`, {
      open: async (turn) => {
        const { channel } = turn;
        queue = holderQueueName(prefix, holder, ++this.#holderQueues);
        // A store makes the exchange. An app server that finds it needs no right to make one.
        const isThere = await this.#probes.hasExchange(exchange, turn);
        if (!isThere) await channel.assertExchange(exchange, 'direct', { durable: true });
        await channel.assertQueue(queue, holderQueueOptions);
        const receive = (message: ConsumeMessage | null) => {
          if (turn.over) return;
          if (!message) return turn.end('RabbitMQ cancelled the consumer: was the queue deleted?');
          this.counters.framesReceived++;
          client.received(message.content);
        };
        channel.on('return', ({ fields }: Message) => {
          if (!turn.over) client.returned(fields.routingKey);
        });
        await channel.consume(queue, receive, { noAck: true, exclusive: true });
      },
      begun: () => client.connected(queue),
      ended: (reason) => client.disconnected(reason),
    });
    return {
      get maxFrameBytes() {
        return link.maxFrameBytes;
      },
      send: (partition, bytes) =>
        this.#count(link.publish(exchange, String(partition), bytes, { replyTo: queue })),
      sendToStore: (key, bytes) =>
        this.#count(link.publish(exchange, key, bytes, { replyTo: queue, mandatory: true })),
      enqueue: async (session, bytes, { maxWaiting, ttlMs }) => {
        const { turn } = link;
        if (!turn) return 'lost';
        const name = sessionQueueName(prefix, session);
        const waiting = await this.#probes.declareSessionQueue(name, turn);
        if (waiting === undefined || turn !== link.turn) return 'lost';
        if (waiting >= maxWaiting) return 'full';
        const options = { replyTo: queue, expiration: ttlMs };
        return this.#count(link.publish('', name, bytes, options)) ? 'queued' : 'lost';
      },
      close: () => this.#drop(link),
    };
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#links].map((link) => this.#drop(link)));
    this.#incidents.close();
    const connection = this.#connection;
    connection?.model.close().catch(() => {});
    const limitMs = connection?.isMute ? 0 : this.#settings.closeTimeoutMs;
    await Promise.race([this.#keeping, pause(limitMs, undefined, { ref: false })]);
    connection?.destroy();
    await this.#keeping;
  }

  async #keep(what: string, use: Use): Promise<KeptChannel> {
    if (this.#closing.signal.aborted) throw new Error('This broker is closed.');
    const link = new KeptChannel(what, use, this.#incidents, this.#settings);
    this.#links.add(link);
    if (this.#connection) void link.keepOn(this.#connection);
    this.#keeping ??= this.#stayConnected();
    try {
      await link.opened;
    } catch (error) {
      this.#links.delete(link);
      throw error;
    }
    return link;
  }

  async #drop(link: KeptChannel): Promise<void> {
    await link.close();
    this.#links.delete(link);
  }

  #count(sent: boolean): boolean {
    if (sent) this.counters.framesSent++;
    else this.counters.framesDropped++;
    return sent;
  }

  #stayConnected(): Promise<void> {
    const { reconnectMinMs: minMs, reconnectMaxMs: maxMs } = this.#settings;
    const attempt = () => this.#connectUntilLost();
    const failed = (reason: string) =>
      this.#outage.warn(`cannot be used ${reason}. Trying on.`, whatToCheck(reason));
    return keepTrying({ attempt, failed, minMs, maxMs }, this.#closing.signal);
  }

  /** One connection from its beginning to its end, or the failure to begin. Returns why it ended. */
  async #connectUntilLost(): Promise<string> {
    // Only the signal destroys a socket inside amqplib whose other end does not answer.
    const socket = new AbortController();
    const destroy = () => socket.abort();
    this.#closing.signal.addEventListener('abort', destroy);
    const { name = this.#settings.prefix } = this.#settings;
    let model: ChannelModel;
    try {
      const settings = { ...this.#settings, name };
      model = await connectToOneOf(this.#addresses, settings, socket.signal);
    } catch (error) {
      return reasonOf(error);
    } finally {
      this.#closing.signal.removeEventListener('abort', destroy);
    }
    const connection = new Connection(model, destroy);
    model.on('blocked', (reason) =>
      this.#settings.log.warn(`RabbitMQ takes no more frames for now: ${reason}`),
    );
    model.on('unblocked', () => this.#settings.log.log('RabbitMQ takes frames again.'));
    this.#connection = connection;
    this.#outage.over();
    if (this.#connections++ > 0) this.counters.reconnects++;
    for (const link of this.#links) void link.keepOn(connection);
    const reason = await connection.lost;
    this.#connection = undefined;
    return `(${reason}); ${whatToCheck(reason)}`;
  }
}

/** A deleted exchange takes its bindings with it, and RabbitMQ tells nobody. */
function keepBound(turn: ChannelSession, queue: string, exchange: string, key: string): void {
  const { channel } = turn;
  const bind = async () => {
    await channel.assertExchange(exchange, 'direct', { durable: true });
    await channel.bindQueue(queue, exchange, key);
  };
  const binding = setInterval(() => void bind().catch(() => {}), bindEveryMs);
  void turn.ended.then(() => clearInterval(binding));
}
