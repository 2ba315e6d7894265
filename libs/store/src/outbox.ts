/**
 * The frames and acknowledgements of a store that leave at the end of a turn of the event loop. What several
 * partitions have for one holder leaves in one frame. A message that is too large, or cannot be encoded,
 * counts as lost: its holder repeats its request, and others are served.
 */
import type { Clock, Delivery, Log, StoreLink } from '#broker';
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

export class Outbox {
  /** Leads to the store's own queue. It is empty while there is none (rule 22). */
  key = '';
  private link: StoreLink | undefined;
  /** By the queue of a holder. What the partitions answer in one turn bounds it. */
  private readonly parts = new Map<string, StorePart[]>();
  private settled: Pick<Delivery, 'ack'>[] = [];
  private isDue = false;
  /** Sessions that are too large for the broker, and that the log has named. */
  private readonly named = new Set<string>();

  constructor(
    private readonly clock: Clock,
    private readonly log: Log,
  ) {}

  /** Frames leave by this link. */
  attach(link: StoreLink): void {
    this.link = link;
  }

  send(queue: string, part: StorePart): void {
    const parts = this.parts.get(queue);
    if (parts) parts.push(part);
    else this.parts.set(queue, [part]);
    this.flushSoon();
  }

  /** The delivery is acknowledged after what was sent before. */
  settle(delivery: Pick<Delivery, 'ack'>): void {
    this.settled.push(delivery);
    this.flushSoon();
  }

  flush(): void {
    const { settled } = this;
    for (const [queue, parts] of this.parts) this.sendTo(queue, parts);
    this.parts.clear();
    this.settled = [];
    for (const delivery of settled) delivery.ack();
  }

  private flushSoon(): void {
    if (this.isDue) return;
    this.isDue = true;
    this.clock.soon(() => {
      this.isDue = false;
      this.flush();
    });
  }

  private sendTo(queue: string, all: readonly StorePart[]): void {
    const { link, key } = this;
    if (!link) return;
    const { maxFrameBytes } = link;
    const encode = (parts: readonly StorePart[]) => encodeStoreFrame({ key, parts });
    const failed = (message: StoreMessage, error: Error, part: StorePart) => {
      const isTooLarge = error instanceof FrameTooLargeError;
      if (isTooLarge && message.kind === 'grant') {
        const messages = [this.refusal(message, error.message)];
        return void link.send(queue, encode([{ ...part, messages }]));
      }
      const what = isTooLarge ? `'${message.kind}': ` : '';
      this.log.error(`partition ${part.partition}: ${what}${error.message}; it is not sent`);
    };
    for (const parts of intoFrames(all, maxFrameBytes)) {
      for (const bytes of encodeFrames(parts, encode, failed, maxFrameBytes)) link.send(queue, bytes);
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
