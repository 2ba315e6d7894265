/**
 * What comes of the frames that a partition's machine receives, gathered until the driver takes it with `flush`: records to write, messages to
 * send, deliveries to acknowledge (rule 7).
 */
import type { StoreMessage } from './messages.js';
import type { SessionRecord } from './record.js';
import type { SessionState } from './session-state.js';

/** What must follow, in this order: persist `writes`, send `messages`, close queues and open queues (one may be closed and opened again in one go), acknowledge `settled`. */
export interface StoreOutputs {
  readonly writes: readonly RecordWrite[];
  /** Messages by the holder's queue that they go to, in order. */
  readonly messages: ReadonlyMap<string, readonly StoreMessage[]>;
  /** Sessions whose own queues are not to be consumed any more, and those that are from now on (rule 21). */
  readonly close: readonly string[];
  readonly open: readonly string[];
  /** Deliveries (numbers given to `receive`) of which everything is settled. */
  readonly settled: readonly number[];
}

/** A session's record as it is now, and which of its attributes changed since the last flush. Without a record the session is removed. */
export interface RecordWrite {
  readonly session: string;
  readonly record: SessionRecord | undefined;
  readonly set: readonly string[];
  readonly delete: readonly string[];
  /** The session's mark in the expiry index moves. */
  readonly expires?: { readonly was: number | undefined; readonly is: number | undefined };
}

export class PendingOutputs {
  constructor(private readonly ttlMs: number) {}

  private changed = new Set<SessionState>();
  private messages = new Map<string, StoreMessage[]>();
  private settled: number[] = [];
  private opened: string[] = [];
  private closed: string[] = [];
  /** How many things of a delivery are not settled yet. */
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

  /** One more thing of the delivery waits. */
  hold(delivery: number): void {
    this.open.set(delivery, (this.open.get(delivery) ?? 0) + 1);
  }

  /** One thing of the delivery is settled; after the last one it is acknowledged. */
  settle(delivery: number): void {
    const left = this.open.get(delivery)! - 1;
    if (left > 0) {
      this.open.set(delivery, left);
    } else {
      this.open.delete(delivery);
      this.settled.push(delivery);
    }
  }

  take(): StoreOutputs {
    const { messages, settled, opened: open, closed: close } = this;
    const writes = [...this.changed].map((session) => session.takeWrite(this.ttlMs));
    this.changed = new Set();
    this.messages = new Map();
    this.settled = [];
    this.opened = [];
    this.closed = [];
    return { writes, messages, open, close, settled };
  }
}
