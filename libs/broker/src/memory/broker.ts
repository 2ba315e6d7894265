/**
 * The adapter of the port `Broker` inside one process: for the embedded mode, where holders and store live
 * together, and for tests. Each `MemoryBroker` is one party's connection to a `MemoryExchange`. Several of
 * them behave like several processes at one RabbitMQ: they take turns at a partition, lose unacknowledged
 * frames to the next party, and can be cut off.
 */
import {
  sessionPrefetch,
  type Enqueued,
  type EnqueueOptions,
  type Broker,
  type Delivery,
  type HolderClient,
  type HolderLink,
  type PartitionLink,
  type PartitionServer,
  type ServeOptions,
  type StoreLink,
  type StoreServer,
} from '../broker.js';
import type { HolderQueue, MemoryExchange, PartitionQueue, Turn } from './exchange.js';

/** One party's connection to a `MemoryExchange`. */
export class MemoryBroker implements Broker {
  readonly counters = { framesSent: 0, framesReceived: 0, framesDropped: 0, reconnects: 0 };
  readonly exchange: MemoryExchange;
  readonly #links = new Set<MemoryLink>();
  #state: 'connected' | 'cut' | 'closed' = 'connected';
  #cancelReconnect: (() => void) | undefined;

  constructor(exchange: MemoryExchange) {
    this.exchange = exchange;
  }

  get connected(): boolean {
    return this.#state === 'connected';
  }

  async serve(partition: number, options: ServeOptions, server: PartitionServer): Promise<PartitionLink> {
    return this.#add(new MemoryPartitionLink(this, partition, options.prefetch, server));
  }

  async openStore({ prefetch }: ServeOptions, server: StoreServer): Promise<StoreLink> {
    return this.#add(new MemoryStoreLink(this, prefetch, server));
  }

  async join(holder: string, client: HolderClient): Promise<HolderLink> {
    return this.#add(new MemoryHolderLink(this, holder, client));
  }

  async close(): Promise<void> {
    this.#state = 'closed';
    this.#cancelReconnect?.();
    await Promise.all([...this.#links].map((link) => link.close()));
  }

  /** Drops the connection, as a network would. It is back after `outageMs`. */
  cut(outageMs = 0): void {
    if (this.#state === 'closed') return;
    this.#state = 'cut';
    for (const link of this.#links) link.end('the connection was cut');
    this.#cancelReconnect?.();
    this.#cancelReconnect = this.exchange.clock.after(outageMs, () => {
      this.#state = 'connected';
      this.counters.reconnects++;
      for (const link of this.#links) link.begin();
    });
  }

  /** Counts a frame, and hands on whether it was sent. */
  count(sent: boolean): boolean {
    if (sent) this.counters.framesSent++;
    else this.counters.framesDropped++;
    return sent;
  }

  forget(link: MemoryLink): void {
    this.#links.delete(link);
  }

  async #add<L extends MemoryLink>(link: L): Promise<L> {
    if (this.#state === 'closed') throw new Error('This broker is closed.');
    this.#links.add(link);
    link.begin();
    await link.opened;
    return link;
  }
}

/** What both kinds of link share: a turn begins with a connection and ends with it. */
abstract class MemoryLink {
  readonly opened: Promise<void>;
  protected closed = false;
  #opened!: () => void;
  #refused!: (error: Error) => void;
  #inTurn = false;
  #tellingEnd = false;

  constructor(protected readonly broker: MemoryBroker) {
    this.opened = new Promise((resolve, reject) => {
      this.#opened = resolve;
      this.#refused = reject;
    });
  }

  /** Takes its place in the exchange, if it has none and the connection stands. */
  begin(): void {
    if (this.closed || this.#inTurn || this.#tellingEnd || !this.broker.connected) return;
    this.#inTurn = true;
    this.enter();
    this.#opened();
  }

  /** Gives up its place, tells the party in a later turn of the event loop, and then begins again. */
  end(reason: string): void {
    if (!this.#inTurn) return;
    this.#inTurn = false;
    this.leave();
    this.#tellingEnd = true;
    this.broker.exchange.clock.soon(() => {
      if (this.closed) return;
      this.ended(reason);
      this.#tellingEnd = false;
      this.begin();
    });
  }

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    this.broker.forget(this);
    if (this.#inTurn) this.leave();
    this.#inTurn = false;
    this.#refused(new Error('This broker was closed before it was connected.'));
  }

  get maxFrameBytes(): number {
    return this.broker.exchange.maxFrameBytes;
  }

  protected canSend(bytes: number = 0): boolean {
    return this.#inTurn && this.broker.connected && bytes <= this.maxFrameBytes;
  }

  protected abstract enter(): void;
  protected abstract leave(): void;
  protected abstract ended(reason: string): void;
}

class MemoryPartitionLink extends MemoryLink implements PartitionLink {
  readonly #queue: PartitionQueue;
  #turn: Turn | undefined;
  /** Queues of sessions from which something was delivered in this turn, open or not. */
  readonly #sessions = new Map<string, { readonly queue: PartitionQueue; readonly turn: Turn }>();

  constructor(
    broker: MemoryBroker,
    partition: number,
    private readonly prefetch: number,
    private readonly server: PartitionServer,
  ) {
    super(broker);
    this.#queue = broker.exchange.partition(partition);
  }

  echo(mark: number): boolean {
    const turn = this.#turn;
    const back = () => this.server.echoed(mark);
    return this.canSend() && turn !== undefined && this.#queue.push({ turn, back });
  }

  openQueue(session: string): void {
    if (!this.canSend()) return;
    const { exchange } = this.broker;
    if (!exchange.hasSession(session)) {
      const turn = this.#turn;
      exchange.clock.soon(() => {
        if (turn === this.#turn && this.canSend()) this.server.queueGone(session);
      });
      return;
    }
    const known = this.#sessions.get(session);
    const queue = exchange.session(session);
    if (known?.queue === queue && queue.turns.includes(known.turn)) return;
    const turn = known?.queue === queue ? known.turn : this.#newTurn(sessionPrefetch, session);
    this.#sessions.set(session, { queue, turn });
    queue.enter(turn);
  }

  closeQueue(session: string): void {
    const known = this.#sessions.get(session);
    known?.queue.stop(known.turn);
    if (known?.turn.unacknowledged.size === 0) this.#sessions.delete(session);
    this.broker.exchange.dropIfIdle(session);
  }

  abandon(): void {
    this.end('the turn was abandoned');
  }

  protected enter(): void {
    this.#turn = this.#newTurn(this.prefetch);
    this.#queue.enter(this.#turn);
  }

  protected leave(): void {
    if (this.#turn) this.#queue.leave(this.#turn);
    for (const { queue, turn } of this.#sessions.values()) queue.leave(turn);
    this.#sessions.clear();
  }

  #newTurn(prefetch: number, session?: string): Turn {
    const receive = (delivery: Delivery) => {
      this.broker.counters.framesReceived++;
      this.server.received(delivery);
    };
    const deleted = () => {
      if (session !== undefined) this.server.queueGone(session);
    };
    return { prefetch, receive, deleted, unacknowledged: new Set() };
  }

  protected ended(reason: string): void {
    this.server.lost(reason);
  }
}

class MemoryStoreLink extends MemoryLink implements StoreLink {
  #open: { readonly key: string; readonly queue: PartitionQueue; readonly turn: Turn } | undefined;
  #toldOpened = false;

  constructor(
    broker: MemoryBroker,
    private readonly prefetch: number,
    private readonly server: StoreServer,
  ) {
    super(broker);
  }

  send(queue: string, bytes: Uint8Array): boolean {
    const { exchange } = this.broker;
    if (this.canSend() && !exchange.hasHolderQueue(queue)) {
      const open = this.#open;
      exchange.clock.soon(() => {
        if (open === this.#open && this.canSend()) this.server.unreachable(queue);
      });
    }
    return this.broker.count(this.canSend(bytes.length) && exchange.sendToHolder(queue, bytes));
  }

  echo(partition: number, mark: number): boolean {
    const open = this.#open;
    const back = () => this.server.echoed(partition, mark);
    return this.canSend() && open !== undefined && open.queue.push({ turn: open.turn, back });
  }

  protected enter(): void {
    const { exchange, counters } = this.broker;
    const receive = (delivery: Delivery) => {
      counters.framesReceived++;
      this.server.received(delivery);
    };
    const turn = { prefetch: this.prefetch, receive, deleted: () => {}, unacknowledged: new Set<never>() };
    const open = { ...exchange.openStoreQueue(turn), turn };
    this.#open = open;
    exchange.clock.soon(() => {
      if (this.#open !== open) return;
      this.#toldOpened = true;
      this.server.opened(open.key);
    });
  }

  protected leave(): void {
    if (!this.#open) return;
    const { key, queue, turn } = this.#open;
    this.broker.exchange.closeStoreQueue(key);
    queue.stop(turn);
    this.#open = undefined;
  }

  protected ended(reason: string): void {
    if (this.#toldOpened) this.server.closed(reason);
    this.#toldOpened = false;
  }
}

class MemoryHolderLink extends MemoryLink implements HolderLink {
  #queue: HolderQueue | undefined;
  #toldConnected = false;

  constructor(
    broker: MemoryBroker,
    private readonly holder: string,
    private readonly client: HolderClient,
  ) {
    super(broker);
  }

  send(partition: number, bytes: Uint8Array): boolean {
    return this.broker.count(
      this.canSend(bytes.length) && this.broker.exchange.partition(partition).push(bytes),
    );
  }

  sendToStore(key: string, bytes: Uint8Array): boolean {
    if (!this.canSend(bytes.length)) return this.broker.count(false);
    const { exchange } = this.broker;
    const queue = exchange.store(key);
    if (queue) return this.broker.count(queue.push(bytes));
    const own = this.#queue;
    exchange.clock.soon(() => {
      if (own === this.#queue && own?.open) this.client.returned(key);
    });
    return this.broker.count(true);
  }

  async enqueue(session: string, bytes: Uint8Array, { maxWaiting }: EnqueueOptions): Promise<Enqueued> {
    if (!this.canSend(bytes.length)) return 'lost';
    const queue = this.broker.exchange.session(session);
    if (queue.length >= maxWaiting) return 'full';
    return this.broker.count(queue.push(bytes)) ? 'queued' : 'full';
  }

  protected enter(): void {
    const { exchange, counters } = this.broker;
    const queue = exchange.openHolderQueue(this.holder, (bytes) => {
      counters.framesReceived++;
      this.client.received(bytes);
    });
    this.#queue = queue;
    exchange.clock.soon(() => {
      if (!queue.open) return;
      this.#toldConnected = true;
      this.client.connected(queue.name);
    });
  }

  protected leave(): void {
    if (this.#queue) this.broker.exchange.closeHolderQueue(this.#queue);
  }

  protected ended(reason: string): void {
    if (this.#toldConnected) this.client.disconnected(reason);
    this.#toldConnected = false;
  }
}
