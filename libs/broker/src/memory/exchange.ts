/**
 * The queues that the parties of one process share, like RabbitMQ for the AMQP adapter. A partition's queue
 * has a list of servers, of which the first has the turn. A store's own queue has one server, and a holder's
 * queue one holder. Frames are handed
 * over by the clock's `soon`, never inside a call of the sender or the receiver, as on a network. Every queue
 * is bounded, and a full one refuses new frames.
 */
import type { Delivery } from '../broker.js';
import { systemClock, type Clock } from '../clock.js';

export interface MemoryExchangeSettings {
  readonly clock?: Clock;
  /** Most frames that wait in one queue. More are refused, so that what waits already keeps its place. */
  readonly maxQueuedFrames?: number;
  /** Most bytes of one frame: larger ones are not sent. */
  readonly maxFrameBytes?: number;
}

/** The queues that the parties of one process share. */
export class MemoryExchange {
  readonly clock: Clock;
  readonly maxFrameBytes: number;
  readonly #maxQueuedFrames: number;
  readonly #partitions = new Map<number, PartitionQueue>();
  readonly #sessions = new Map<string, PartitionQueue>();
  readonly #stores = new Map<string, PartitionQueue>();
  readonly #holders = new Map<string, HolderQueue>();
  #namesGiven = 0;

  constructor(settings: MemoryExchangeSettings = {}) {
    this.clock = settings.clock ?? systemClock;
    this.maxFrameBytes = settings.maxFrameBytes ?? Infinity;
    this.#maxQueuedFrames = settings.maxQueuedFrames ?? 100_000;
  }

  partition(partition: number): PartitionQueue {
    let queue = this.#partitions.get(partition);
    if (!queue) {
      queue = new PartitionQueue(this.clock, this.#maxQueuedFrames);
      this.#partitions.set(partition, queue);
    }
    return queue;
  }

  /** Made when it is first needed. */
  session(session: string): PartitionQueue {
    let queue = this.#sessions.get(session);
    if (!queue) {
      queue = new PartitionQueue(this.clock, this.#maxQueuedFrames, session);
      this.#sessions.set(session, queue);
    }
    return queue;
  }

  hasSession(session: string): boolean {
    return this.#sessions.has(session);
  }

  /** Idle queues are removed at once. */
  dropIfIdle(session: string): void {
    if (this.#sessions.get(session)?.isIdle) this.#sessions.delete(session);
  }

  /** Removes a session's queue with all that waits there, as an operator of RabbitMQ may do. */
  deleteSession(session: string): void {
    const turns = this.#sessions.get(session)?.turns ?? [];
    this.#sessions.delete(session);
    for (const turn of turns) this.clock.soon(() => turn.deleted());
  }

  /** A store's own queue, and the key that leads there. */
  openStoreQueue(turn: Turn): { readonly key: string; readonly queue: PartitionQueue } {
    const key = `store.${++this.#namesGiven}`;
    const queue = new PartitionQueue(this.clock, this.#maxQueuedFrames);
    this.#stores.set(key, queue);
    queue.enter(turn);
    return { key, queue };
  }

  /** What waits there is lost. */
  closeStoreQueue(key: string): void {
    this.#stores.delete(key);
  }

  store(key: string): PartitionQueue | undefined {
    return this.#stores.get(key);
  }

  openHolderQueue(holder: string, receive: (bytes: Uint8Array) => void): HolderQueue {
    const name = `holder.${holder}.${++this.#namesGiven}`;
    const queue = new HolderQueue(name, this.clock, this.#maxQueuedFrames, receive);
    this.#holders.set(name, queue);
    return queue;
  }

  closeHolderQueue(queue: HolderQueue): void {
    this.#holders.delete(queue.name);
    queue.close();
  }

  hasHolderQueue(queue: string): boolean {
    return this.#holders.has(queue);
  }

  /** A frame to a queue that is gone is dropped. */
  sendToHolder(queue: string, bytes: Uint8Array): boolean {
    return this.#holders.get(queue)?.push(bytes) ?? true;
  }
}

/** One stay in the list of the servers of a partition. */
export interface Turn {
  readonly prefetch: number;
  readonly unacknowledged: Set<MemoryDelivery>;
  /** The queue is gone, with what was not delivered. */
  deleted(): void;
  receive(delivery: Delivery): void;
}

/** A message that a server sent to itself. */
interface Echo {
  readonly turn: Turn;
  /** It has come back. */
  readonly back: () => void;
}

/**
 * The frames of one partition, or those that wait for one session, and the list of its servers. The first one
 * has the turn.
 */
export class PartitionQueue {
  readonly #ready = new Fifo();
  readonly #line: Turn[] = [];
  #deliverySoon = false;

  constructor(
    private readonly clock: Clock,
    private readonly maxFrames: number,
    private readonly session?: string,
  ) {}

  /** How many frames are not delivered. */
  get length(): number {
    return this.#ready.length;
  }

  get turns(): readonly Turn[] {
    return this.#line;
  }

  get isIdle(): boolean {
    return this.#line.length === 0 && this.#ready.length === 0;
  }

  push(item: Uint8Array | Echo): boolean {
    if (this.#ready.length >= this.maxFrames) return false;
    this.#ready.push(item);
    this.deliverSoon();
    return true;
  }

  enter(turn: Turn): void {
    this.#line.push(turn);
    this.deliverSoon();
  }

  /** The turn receives no more frames, and keeps those that it has. */
  stop(turn: Turn): void {
    const at = this.#line.indexOf(turn);
    if (at >= 0) this.#line.splice(at, 1);
  }

  leave(turn: Turn): void {
    this.stop(turn);
    // A set keeps the order of delivery, and waiting frames are younger than delivered ones.
    this.#ready.unshift([...turn.unacknowledged].map((delivery) => delivery.bytes));
    this.deliverSoon();
  }

  deliverSoon(): void {
    if (this.#deliverySoon || this.#line.length === 0 || this.#ready.length === 0) return;
    this.#deliverySoon = true;
    this.clock.soon(() => {
      this.#deliverySoon = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    const turn = this.#line[0];
    if (!turn) return;
    // The receiver of a frame may abandon the turn at once.
    while (this.#line[0] === turn && turn.unacknowledged.size < turn.prefetch) {
      const item = this.#ready.shift();
      if (!item) return;
      if (!(item instanceof Uint8Array)) {
        if (item.turn === turn) item.back();
        continue;
      }
      const delivery = new MemoryDelivery(item, this.session, turn, this);
      turn.unacknowledged.add(delivery);
      turn.receive(delivery);
    }
  }
}

class MemoryDelivery implements Delivery {
  readonly sender = undefined;

  constructor(
    readonly bytes: Uint8Array,
    readonly session: string | undefined,
    private readonly turn: Turn,
    private readonly queue: PartitionQueue,
  ) {}

  ack(): void {
    if (this.turn.unacknowledged.delete(this)) this.queue.deliverSoon();
  }
}

/** A holder's own queue. Its frames need no acknowledgement, and it ends with its connection. */
export class HolderQueue {
  open = true;
  #waiting: Uint8Array[] = [];

  constructor(
    readonly name: string,
    private readonly clock: Clock,
    private readonly maxFrames: number,
    private readonly receive: (bytes: Uint8Array) => void,
  ) {}

  push(bytes: Uint8Array): boolean {
    if (this.#waiting.length >= this.maxFrames) return false;
    this.#waiting.push(bytes);
    if (this.#waiting.length === 1) this.clock.soon(() => this.#deliver());
    return true;
  }

  close(): void {
    this.open = false;
    this.#waiting = [];
  }

  #deliver(): void {
    const frames = this.#waiting;
    this.#waiting = [];
    for (const bytes of frames) {
      if (!this.open) return;
      this.receive(bytes);
    }
  }
}

/** A queue whose `shift` stays cheap at any length. */
class Fifo {
  #items: (Uint8Array | Echo | undefined)[] = [];
  #head = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: Uint8Array | Echo): void {
    this.#items.push(item);
  }

  unshift(frames: Uint8Array[]): void {
    if (frames.length === 0) return;
    this.#items = [...frames, ...this.#items.slice(this.#head)];
    this.#head = 0;
  }

  shift(): Uint8Array | Echo | undefined {
    const item = this.#items[this.#head];
    if (!item) return undefined;
    this.#items[this.#head++] = undefined;
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
