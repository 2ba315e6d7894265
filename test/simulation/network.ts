/**
 * A simulated broker: the port's promises and nothing more. Every hop takes time; frames are dropped and duplicated, links between different
 * parties overtake each other, channels and connections die. Within one link order is kept.
 */
import type {
  Asked,
  AskOptions,
  Broker,
  Delivery,
  HolderClient,
  HolderLink,
  PartitionLink,
  PartitionServer,
  ServeOptions,
} from '#broker';
import type { Process } from './process.js';
import { SessionQueues } from './session-queues.js';
import type { World } from './world.js';

/** A connection that is silent for this long is closed by the broker, in milliseconds. */
const heartbeatMs = 3_000;

export interface NetworkFaults {
  /** Probabilities for each frame. */
  readonly drop: number;
  readonly duplicate: number;
  /** The longest ordinary delay of a hop, in milliseconds; one hop in fifty takes up to fifty times as long. */
  readonly delayMs: number;
}

/** Sees what travels: for checkers. */
export interface NetworkTap {
  /** A frame is handed to the store that serves the partition; `turn` names its turn; `isAsk`: out of a session's own queue. */
  toStore(partition: number, bytes: Uint8Array, turn: number, isAsk: boolean): void;
  /** A store says something to a holder. */
  fromStore(holder: string, bytes: Uint8Array, turn: number): void;
}

interface Frame {
  readonly bytes: Uint8Array;
  readonly sender: string;
}

/** Frames in order on one way; nothing overtakes. */
class Hop {
  private free = 0;
  constructor(private readonly world: World) {}

  /** Nothing gets through for a while; what was sent arrives then. */
  stall(ms: number): void {
    this.free = Math.max(this.free, this.world.time + ms);
  }

  carry(delayMs: number, arrive: () => void): void {
    this.free = Math.max(this.free, this.world.time + delayMs);
    this.world.after(this.free - this.world.time, arrive);
  }
}

class Member {
  /** The turn that this member's channel stands for; a new number after each loss. */
  turn = 0;
  readonly unacked = new Map<number, Frame>();
  out: Hop;
  in: Hop;
  /** It is out of the line for good. */
  gone = false;
  /** Its channel is dead: what it sends goes nowhere. */
  cut = false;

  constructor(
    world: World,
    readonly server: PartitionServer,
    readonly prefetch: number,
    readonly process: Process,
  ) {
    this.out = new Hop(world);
    this.in = new Hop(world);
  }
}

class PartitionQueue {
  ready: Frame[] = [];
  line: Member[] = [];
}

export class Network {
  /** Set to false for a quiet end: nothing is lost any more. */
  faulty = true;
  readonly sessions = new SessionQueues(() => this.world.time);
  private readonly partitions = new Map<number, PartitionQueue>();
  private readonly holders = new Map<string, HolderSide>();
  private turns = 0;
  private deliveries = 0;

  constructor(
    readonly world: World,
    private readonly faults: NetworkFaults,
    private readonly tap: NetworkTap,
  ) {}

  broker(process: Process): Broker {
    const counters = { framesSent: 0, framesReceived: 0, framesDropped: 0, reconnects: 0 };
    return {
      counters,
      serve: async (partition, options, server) => this.serve(process, partition, options, server),
      join: async (holder, client) => this.join(process, holder, client),
      close: async () => {},
    };
  }

  /** The channel of whoever is active dies. */
  breakPartition(partition: number): void {
    const queue = this.partitions.get(partition);
    const active = queue?.line[0];
    if (queue && active) this.lose(queue, active, 'the channel died');
  }

  /** A holder's connection dies; another one comes up after `downMs` or a little later. */
  breakHolder(holder: string, downMs = 0): void {
    this.holders.get(holder)?.cut(downMs);
  }

  /** Nothing gets through from the holder, to it, or both ways, for a while; the broker closes a connection that is silent for too long. */
  stallHolder(holder: string, ms: number, way: 'out' | 'in' | 'both'): void {
    const side = this.holders.get(holder);
    if (!side) return;
    this.world.trace(
      `${holder}: nothing gets ${way === 'both' ? 'in or out' : way} for ${Math.round(ms)} ms`,
    );
    side.stall(ms, way);
    if (ms > heartbeatMs) this.world.after(heartbeatMs, () => side.cut(ms - heartbeatMs));
  }

  /** A process has died or is stopped: the broker finds out, at once or by its silence. */
  silenced(process: Process): void {
    const lose = () => {
      for (const side of this.holders.values()) if (side.process === process) side.cut();
      for (const queue of this.partitions.values()) {
        for (const member of [...queue.line]) {
          if (member.process === process) this.lose(queue, member, 'the connection was closed');
        }
      }
    };
    if (process.isDead) lose();
    else this.world.after(heartbeatMs, () => !process.isRunning && lose());
  }

  /** The broker dies with all that was under way, and comes back. */
  restart(downMs: number): void {
    this.world.trace(`the broker is down for ${Math.round(downMs)} ms`);
    for (const side of this.holders.values()) side.cut(downMs);
    for (const queue of this.partitions.values()) {
      for (const member of [...queue.line]) this.lose(queue, member, 'the broker went away', downMs);
      queue.ready = [];
    }
    this.sessions.forgetFrames();
  }

  /** How long a hop takes; how often a frame arrives: 0, 1 or 2 times. */
  fate(): number[] {
    const { random } = this.world;
    const delay = () => random.next() * this.faults.delayMs * (random.chance(0.02) ? 50 : 1);
    if (!this.faulty) return [delay()];
    if (random.chance(this.faults.drop)) return [];
    return random.chance(this.faults.duplicate) ? [delay(), delay()] : [delay()];
  }

  /** A frame reaches the broker, for whoever serves the partition. */
  arrive(partition: number, frame: Frame): void {
    const queue = this.queue(partition);
    queue.ready.push(frame);
    this.deliver(partition, queue);
  }

  private serve(
    process: Process,
    partition: number,
    { prefetch }: ServeOptions,
    server: PartitionServer,
  ): PartitionLink {
    const queue = this.queue(partition);
    const member = new Member(this.world, server, prefetch, process);
    member.turn = ++this.turns;
    queue.line.push(member);
    this.world.after(0, () => this.deliver(partition, queue));
    return {
      send: (to, bytes) => {
        if (member.gone || member.cut) return false;
        this.tap.fromStore(to.split('.')[0]!, bytes, member.turn);
        const { turn } = member;
        for (const delayMs of this.fate()) {
          member.out.carry(delayMs, () => {
            if (turn === member.turn || this.world.random.chance(0.5)) this.toHolder(member, to, bytes);
          });
        }
        return true;
      },
      openQueue: (session) => {
        if (member.gone || member.cut) return;
        const consumer = this.consumer(partition, member);
        member.out.carry(this.world.random.next() * this.faults.delayMs, () => {
          if (consumer.turn === member.turn && !member.gone) this.sessions.open(session, consumer);
        });
      },
      closeQueue: (session) => {
        const { turn } = member;
        member.out.carry(0, () => this.sessions.close(session, turn));
      },
      abandon: () => this.lose(queue, member, 'abandoned'),
      close: async () => {
        member.gone = true;
        this.requeue(queue, member);
        queue.line = queue.line.filter((other) => other !== member);
        this.deliver(partition, queue);
      },
    };
  }

  private deliver(partition: number, queue: PartitionQueue): void {
    const active = queue.line[0];
    while (active && queue.ready.length > 0 && active.unacked.size < active.prefetch) {
      const frame = queue.ready.shift()!;
      const id = ++this.deliveries;
      const { turn } = active;
      active.unacked.set(id, frame);
      this.hand(partition, active, turn, frame, undefined, () => {
        if (active.unacked.delete(id)) this.deliver(partition, queue);
      });
    }
  }

  /** A frame travels to whoever has the turn; and its acknowledgement back, which like everything else is lost with the channel. */
  private hand(
    partition: number,
    member: Member,
    turn: number,
    { bytes, sender }: Frame,
    session: string | undefined,
    settled: () => void,
  ): void {
    const delayMs = () => this.world.random.next() * this.faults.delayMs;
    const ack = () => member.out.carry(delayMs(), () => turn === member.turn && settled());
    const delivery: Delivery = { bytes, sender, session, ack };
    member.in.carry(delayMs(), () =>
      member.process.run(() => {
        if (turn !== member.turn || member.gone) return;
        this.tap.toStore(partition, bytes, turn, session !== undefined);
        member.server.received(delivery);
      }),
    );
  }

  /** Whoever has the turn now, as the consumer of sessions' queues. */
  private consumer(partition: number, member: Member) {
    const { turn } = member;
    return {
      turn,
      deliver: (session: string, frame: Frame, settled: () => void) =>
        this.hand(partition, member, turn, frame, session, settled),
      gone: (session: string) => {
        member.in.carry(this.world.random.next() * this.faults.delayMs, () =>
          member.process.run(() => {
            if (turn === member.turn && !member.gone) member.server.queueGone(session);
          }),
        );
      },
    };
  }

  private lose(queue: PartitionQueue, member: Member, reason: string, downMs = 0): void {
    if (member.gone || !queue.line.includes(member)) return;
    this.requeue(queue, member);
    queue.line = queue.line.filter((other) => other !== member);
    member.turn = ++this.turns;
    member.cut = true;
    member.in = new Hop(this.world);
    member.out = new Hop(this.world);
    const partition = [...this.partitions].find(([, other]) => other === queue)![0];
    this.world.trace(`partition ${partition}: ${member.process.name} loses its turn: ${reason}`);
    const { process } = member;
    this.world.after(this.world.random.next() * 20, () => process.run(() => member.server.lost(reason)));
    this.world.after(downMs + 20 + this.world.random.next() * 50, () =>
      process.run(() => {
        if (member.gone) return;
        member.cut = false;
        queue.line.push(member);
        this.deliver(partition, queue);
      }),
    );
    this.deliver(partition, queue);
  }

  private requeue(queue: PartitionQueue, member: Member): void {
    queue.ready.unshift(...member.unacked.values());
    member.unacked.clear();
    this.sessions.lose(member.turn);
  }

  private queue(partition: number): PartitionQueue {
    let queue = this.partitions.get(partition);
    if (!queue) this.partitions.set(partition, (queue = new PartitionQueue()));
    return queue;
  }

  private join(process: Process, holder: string, client: HolderClient): HolderLink {
    const side = new HolderSide(this, process, holder, client);
    this.holders.set(holder, side);
    this.world.after(1, () => side.connect());
    return side;
  }

  private toHolder(member: Member, to: string, bytes: Uint8Array): void {
    const side = [...this.holders.values()].find((one) => one.isAt(to));
    if (side) return side.receive(bytes);
    const { turn } = member;
    member.in.carry(this.world.random.next() * this.faults.delayMs, () => {
      if (turn === member.turn && !member.gone) member.process.run(() => member.server.unreachable(to));
    });
  }
}

class HolderSide implements HolderLink {
  private queue: string | undefined;
  private connections = 0;
  private out: Hop;
  private in: Hop;
  private closed = false;
  /** Told when the connection is cut. */
  private readonly onCut = new Set<() => void>();

  constructor(
    private readonly network: Network,
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

  /** The connection is gone, and its queue with it; another one comes up after `downMs` or a little later. */
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
        // What is under way when the connection dies never arrives.
        if (queue === this.queue) this.network.arrive(partition, { bytes, sender: queue });
      });
    }
    return true;
  }

  /** First the queue is made, with an answer; then the frame is sent. */
  async ask(session: string, bytes: Uint8Array, { most, ttlMs }: AskOptions): Promise<Asked> {
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
    if (waiting >= most) return 'full';
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
    // What was sent before is delivered first.
    this.out.carry(0, () => (this.queue = undefined));
  }
}
