/**
 * The queues of sessions at the simulated broker (layout `per-session`, rule 21): frames wait there until whoever serves the partition opens the queue; what is unacknowledged goes
 * back to its place when that one loses its turn.
 */
import { sessionPrefetch } from '#broker';

interface Waiting {
  readonly bytes: Uint8Array;
  readonly sender: string;
  readonly expiresAt: number;
}

/** One consumer at a time: the turn, and how a frame reaches it. */
export interface Consumer {
  readonly turn: number;
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

  /** How many frames wait in the queue, which is made when it is not there. */
  declare(session: string): number {
    let queue = this.queues.get(session);
    if (!queue) this.queues.set(session, (queue = new Queue()));
    this.expire(queue);
    return queue.ready.length;
  }

  /** A frame for a queue that is not there is lost. */
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

  /** An idle queue goes: its time is over sooner or later. */
  close(session: string, turn: number): void {
    const queue = this.queues.get(session);
    if (queue?.consumer?.turn !== turn) return;
    queue.consumer = undefined;
    if (queue.ready.length + queue.unacked.size === 0) this.queues.delete(session);
  }

  /** The turn is over. */
  lose(turn: number): void {
    for (const [session, queue] of this.queues) {
      const back = [...queue.unacked]
        .filter(([, consumer]) => consumer.turn === turn)
        .map(([frame]) => frame);
      for (const frame of back) queue.unacked.delete(frame);
      queue.ready.unshift(...back);
      if (queue.consumer?.turn === turn) queue.consumer = undefined;
      this.deliver(session);
    }
  }

  /** The broker comes back without the frames that it had. */
  forgetFrames(): void {
    for (const queue of this.queues.values()) queue.ready = [];
  }

  /** An operator deletes the queue, with what waits there. */
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

  /** What has waited too long goes when it has come to the head. */
  private expire({ ready }: Queue): void {
    while (ready.length > 0 && ready[0]!.expiresAt <= this.now()) ready.shift();
  }
}
