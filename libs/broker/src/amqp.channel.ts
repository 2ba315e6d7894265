/**
 * Channels that are kept open: what a link of the AMQP adapter is made of. A connection stands until it is lost; on
 * it, each `KeptChannel` has one `Turn` after the other, each with a fresh channel; what belongs to a turn that is over
 * (a late ack, a late delivery) does nothing. amqplib appears here by its types only.
 */
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import { backOffMs, reasonOf } from './amqp.topology.js';
import type { Delivery } from './broker.js';
import type { Outage } from './outage.js';

/** What a channel is kept for. */
export interface Use {
  /** Declares and consumes on a fresh channel. */
  open(turn: Turn): Promise<void>;
  /** From now on the party may be called. */
  begun(turn: Turn): void;
  /** Comes once for every `begun`, except at the end of all. */
  ended(reason: string): void;
}

export interface KeptChannelSettings {
  readonly maxStalledBytes: number;
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
  readonly closeTimeoutMs: number;
}

/** What goes with a frame: where answers reach its sender; whether it comes back when nobody has the queue it is for; how long it waits at most, in milliseconds. */
export interface PublishOptions {
  readonly replyTo?: string;
  readonly expiration?: number;
  readonly mandatory?: boolean;
}

/** A channel that is opened anew, for the same use, whenever it or its connection has gone. */
export class KeptChannel {
  readonly opened: Promise<void>;
  #open!: () => void;
  #refuse!: (error: Error) => void;
  #turn: Turn | undefined;
  #closed = false;

  constructor(
    private readonly use: Use,
    private readonly outage: Outage,
    private readonly settings: KeptChannelSettings,
  ) {
    this.opened = new Promise((resolve, reject) => {
      this.#open = resolve;
      this.#refuse = reject;
    });
  }

  publish(exchange: string, key: string, bytes: Uint8Array, options: PublishOptions): boolean {
    return this.#turn?.publish(exchange, key, bytes, this.settings.maxStalledBytes, options) ?? false;
  }

  /** The turn that stands, if one does. */
  get turn(): Turn | undefined {
    const turn = this.#turn;
    return turn?.ready && !turn.over ? turn : undefined;
  }

  /** Ends the turn; the next one begins when RabbitMQ has closed this channel, so that the order of frames holds. */
  abandonTurn(): void {
    const turn = this.#turn;
    if (!turn?.ready || turn.over) return;
    turn.abandoned = true;
    turn.end('the turn was abandoned');
  }

  /** Closing a channel makes RabbitMQ take all that was sent on it before. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#refuse(new Error('This broker was closed before it was connected.'));
    const turn = this.#turn;
    if (!turn) return;
    turn.end('the link was closed');
    await Promise.race([turn.ended, pause(this.settings.closeTimeoutMs, undefined, { ref: false })]);
  }

  /** Has one turn after the other for as long as the connection stands. Never rejects. */
  async keepOn(connection: Connection): Promise<void> {
    const { gone } = connection;
    const { reconnectMinMs, reconnectMaxMs } = this.settings;
    for (let failures = 0; !gone.aborted && !this.#closed;) {
      const since = performance.now();
      const failure = await this.#haveTurn(connection);
      if (gone.aborted || this.#closed) return;
      if (failure === undefined) {
        failures = 0;
        continue;
      }
      this.outage.warn(`ended (${failure}). Opening it anew.`);
      failures = performance.now() - since > reconnectMaxMs ? 1 : failures + 1;
      const delayMs = backOffMs(failures, reconnectMinMs, reconnectMaxMs, Math.random());
      await pause(delayMs, undefined, { signal: gone }).catch(() => {});
    }
  }

  /** One channel from its beginning to its end. Returns why it failed, or nothing when this side wanted it so. */
  async #haveTurn({ model, gone }: Connection): Promise<string | undefined> {
    let turn: Turn;
    try {
      turn = new Turn(await model.createChannel());
    } catch (error) {
      return reasonOf(error);
    }
    this.#turn = turn;
    if (this.#closed) turn.end('the link was closed');
    let begun = false;
    try {
      await this.use.open(turn);
      turn.ready = true;
      this.outage.over();
      this.#open();
      // Whoever waits for the link gets hold of it before the first call comes.
      await nextTurn();
      if (!turn.over) {
        begun = true;
        this.use.begun(turn);
      }
    } catch (error) {
      turn.end(reasonOf(error));
    }
    await turn.ended;
    this.#turn = undefined;
    const reason = gone.aborted ? String(gone.reason) : turn.reason;
    if (begun && !this.#closed) this.use.ended(reason);
    return turn.abandoned ? undefined : reason;
  }
}

/** Durability is the repository's business; a queue only carries. */
const TRANSIENT = { persistent: false };

/** One life of a channel. */
export class Turn {
  readonly ended: Promise<void>;
  /** Declared and consuming: frames may be sent. */
  ready = false;
  over = false;
  abandoned = false;
  reason = 'the channel was closed';
  #ended!: () => void;
  #stalledBytes = 0;

  constructor(readonly channel: Channel) {
    this.ended = new Promise((resolve) => (this.#ended = resolve));
    channel.on('drain', () => (this.#stalledBytes = 0));
    channel.on('error', (error) => {
      if (!this.over) this.reason = reasonOf(error);
    });
    channel.once('close', () => {
      this.over = true;
      this.#ended();
    });
  }

  /** All of this turn's deliveries are void from this moment on; `ended` follows when RabbitMQ agrees. */
  end(reason: string): void {
    if (this.over) return;
    this.over = true;
    this.reason = reason;
    // Refused by a channel whose end was told before anybody listened.
    this.channel.close().catch(() => this.#ended());
  }

  publish(
    exchange: string,
    key: string,
    bytes: Uint8Array,
    maxStalledBytes: number,
    options: PublishOptions,
  ): boolean {
    if (!this.ready || this.over || this.#stalledBytes > maxStalledBytes) return false;
    try {
      const content = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const flows = this.channel.publish(exchange, key, content, { ...TRANSIENT, ...options });
      if (!flows) this.#stalledBytes += bytes.byteLength;
      return true;
    } catch {
      return false; // The channel is closing, and `close` has not come yet.
    }
  }

  ack(message: ConsumeMessage): void {
    if (this.over) return;
    try {
      this.channel.ack(message);
    } catch {
      // The channel is closing: RabbitMQ delivers the frame again, which is what an ack too late means.
    }
  }
}

export class AmqpDelivery implements Delivery {
  #acknowledged = false;

  constructor(
    private readonly message: ConsumeMessage,
    private readonly turn: Turn,
    readonly session: string | undefined,
  ) {}

  get bytes(): Uint8Array {
    return this.message.content;
  }

  get sender(): string | undefined {
    const { replyTo } = this.message.properties as { replyTo?: unknown };
    return typeof replyTo === 'string' ? replyTo : undefined;
  }

  /** A second ack of one message would make RabbitMQ close the channel. */
  ack(): void {
    if (this.#acknowledged) return;
    this.#acknowledged = true;
    this.turn.ack(this.message);
  }
}

/** A connection that stands, until it does not. */
export class Connection {
  readonly lost: Promise<string>;
  readonly #gone = new AbortController();

  constructor(
    readonly model: ChannelModel,
    readonly destroy: () => void,
  ) {
    let reason = 'the connection was closed';
    // Without a listener for `error`, the process would crash. The end itself is always told by `close`.
    model.on('error', (error) => (reason = reasonOf(error)));
    this.lost = new Promise((resolve) => {
      model.once('close', (error) => {
        if (error) reason = reasonOf(error);
        this.#gone.abort(reason);
        resolve(reason);
        // amqplib only half-closes the socket. An end that is gone would keep it, and this process, for minutes.
        setTimeout(destroy, 1_000).unref();
      });
    });
  }

  get gone(): AbortSignal {
    return this.#gone.signal;
  }
}
