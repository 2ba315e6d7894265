/**
 * The adapter of the port `Broker` over RabbitMQ (AMQP 0-9-1), and the only file that knows amqplib. One connection
 * carries everything; each link has a channel of its own, so that all it sends stays in order and its turn can end
 * alone. amqplib reopens connections but not channels, and gives up in some cases: so the adapter has its
 * own two loops, one that keeps a connection and one per link that keeps a channel on it.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { connect, type ChannelModel, type ConsumeMessage, type Message } from 'amqplib';
import { AmqpDelivery, Connection, KeptChannel, type Turn, type Use } from './amqp.channel.js';
import {
  addressOf,
  backOffMs,
  holderQueueName,
  holderQueueOptions,
  partitionQueueName,
  partitionQueueOptions,
  reasonOf,
  sessionQueueName,
  shownAddress,
  whatToCheck,
  type QueueType,
} from './amqp.topology.js';
import { Questions } from './amqp.questions.js';
import {
  sessionPrefetch,
  type Broker,
  type HolderClient,
  type HolderLink,
  type PartitionLink,
  type PartitionServer,
  type ServeOptions,
} from './broker.js';
import type { Log } from './log.js';
import type { AmqpTls } from './amqp.tls.js';
import { Outage } from './outage.js';

export interface AmqpSettings {
  /** amqp://user:password@host:port/virtual-host, or amqps://… */
  readonly url: string;
  readonly log: Log;
  /** With amqps:// alone. */
  readonly tls?: AmqpTls;
  /** What RabbitMQ's lists of connections and consumers call this process. */
  readonly name?: string;
  /** What the names of exchange and queues begin with: one per deployment. */
  readonly prefix?: string;
  /** Quorum queues are for clusters of RabbitMQ: about three times slower. */
  readonly queueType?: QueueType;
  /** Most frames that wait in one partition's queue. A fixed property of queues that exist already. */
  readonly maxQueuedFrames?: number;
  /** A session's own queue goes when it was not used for so long: far longer than any wait. A fixed property of queues that exist already. */
  readonly sessionQueueExpiresMs?: number;
  /** Most bytes that wait in one link for a slow connection. More are refused. */
  readonly maxStalledBytes?: number;
  /** A silent connection counts as lost after two to three times this. */
  readonly heartbeatSeconds?: number;
  readonly connectTimeoutMs?: number;
  readonly reconnectMinMs?: number;
  readonly reconnectMaxMs?: number;
  /** How long `close` waits for RabbitMQ to take what was sent. */
  readonly closeTimeoutMs?: number;
}

const DEFAULTS = {
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

/** How often a store looks after the binding of its queues, in milliseconds. */
const bindEveryMs = 2_000;

export class AmqpBroker implements Broker {
  readonly counters = { framesSent: 0, framesReceived: 0, framesDropped: 0, reconnects: 0 };
  readonly #settings: typeof DEFAULTS & AmqpSettings;
  readonly #address: URL;
  readonly #outage: Outage;
  readonly #questions: Questions;
  readonly #links = new Set<KeptChannel>();
  readonly #closing = new AbortController();
  #connection: Connection | undefined;
  #keeping: Promise<void> | undefined;
  #closed: Promise<void> | undefined;
  #connections = 0;
  #holderQueues = 0;

  constructor(settings: AmqpSettings) {
    this.#settings = { ...DEFAULTS, ...settings };
    this.#address = addressOf(settings.url, this.#settings.heartbeatSeconds);
    const { sessionQueueExpiresMs, log } = this.#settings;
    const keep = (use: Use) => this.#keep('questions', use);
    this.#questions = new Questions(keep, sessionQueueExpiresMs, log);
    this.#outage = new Outage(settings.log, `RabbitMQ at ${shownAddress(this.#address)}`);
  }

  async serve(partition: number, options: ServeOptions, server: PartitionServer): Promise<PartitionLink> {
    const { prefix, queueType, maxQueuedFrames, name: consumerTag } = this.#settings;
    const queue = partitionQueueName(prefix, partition);
    const exchange = prefix;

    // What comes before the turn has begun: a delivery can overtake the answer to `consume`.
    let early: ConsumeMessage[] | undefined;
    const receive = (turn: Turn, message: ConsumeMessage, session?: string) => {
      if (turn.over) return;
      this.counters.framesReceived++;
      server.received(new AmqpDelivery(message, turn, session));
    };
    // Sessions whose queues are open, or about to be; each opening is an object of its own.
    const opened = new Map<string, object>();
    const open = async (session: string, opening: object, turn: Turn) => {
      const name = sessionQueueName(prefix, session);
      const isThere = await this.#questions.hasQueue(name, turn);
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
        channel.on('return', ({ fields }: Message) => {
          if (!turn.over) server.unreachable(fields.routingKey);
        });
        opened.clear();
        early = [];
        const consumed = (message: ConsumeMessage | null) => {
          if (turn.over) return;
          if (!message) turn.end('RabbitMQ cancelled the consumer: was the queue deleted?');
          else if (early) early.push(message);
          else receive(turn, message);
        };
        await channel.consume(queue, consumed, { ...(consumerTag && { consumerTag }) });
        await channel.prefetch(sessionPrefetch); // of the consumers that come after this one
        // Who deletes the exchange takes its bindings with it, and nobody is told.
        const bind = async () => {
          await channel.assertExchange(exchange, 'direct', { durable: true });
          await channel.bindQueue(queue, exchange, String(partition));
        };
        const binding = setInterval(() => void bind().catch(() => {}), bindEveryMs);
        void turn.ended.then(() => clearInterval(binding));
      },
      begun(turn) {
        const messages = early ?? [];
        early = undefined;
        for (const message of messages) receive(turn, message);
      },
      ended: (reason) => server.lost(reason),
    });
    return {
      send: (to, bytes) => this.#count(link.publish('', to, bytes, { mandatory: true })),
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

  async join(holder: string, client: HolderClient): Promise<HolderLink> {
    const { prefix } = this.#settings;
    const exchange = prefix;
    let queue = '';
    const link = await this.#keep(`holder ${holder}`, {
      open: async (turn) => {
        const { channel } = turn;
        queue = holderQueueName(prefix, holder, ++this.#holderQueues);
        // A store makes the exchange: who only finds it there needs no right to make one.
        const isThere = await this.#questions.hasExchange(exchange, turn);
        if (!isThere) await channel.assertExchange(exchange, 'direct', { durable: true });
        await channel.assertQueue(queue, holderQueueOptions);
        const receive = (message: ConsumeMessage | null) => {
          if (turn.over) return;
          if (!message) return turn.end('RabbitMQ cancelled the consumer: was the queue deleted?');
          this.counters.framesReceived++;
          client.received(message.content);
        };
        await channel.consume(queue, receive, { noAck: true, exclusive: true });
      },
      begun: () => client.connected(queue),
      ended: (reason) => client.disconnected(reason),
    });
    return {
      send: (partition, bytes) =>
        this.#count(link.publish(exchange, String(partition), bytes, { replyTo: queue })),
      ask: async (session, bytes, { most, ttlMs }) => {
        const { turn } = link;
        if (!turn) return 'lost';
        const name = sessionQueueName(prefix, session);
        const waiting = await this.#questions.declareSessionQueue(name, turn);
        if (waiting === undefined || turn !== link.turn) return 'lost';
        if (waiting >= most) return 'full';
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
    const connection = this.#connection;
    connection?.model.close().catch(() => {});
    await Promise.race([this.#keeping, pause(this.#settings.closeTimeoutMs, undefined, { ref: false })]);
    connection?.destroy();
    await this.#keeping;
  }

  async #keep(what: string, use: Use): Promise<KeptChannel> {
    if (this.#closing.signal.aborted) throw new Error('This broker is closed.');
    const outage = new Outage(this.#settings.log, `The channel of ${what}`);
    const link = new KeptChannel(use, outage, this.#settings);
    this.#links.add(link);
    if (this.#connection) void link.keepOn(this.#connection);
    this.#keeping ??= this.#stayConnected();
    await link.opened;
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

  async #stayConnected(): Promise<void> {
    const { signal } = this.#closing;
    const { reconnectMinMs, reconnectMaxMs } = this.#settings;
    for (let failures = 0; !signal.aborted;) {
      const since = performance.now();
      const reason = await this.#connectUntilLost();
      if (signal.aborted) return;
      this.#outage.warn(`cannot be used (${reason}). Trying on; ${whatToCheck(reason)}.`);
      failures = performance.now() - since > reconnectMaxMs ? 1 : failures + 1;
      const delayMs = backOffMs(failures, reconnectMinMs, reconnectMaxMs, Math.random());
      await pause(delayMs, undefined, { signal }).catch(() => {});
    }
  }

  /** One connection from its beginning to its end, or the failure to begin. Returns why it is no more. */
  async #connectUntilLost(): Promise<string> {
    // The signal is the one way to get rid of a socket inside amqplib whose other end does not answer.
    const socket = new AbortController();
    const destroy = () => socket.abort();
    this.#closing.signal.addEventListener('abort', destroy);
    const options = {
      noDelay: true,
      timeout: this.#settings.connectTimeoutMs,
      signal: socket.signal,
      clientProperties: { connection_name: this.#settings.name ?? this.#settings.prefix },
      ...this.#settings.tls,
    };
    let model: ChannelModel;
    try {
      model = await connect(this.#address.href, options);
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
    return reason;
  }
}
