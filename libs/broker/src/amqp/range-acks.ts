/**
 * Acknowledges the frames of a store's own queue by ranges. One message to RabbitMQ does for all frames that
 * are settled in one turn of the event loop, and leaves in the same write as the answers.
 */
import type { ConsumeMessage } from 'amqplib';
import { senderOf, type ChannelSession } from './channel.js';
import type { Delivery } from '../broker.js';

/** Of the one consumer of a channel, whose deliveries count from 1 without a gap. */
export class RangeAcks {
  /** Settled deliveries behind one that is not. Prefetch bounds them. */
  readonly #settled = new Set<number>();
  #through = 0;
  #isDue = false;

  constructor(private readonly turn: ChannelSession) {}

  settle(tag: number): void {
    if (tag <= this.#through) return;
    this.#settled.add(tag);
    const before = this.#through;
    while (this.#settled.delete(this.#through + 1)) this.#through++;
    if (this.#isDue || this.#through === before) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      this.turn.ackThrough(this.#through);
    });
  }
}

export class StoreDelivery implements Delivery {
  readonly session = undefined;

  constructor(
    private readonly message: ConsumeMessage,
    private readonly acks: RangeAcks,
  ) {}

  get bytes(): Uint8Array {
    return this.message.content;
  }

  get sender(): string | undefined {
    return senderOf(this.message);
  }

  ack(): void {
    this.acks.settle(this.message.fields.deliveryTag);
  }
}
