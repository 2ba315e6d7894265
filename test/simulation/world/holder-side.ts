/**
 * A holder at the simulated broker: its connection, its queue, and the frames on their way to it and from it.
 */
import type { Enqueued, EnqueueOptions, HolderClient, HolderLink } from '#broker';
import type { SessionQueues } from './broker-queues.js';
import { Hop, type Frame } from './hop.js';
import type { Process } from './process.js';
import type { World } from './world.js';

/** The broker, as a holder's side needs it. */
interface Exchange {
  readonly world: World;
  readonly sessions: SessionQueues;
  fate(): number[];
  arrive(partition: number, frame: Frame): void;
  arriveAtStore(key: string, frame: Frame): boolean;
}

export class HolderSide implements HolderLink {
  readonly maxFrameBytes = Infinity;
  private queue: string | undefined;
  private connections = 0;
  private out: Hop;
  private in: Hop;
  private closed = false;
  /** Called when the connection is cut. */
  private readonly onCut = new Set<() => void>();

  constructor(
    private readonly network: Exchange,
    readonly process: Process,
    private readonly holder: string,
    private readonly client: HolderClient,
  ) {
    this.out = new Hop(network.world);
    this.in = new Hop(network.world);
  }

  connect(): void {
    this.process.run(() => {
      if (this.closed) return;
      const queue = `${this.holder}.${++this.connections}`;
      this.queue = queue;
      this.out = new Hop(this.network.world);
      this.in = new Hop(this.network.world);
      this.client.connected(queue);
    });
  }

  stall(ms: number, way: 'out' | 'in' | 'both'): void {
    if (way !== 'in') this.out.stall(ms);
    if (way !== 'out') this.in.stall(ms);
  }

  /** The connection dies, and its queue with it. Another one comes after `downMs` or a little later. */
  cut(downMs = 0): void {
    if (this.queue === undefined) return;
    this.queue = undefined;
    for (const tell of this.onCut) this.process.run(tell);
    this.onCut.clear();
    const { world } = this.network;
    world.trace(`${this.holder}: connection cut`);
    this.process.run(() => this.client.disconnected('cut'));
    world.after(downMs + 5 + world.random.next() * 500, () => this.connect());
  }

  send(partition: number, bytes: Uint8Array): boolean {
    const { queue } = this;
    if (queue === undefined) return false;
    for (const delayMs of this.network.fate()) {
      this.out.carry(delayMs, () => {
        // A frame that is under way when the connection dies never arrives.
        if (queue === this.queue) this.network.arrive(partition, { bytes, sender: queue });
      });
    }
    return true;
  }

  sendToStore(key: string, bytes: Uint8Array): boolean {
    const { queue } = this;
    if (queue === undefined) return false;
    for (const delayMs of this.network.fate()) {
      this.out.carry(delayMs, () => {
        if (queue !== this.queue || this.network.arriveAtStore(key, { bytes, sender: queue })) return;
        this.in.carry(0, () =>
          this.process.run(() => {
            if (queue === this.queue && !this.closed) this.client.returned(key);
          }),
        );
      });
    }
    return true;
  }

  /** Makes the queue, awaits the answer, and then sends the frame. */
  async enqueue(
    session: string,
    bytes: Uint8Array,
    { maxWaiting, ttlMs }: EnqueueOptions,
  ): Promise<Enqueued> {
    const { network, queue } = this;
    if (queue === undefined) return 'lost';
    const delayMs = () => network.fate().at(0) ?? 0;
    const waiting = await new Promise<number | undefined>((resolve) => {
      const isCut = () => resolve(undefined);
      this.onCut.add(isCut);
      this.out.carry(delayMs(), () => {
        if (queue !== this.queue) return;
        const count = network.sessions.declare(session);
        this.in.carry(delayMs(), () =>
          this.process.run(() => {
            this.onCut.delete(isCut);
            resolve(count);
          }),
        );
      });
    });
    if (waiting === undefined || queue !== this.queue || this.closed) return 'lost';
    if (waiting >= maxWaiting) return 'full';
    for (const delay of network.fate()) {
      this.out.carry(delay, () => {
        if (queue === this.queue)
          network.sessions.push(session, { bytes, sender: queue, expiresAt: network.world.time + ttlMs });
      });
    }
    return 'queued';
  }

  isAt(queue: string): boolean {
    return queue === this.queue;
  }

  receive(bytes: Uint8Array): void {
    const { queue } = this;
    this.in.carry(0, () =>
      this.process.run(() => {
        if (queue === this.queue) this.client.received(bytes);
      }),
    );
  }

  async close(): Promise<void> {
    this.closed = true;
    // Frames that were sent before are delivered first.
    this.out.carry(0, () => (this.queue = undefined));
  }
}
