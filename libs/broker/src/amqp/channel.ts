/**
 * Channels that are kept open, for the links of the AMQP adapter. On a connection each `KeptChannel` has one
 * `ChannelSession` after the other, each with a fresh channel: its turn. A late ack or a late delivery of a
 * turn that is over does nothing. Only types of amqplib are used here.
 */
import { setMaxListeners } from 'node:events';
import { setImmediate as nextTurn, setTimeout as pause } from 'node:timers/promises';
import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import { reasonOf, sizeLimitIn } from './reasons.js';
import { keepTrying } from './retry.js';
import type { Delivery } from '../broker.js';
import type { IncidentLog } from '../incidents.js';

/** The use of a channel that is kept open. */
export interface Use {
  /** Declares and consumes on a fresh channel. */
  open(turn: ChannelSession): Promise<void>;
  /** From now on the party may be called. */
  begun(turn: ChannelSession): void;
  /** Comes once for every `begun`, but not when the channel is closed for good. */
  ended(reason: string): void;
  /**
   * A text when only an operator can change the cause of an error, else undefined. With a text, a channel
   * that was never open is given up.
   */
  fault?(error: unknown): string | undefined;
}

export interface KeptChannelSettings {
  readonly maxStalledBytes: number;
  readonly reconnectMinMs: number;
  readonly reconnectMaxMs: number;
  readonly closeTimeoutMs: number;
}

/**
 * The properties of a message: the queue for answers; how long it waits at most, in milliseconds; whether it
 * comes back when its queue is missing; the type and the turn of an echo.
 */
export interface PublishOptions {
  readonly replyTo?: string;
  readonly expiration?: number;
  readonly mandatory?: boolean;
  readonly type?: string;
  readonly correlationId?: string;
}

/** A channel that is opened again for the same use when it or its connection has gone. */
export class KeptChannel {
  readonly opened: Promise<void>;
  #open!: () => void;
  #refuse!: (error: Error) => void;
  #turn: ChannelSession | undefined;
  #wasOpen = false;
  readonly #closing = new AbortController();

  /** `name` is what log lines call it. */
  constructor(
    readonly name: string,
    private readonly use: Use,
    private readonly incidents: IncidentLog,
    private readonly settings: KeptChannelSettings,
  ) {
    this.opened = new Promise((resolve, reject) => {
      this.#open = resolve;
      this.#refuse = reject;
    });
  }

  publish(exchange: string, key: string, bytes: Uint8Array, options: PublishOptions): boolean {
    if (bytes.length > this.maxFrameBytes) return false;
    return this.#turn?.publish(exchange, key, bytes, this.settings.maxStalledBytes, options) ?? false;
  }

  /**
   * The most bytes that RabbitMQ takes in one message. It is known when RabbitMQ has refused a larger one.
   */
  get maxFrameBytes(): number {
    return this.#turn?.connection.maxFrameBytes ?? Infinity;
  }

  /** The current turn, if it is ready. */
  get turn(): ChannelSession | undefined {
    const turn = this.#turn;
    return turn?.ready && !turn.over ? turn : undefined;
  }

  /**
   * Ends the turn. The next one begins when RabbitMQ has closed this channel, so that frames stay in order.
   */
  abandonTurn(): void {
    const turn = this.#turn;
    if (!turn?.ready || turn.over) return;
    turn.abandoned = true;
    turn.end('the turn was abandoned');
  }

  /** Closing a channel makes RabbitMQ take all that was sent on it before. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#refuse(new Error('This broker was closed before it was connected.'));
    const turn = this.#turn;
    if (!turn || turn.connection.isMute) return;
    turn.end('the link was closed');
    const { closeTimeoutMs } = this.settings;
    const late = pause(closeTimeoutMs, true, { ref: false });
    if (await Promise.race([turn.ended, late])) turn.connection.isMute = true;
  }

  /** Has one turn after the other while the connection stands. Never rejects. */
  keepOn(connection: Connection): Promise<void> {
    const { reconnectMinMs: minMs, reconnectMaxMs: maxMs } = this.settings;
    const attempt = () => this.#haveTurn(connection);
    const failed = (reason: string) => {
      const limit = sizeLimitIn(reason);
      if (limit !== undefined) connection.maxFrameBytes = limit;
      this.incidents.failed(this.name, reason);
    };
    const signal = AbortSignal.any([connection.gone, this.#closing.signal]);
    return keepTrying({ attempt, failed, minMs, maxMs }, signal);
  }

  /** One channel from its beginning to its end. Returns why it failed, or nothing when this side ended it. */
  async #haveTurn(connection: Connection): Promise<string | undefined> {
    let turn: ChannelSession;
    try {
      turn = new ChannelSession(await connection.model.createChannel(), connection);
    } catch (error) {
      return this.#failure(error);
    }
    this.#turn = turn;
    if (this.#isClosed) turn.end('the link was closed');
    let begun = false;
    try {
      await this.use.open(turn);
      turn.ready = true;
      this.#wasOpen = true;
      this.incidents.over(this.name);
      this.#open();
      // The caller gets the link before its first callback.
      await nextTurn();
      if (!turn.over) {
        begun = true;
        this.use.begun(turn);
      }
    } catch (error) {
      turn.reason = this.#failure(error);
      turn.end(turn.reason);
    }
    await turn.ended;
    this.#turn = undefined;
    const { gone } = connection;
    const reason = gone.aborted ? String(gone.reason) : turn.reason;
    if (begun && !this.#isClosed) this.use.ended(reason);
    return turn.abandoned ? undefined : reason;
  }

  /**
   * The text of an error at the opening. One that only an operator can end rejects the caller that waits for
   * the link.
   */
  #failure(error: unknown): string {
    const fault = this.use.fault?.(error);
    if (fault !== undefined && !this.#wasOpen) {
      this.#refuse(new Error(fault));
      this.#closing.abort();
    }
    return fault ?? reasonOf(error);
  }

  get #isClosed(): boolean {
    return this.#closing.signal.aborted;
  }
}

/** The repository is durable, and not the queue. */
const TRANSIENT = { persistent: false };

/** A channel from its opening to its end. */
export class ChannelSession {
  readonly ended: Promise<void>;
  /** Declared and consuming: frames may be sent. */
  ready = false;
  over = false;
  abandoned = false;
  reason = 'the channel was closed';
  #ended!: () => void;
  #stalledBytes = 0;

  constructor(
    readonly channel: Channel,
    readonly connection: Connection,
  ) {
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

  /**
   * All deliveries of this turn are void from now on. `ended` resolves when RabbitMQ has closed the channel.
   */
  end(reason: string): void {
    if (this.over) return;
    this.over = true;
    this.reason = reason;
    // A channel that ended before anybody listened rejects this.
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
      return false; // The channel is closing, and its event `close` has not come yet.
    }
  }

  ack(message: ConsumeMessage): void {
    this.#acknowledge(message, false);
  }

  /** Of this delivery and all before it. */
  ackThrough(deliveryTag: number): void {
    this.#acknowledge({ fields: { deliveryTag } } as ConsumeMessage, true);
  }

  #acknowledge(message: ConsumeMessage, andAllBefore: boolean): void {
    if (this.over) return;
    try {
      this.channel.ack(message, andAllBefore);
    } catch {
      // The channel is closing. RabbitMQ delivers the frame again, as after any late ack.
    }
  }
}

/** The queue that the sender of a message names as its own. */
export function senderOf({ properties }: ConsumeMessage): string | undefined {
  const { replyTo } = properties as { replyTo?: unknown };
  return typeof replyTo === 'string' ? replyTo : undefined;
}

export class AmqpDelivery implements Delivery {
  #acknowledged = false;

  constructor(
    private readonly message: ConsumeMessage,
    private readonly turn: ChannelSession,
    readonly session: string | undefined,
  ) {}

  get bytes(): Uint8Array {
    return this.message.content;
  }

  get sender(): string | undefined {
    return senderOf(this.message);
  }

  /** RabbitMQ closes the channel at a second ack of one message. */
  ack(): void {
    if (this.#acknowledged) return;
    this.#acknowledged = true;
    this.turn.ack(this.message);
  }
}

/** One connection to RabbitMQ, until it is lost. */
export class Connection {
  readonly lost: Promise<string>;
  /** The most bytes that RabbitMQ takes in one message. Infinity while it is not known. */
  maxFrameBytes = Infinity;
  /** It did not answer the end of a channel in time. Nothing waits for it any more. */
  isMute = false;
  readonly #gone = new AbortController();

  constructor(
    readonly model: ChannelModel,
    readonly destroy: () => void,
  ) {
    let reason = 'the connection was closed';
    setMaxListeners(0, this.#gone.signal); // each channel has one
    // Without a listener for `error` the process would crash. `close` always follows.
    model.on('error', (error) => (reason = reasonOf(error)));
    this.lost = new Promise((resolve) => {
      model.once('close', (error) => {
        if (error) reason = reasonOf(error);
        this.#gone.abort(reason);
        resolve(reason);
        // amqplib only half-closes the socket. Without an answer it would keep this process alive for
        // minutes.
        setTimeout(destroy, 1_000).unref();
      });
    });
  }

  get gone(): AbortSignal {
    return this.#gone.signal;
  }
}
