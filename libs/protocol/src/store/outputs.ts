/**
 * The outputs of a partition's machine: records to write, messages to send and deliveries to acknowledge
 * (rule 7). They collect here until the driver takes them with `flush`.
 */
import type { StoreMessage } from '../wire/messages.js';
import type { RecordWrite } from './record.js';
import type { SessionState } from './session-state.js';

/**
 * The driver handles them in this order. It persists `writes`, sends `messages`, closes queues, opens queues,
 * and acknowledges `settled`. One flush may close a queue and open it again.
 */
export interface StoreOutputs {
  readonly writes: readonly RecordWrite[];
  /** Messages in order, by the queue of their holder. */
  readonly messages: ReadonlyMap<string, readonly StoreMessage[]>;
  /** Queues of sessions that the driver stops to consume, and those that it starts to consume (rule 21). */
  readonly close: readonly string[];
  readonly open: readonly string[];
  /** The numbers, as given to `receive`, of deliveries that are settled in full. */
  readonly settled: readonly number[];
  /** An echo that the driver sends through the partition's queue. It bears this number (rule 10). */
  readonly echo?: number;
}

export class PendingOutputs {
  constructor(private readonly ttlMs: number) {}

  private readonly changed = new Set<SessionState>();
  private messages = new Map<string, StoreMessage[]>();
  private settled: number[] = [];
  private opened: string[] = [];
  private closed: string[] = [];
  /** For each delivery, how many of its parts are not settled yet. */
  private readonly open = new Map<number, number>();

  /** The session's record must be written. */
  write(session: SessionState): void {
    this.changed.add(session);
  }

  send(queue: string, message: StoreMessage): void {
    const messages = this.messages.get(queue);
    if (messages) messages.push(message);
    else this.messages.set(queue, [message]);
  }

  openQueue(session: string): void {
    this.opened.push(session);
  }

  closeQueue(session: string): void {
    this.closed.push(session);
  }

  /** One more part of the delivery waits. */
  hold(delivery: number): void {
    this.open.set(delivery, (this.open.get(delivery) ?? 0) + 1);
  }

  /** One part of the delivery is settled. After the last one the delivery is acknowledged. */
  settle(delivery: number): void {
    const left = this.open.get(delivery)! - 1;
    if (left > 0) {
      this.open.set(delivery, left);
    } else {
      this.open.delete(delivery);
      this.settled.push(delivery);
    }
  }

  /** For tests of its bounds: the outputs of the next flush, and the deliveries with open parts. */
  memory() {
    const { changed, messages, settled, open } = this;
    return { pending: changed.size + messages.size + settled.length, open: open.size };
  }

  take(): StoreOutputs {
    const { messages, settled, opened: open, closed: close } = this;
    const writes: RecordWrite[] = [];
    for (const session of this.changed) writes.push(session.takeWrite(this.ttlMs));
    this.changed.clear();
    this.messages = new Map();
    this.settled = [];
    this.opened = [];
    this.closed = [];
    return { writes, messages, open, close, settled };
  }
}
