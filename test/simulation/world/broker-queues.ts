/**
 * Rule 21: the queues of sessions at the simulated broker (layout `per-session`). Frames wait there until the
 * owner of the partition opens the queue. Unacknowledged frames return to their place when the owner loses
 * the partition.
 */
import { sessionPrefetch } from '#broker';

interface Waiting {
  readonly bytes: Uint8Array;
  readonly sender: string;
  readonly expiresAt: number;
}

/** The one consumer: its ownership of the partition, and how a frame reaches it. */
export interface Consumer {
  readonly ownership: number;
  deliver(session: string, frame: Waiting, settled: () => void): void;
  gone(session: string): void;
}

class Queue {
  ready: Waiting[] = [];
  consumer: Consumer | undefined;
  /** In the order of delivery. */
  readonly unacked = new Map<Waiting, Consumer>();
}

export class SessionQueues {
  /** How many of the next frames are lost. */
  losing = 0;
  private readonly queues = new Map<string, Queue>();

  constructor(private readonly now: () => number) {}

  /** Makes the queue if there is none. Returns how many frames wait in it. */
  declare(session: string): number {
    let queue = this.queues.get(session);
    if (!queue) this.queues.set(session, (queue = new Queue()));
    this.expire(queue);
    return queue.ready.length;
  }

  /** A frame for an absent queue is lost. */
  push(session: string, frame: Waiting): void {
    if (this.losing > 0) return void this.losing--;
    const queue = this.queues.get(session);
    queue?.ready.push({ ...frame });
    this.deliver(session);
  }

  open(session: string, consumer: Consumer): void {
    const queue = this.queues.get(session);
    if (!queue) return consumer.gone(session);
    queue.consumer = consumer;
    this.deliver(session);
  }

  /** An idle queue is removed, as by its expiry. */
  close(session: string, ownership: number): void {
    const queue = this.queues.get(session);
    if (queue?.consumer?.ownership !== ownership) return;
    queue.consumer = undefined;
    if (queue.ready.length + queue.unacked.size === 0) this.queues.delete(session);
  }

  /** The ownership has ended. */
  lose(ownership: number): void {
    for (const [session, queue] of this.queues) {
      const back = [...queue.unacked]
        .filter(([, consumer]) => consumer.ownership === ownership)
        .map(([frame]) => frame);
      for (const frame of back) queue.unacked.delete(frame);
      queue.ready.unshift(...back);
      if (queue.consumer?.ownership === ownership) queue.consumer = undefined;
      this.deliver(session);
    }
  }

  /** The broker comes back without its frames. */
  forgetFrames(): void {
    for (const queue of this.queues.values()) queue.ready = [];
  }

  /** An operator deletes the queue with its frames. */
  delete(session: string): void {
    const queue = this.queues.get(session);
    this.queues.delete(session);
    queue?.consumer?.gone(session);
  }

  private deliver(session: string): void {
    const queue = this.queues.get(session);
    if (!queue) return;
    this.expire(queue);
    while (queue.consumer && queue.ready.length > 0 && queue.unacked.size < sessionPrefetch) {
      const frame = queue.ready.shift()!;
      queue.unacked.set(frame, queue.consumer);
      queue.consumer.deliver(session, frame, () => {
        queue.unacked.delete(frame);
        this.deliver(session);
      });
    }
  }

  /** Frames that waited too long are removed at the head. */
  private expire({ ready }: Queue): void {
    while (ready.length > 0 && ready[0]!.expiresAt <= this.now()) ready.shift();
  }
}
