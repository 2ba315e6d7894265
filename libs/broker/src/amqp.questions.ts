/**
 * What is asked of RabbitMQ with the risk of a no: whether an exchange or a queue is there, and making a queue that may be there with other arguments. RabbitMQ closes the channel on which it says no: so
 * there is one for questions alone, and one question at a time, so that each no has one cause.
 */
import type { Channel } from 'amqplib';
import type { KeptChannel, Turn, Use } from './amqp.channel.js';
import { sessionQueueOptions } from './amqp.topology.js';
import type { Log } from './log.js';

export class Questions {
  #isKept = false;
  #turn: Turn | undefined;
  #wake: (() => void) | undefined;
  #last: Promise<unknown> = Promise.resolve();

  /** `keep` opens a channel, when it is first needed. */
  constructor(
    private readonly keep: (use: Use) => Promise<KeptChannel>,
    private readonly expiresMs: number,
    private readonly log: Log,
  ) {}

  /** Makes the queue when it is not there. Resolves with how many frames wait in it; undefined when `asker`, the turn for which this is done, is over. */
  declareSessionQueue(queue: string, asker: Turn): Promise<number | undefined> {
    const declared = async (channel: Channel) =>
      (await channel.assertQueue(queue, sessionQueueOptions(this.expiresMs))).messageCount;
    return this.#ask(declared, asker, 406, () => {
      this.log.warn(
        `RabbitMQ has the queue ${queue} with other arguments, and it is used as it is: is sessionQueueExpiresMs the same in all app servers?`,
      );
      return 0;
    });
  }

  /** Whether there is such an exchange; undefined when `asker` is over. */
  hasExchange(exchange: string, asker: Turn): Promise<boolean | undefined> {
    const checked = async (channel: Channel) => (await channel.checkExchange(exchange), true);
    return this.#ask(checked, asker, 404, () => false);
  }

  /** Whether there is such a queue; undefined when `asker` is over. */
  hasQueue(queue: string, asker: Turn): Promise<boolean | undefined> {
    const checked = async (channel: Channel) => (await channel.checkQueue(queue), true);
    return this.#ask(checked, asker, 404, () => false);
  }

  #ask<T>(
    question: (channel: Channel) => Promise<T>,
    asker: Turn,
    noCode: number,
    no: () => T,
  ): Promise<T | undefined> {
    const answer = this.#last.then(async () => {
      if (!this.#isKept) this.keep(this.#use).catch(() => {}); // it ends with the broker
      this.#isKept = true;
      while (!asker.over) {
        const turn = this.#turn;
        if (!turn) {
          await Promise.race([new Promise<void>((wake) => (this.#wake = wake)), asker.ended]);
          continue;
        }
        try {
          turn.abandoned = true; // should it end now, that is an answer, and no failure
          const answered = await question(turn.channel);
          turn.abandoned = false;
          return answered;
        } catch (error) {
          if ((error as { code?: unknown }).code === noCode) return no();
          await Promise.race([turn.ended, asker.ended]); // whatever else was the matter, the next channel may do better
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
