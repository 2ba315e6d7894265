/**
 * A test's own side of RabbitMQ, past the library and its adapter. It sees the frames of holders to the
 * store, and puts frames into the queues of either side.
 */
import { connect, type Channel, type ChannelModel, type ConsumeMessage } from 'amqplib';
import { EventEmitter, on } from 'node:events';
import {
  decodeHolderFrame,
  decodeStoreFrame,
  encodeHolderFrame,
  type HolderFrame,
  type StoreFrame,
} from '#protocol';

/** The messages of a frame, of all its parts. */
export function messagesOf<M>(frame: {
  readonly parts: readonly { readonly messages: readonly M[] }[];
}): M[] {
  return frame.parts.flatMap(({ messages }) => messages);
}

export class BrokerSide {
  private constructor(
    private readonly connection: ChannelModel,
    private readonly channel: Channel,
    private readonly prefix: string,
    private readonly partitions: readonly number[],
  ) {}

  static async open(url: string, prefix: string, partitions: number): Promise<BrokerSide> {
    const connection = await connect(url, { noDelay: true });
    const channel = await connection.createChannel();
    return new BrokerSide(connection, channel, prefix, [...Array(partitions).keys()]);
  }

  /** Copies of the frames that holders send from now on, in the order of each holder. */
  async listen(): Promise<AsyncGenerator<HolderFrame, never>> {
    const key = await this.keyOfStore();
    const { queue } = await this.channel.assertQueue('', { exclusive: true });
    for (const partition of this.partitions) await this.channel.bindQueue(queue, this.prefix, `${partition}`);
    if (key !== '') await this.channel.bindQueue(queue, this.prefix, key);
    return this.consume(queue, decodeHolderFrame);
  }

  /** Leads to the own queue of the store that owns the first partition. */
  private async keyOfStore(): Promise<string> {
    const [partition = 0] = this.partitions;
    const { queue } = await this.channel.assertQueue('', { exclusive: true });
    const answers = await this.consume(queue, decodeStoreFrame);
    const parts = [{ partition, epoch: 0, messages: [{ kind: 'renew', n: 1 } as const] }];
    this.toStore(partition, encodeHolderFrame({ holder: queue, queue, parts }), queue);
    return (await answers.next()).value.key;
  }

  /** The frames that a store sends to the holder at `queue`. */
  async listenAs(queue: string): Promise<AsyncGenerator<StoreFrame, never>> {
    await this.channel.assertQueue(queue, { exclusive: true });
    return this.consume(queue, decodeStoreFrame);
  }

  private async consume<F>(
    queue: string,
    decode: (bytes: Uint8Array) => F,
  ): Promise<AsyncGenerator<F, never>> {
    const heard = new EventEmitter();
    const messages = on(heard, 'message');
    await this.channel.consume(queue, (message) => heard.emit('message', message), { noAck: true });
    return (async function* () {
      for (;;) {
        const [message] = (await messages.next()).value as [ConsumeMessage];
        yield decode(message.content);
      }
    })();
  }

  /** Puts bytes into the queue of a partition, as if from `sender`. */
  toStore(partition: number, bytes: Uint8Array, sender: string): void {
    this.channel.publish(this.prefix, `${partition}`, Buffer.from(bytes), { replyTo: sender });
  }

  toHolder(queue: string, bytes: Uint8Array): void {
    this.channel.sendToQueue(queue, Buffer.from(bytes));
  }

  close(): Promise<void> {
    return this.connection.close();
  }
}
