/**
 * Sends the messages of one partition to its holders, in as few frames as the broker lets through. A message
 * that is too large, or cannot be encoded, counts as lost: its holder repeats its request, and others are
 * served.
 */
import type { Log, PartitionLink } from '#broker';
import {
  encodeFrames,
  encodeStoreFrame,
  FrameTooLargeError,
  intoFrames,
  type StoreMessage,
  type StorePart,
} from '#protocol';

/** Most sessions that are remembered as named in the log. */
const maxNamed = 100;

export class MessageSender {
  /** Sessions that are too large for the broker, and that the log has named. */
  private readonly named = new Set<string>();

  constructor(
    private readonly partition: number,
    private readonly log: Log,
  ) {}

  send(link: PartitionLink, queue: string, epoch: number, list: readonly StoreMessage[]): void {
    const { partition } = this;
    const { maxFrameBytes } = link;
    const encode = (parts: readonly StorePart[]) => encodeStoreFrame({ key: '', parts });
    const failed = (message: StoreMessage, error: Error) => {
      const isTooLarge = error instanceof FrameTooLargeError;
      if (isTooLarge && message.kind === 'grant')
        return void link.send(
          queue,
          encode([{ partition, epoch, messages: [this.refusal(message, error.message)] }]),
        );
      const what = isTooLarge ? `'${message.kind}': ` : '';
      this.log.error(`partition ${partition}: ${what}${error.message}; it is not sent`);
    };
    for (const frame of intoFrames([{ partition, epoch, messages: list }], maxFrameBytes)) {
      for (const bytes of encodeFrames(frame, encode, failed, maxFrameBytes)) link.send(queue, bytes);
    }
  }

  /**
   * What is sent in the place of a grant that is too large for the broker. The grant's token stays with its
   * holder until another one asks for the session. Then it comes back as one that the holder does not know
   * (rule 12).
   */
  private refusal(
    { session, request }: Extract<StoreMessage, { kind: 'grant' }>,
    detail: string,
  ): StoreMessage {
    if (!this.named.has(session)) {
      if (this.named.size >= maxNamed) this.named.clear();
      this.named.add(session);
      this.log.error(`session ${session} cannot be granted: ${detail}. Raise that limit, or store less`);
    }
    return { kind: 'refused', session, request, why: 'too-large', detail };
  }
}
