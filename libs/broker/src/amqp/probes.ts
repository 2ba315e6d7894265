/**
 * Questions to RabbitMQ whose answer may be no: whether an exchange or a queue is there, and a declaration of
 * a queue that may have other arguments. RabbitMQ says no by closing the channel. So questions have a channel
 * of their own, one at a time, and each no has one cause.
 */
import type { Channel } from 'amqplib';
import type { KeptChannel, ChannelSession, Use } from './channel.js';
import { sessionQueueOptions } from './topology.js';
import type { Log } from '../log.js';

export class Probes {
  #isKept = false;
  #turn: ChannelSession | undefined;
  #wake: (() => void) | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** `keep` opens the channel when it is first needed. */
  constructor(
    private readonly keep: (use: Use) => Promise<KeptChannel>,
    private readonly expiresMs: number,
    private readonly log: Log,
  ) {}

  /**
   * Makes the queue when it is missing. Resolves with the number of frames in it, or undefined when the turn
   * `asker` is over.
   */
  declareSessionQueue(queue: string, asker: ChannelSession): Promise<number | undefined> {
    const declared = async (channel: Channel) =>
      (await channel.assertQueue(queue, sessionQueueOptions(this.expiresMs))).messageCount;
    return this.#ask(declared, asker, 406, () => {
      this.log.warn(
        `RabbitMQ has the queue ${queue} with other arguments, and it is used as it is: is ` +
          'sessionQueueExpiresMs the same in all app servers?',
      );
      return 0;
    });
  }

  /** Whether there is such an exchange; undefined when `asker` is over. */
  hasExchange(exchange: string, asker: ChannelSession): Promise<boolean | undefined> {
    const checked = async (channel: Channel) => (await channel.checkExchange(exchange), true);
    return this.#ask(checked, asker, 404, () => false);
  }

  /** Whether there is such a queue; undefined when `asker` is over. */
  hasQueue(queue: string, asker: ChannelSession): Promise<boolean | undefined> {
    const checked = async (channel: Channel) => (await channel.checkQueue(queue), true);
    return this.#ask(checked, asker, 404, () => false);
  }

  #ask<T>(
    question: (channel: Channel) => Promise<T>,
    asker: ChannelSession,
    noCode: number,
    no: () => T,
  ): Promise<T | undefined> {
    const answer = this.#last.then(async () => {
      if (!this.#isKept) this.keep(this.#use).catch(() => {}); // it rejects when the broker is closed
      this.#isKept = true;
      while (!asker.over) {
        const turn = this.#turn;
        if (!turn) {
          await Promise.race([new Promise<void>((wake) => (this.#wake = wake)), asker.ended]);
          continue;
        }
        try {
          turn.abandoned = true; // its end would be an answer, not a failure
          const answered = await question(turn.channel);
          turn.abandoned = false;
          return answered;
        } catch (error) {
          if ((error as { code?: unknown }).code === noCode) return no();
          // Any other error may not come again on the next channel.
          await Promise.race([turn.ended, asker.ended]);
        }
      }
      return undefined;
    });
    this.#last = answer.catch(() => {});
    return answer;
  }

  readonly #use: Use = {
    open: async () => {},
    begun: (turn) => {
      this.#turn = turn;
      this.#wake?.();
      void turn.ended.then(() => (this.#turn = undefined));
    },
    ended: () => {},
  };
}
