/**
 * A store at the simulated broker: its own queue, and its way to the holders. The queue ends with its
 * channel, with what waits in it (rule 22).
 */
import type { Delivery, StoreLink, StoreServer } from '#broker';
import { Hop } from './hop.js';
import type { Process } from './process.js';
import type { World } from './world.js';

/** The broker, as a store's side needs it. */
interface Exchange {
  readonly world: World;
  fate(): number[];
  /** An ordinary delay. */
  hopMs(): number;
  /** The store speaks, whether or not there is a channel. */
  leaves(from: StoreSide, to: string, bytes: Uint8Array): void;
  /** A frame reaches the broker, for a holder. Returns whether there is its queue. */
  reaches(to: string, bytes: Uint8Array): boolean;
  /** A frame arrives in the store's own queue. */
  queued(bytes: Uint8Array): void;
  /** A frame is handed to the store. */
  handed(to: StoreSide, bytes: Uint8Array): void;
  /** The queue is gone. */
  lost(): void;
}

interface Waiting {
  readonly bytes: Uint8Array;
  readonly sender: string;
  readonly echo?: { readonly partition: number; readonly mark: number };
}

export class StoreSide implements StoreLink {
  readonly maxFrameBytes = Infinity;
  private key: string | undefined;
  private connections = 0;
  private ready: Waiting[] = [];
  private unacked = 0;
  private out: Hop;
  private in: Hop;
  private isClosed = false;

  constructor(
    private readonly network: Exchange,
    readonly process: Process,
    private readonly prefetch: number,
    private readonly server: StoreServer,
  ) {
    this.out = new Hop(network.world);
    this.in = new Hop(network.world);
  }

  connect(): void {
    this.process.run(() => {
      if (this.isClosed) return;
      const key = `${this.process.name}.own.${++this.connections}`;
      this.key = key;
      this.out = new Hop(this.network.world);
      this.in = new Hop(this.network.world);
      this.server.opened(key);
    });
  }

  /** The channel dies, and the queue with it. Another one comes after `downMs` or a little later. */
  cut(downMs = 0): void {
    if (this.key === undefined) return;
    this.key = undefined;
    this.ready = [];
    this.unacked = 0;
    this.network.lost();
    const { world } = this.network;
    world.trace(`${this.process.name}: its own queue is gone`);
    this.process.run(() => this.server.closed('cut'));
    world.after(downMs + 5 + world.random.next() * 100, () => this.connect());
  }

  isAt(key: string): boolean {
    return key === this.key;
  }

  /** A frame of a holder reaches the broker. */
  arrive(frame: Waiting): void {
    this.ready.push(frame);
    if (!frame.echo) this.network.queued(frame.bytes);
    this.deliver();
  }

  send(to: string, bytes: Uint8Array): boolean {
    const { key, network } = this;
    network.leaves(this, to, bytes);
    if (key === undefined) return false;
    for (const delayMs of network.fate()) {
      this.out.carry(delayMs, () => {
        const isConnected = key === this.key;
        if (!isConnected && network.world.random.chance(0.5)) return;
        if (!network.reaches(to, bytes)) this.tell(key, () => this.server.unreachable(to));
      });
    }
    return true;
  }

  echo(partition: number, mark: number): boolean {
    const { key } = this;
    if (key === undefined) return false;
    const frame = { bytes: new Uint8Array(), sender: this.process.name, echo: { partition, mark } };
    for (const delayMs of this.network.fate())
      this.out.carry(delayMs, () => {
        if (key === this.key) this.arrive(frame);
      });
    return true;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.out.carry(0, () => {
      if (this.key !== undefined) this.network.lost();
      this.key = undefined;
    });
  }

  private deliver(): void {
    const { key } = this;
    while (key !== undefined && this.ready.length > 0 && this.unacked < this.prefetch) {
      const frame = this.ready.shift()!;
      this.unacked++;
      let isSettled = false;
      const ack = () =>
        this.out.carry(this.delayMs(), () => {
          if (isSettled || key !== this.key) return;
          isSettled = true;
          this.unacked--;
          this.deliver();
        });
      this.tell(key, () => this.hand(frame, ack));
    }
  }

  private hand({ bytes, sender, echo }: Waiting, ack: () => void): void {
    if (echo) {
      ack();
      return this.server.echoed(echo.partition, echo.mark);
    }
    this.network.handed(this, bytes);
    const delivery: Delivery = { bytes, sender, session: undefined, ack };
    this.server.received(delivery);
  }

  /** On the way to the store. It is lost with the channel. */
  private tell(key: string, task: () => void): void {
    this.in.carry(this.delayMs(), () =>
      this.process.run(() => {
        if (key === this.key && !this.isClosed) task();
      }),
    );
  }

  private delayMs(): number {
    return this.network.hopMs();
  }
}
