/**
 * A simulated broker: the port's promises and nothing more. Each hop takes time. Frames are dropped and
 * duplicated, links between different parties overtake each other, channels and connections die. Each link
 * keeps its order.
 */
import type {
  Broker,
  Delivery,
  HolderClient,
  HolderLink,
  PartitionLink,
  PartitionServer,
  ServeOptions,
  StoreLink,
  StoreServer,
} from '#broker';
import { decodeHolderFrame, decodeStoreFrame, type HolderPart, type StorePart } from '#protocol';
import type { Process } from './process.js';
import { SessionQueues } from './broker-queues.js';
import { HolderSide } from './holder-side.js';
import { Hop, type Frame } from './hop.js';
import { StoreSide } from './store-side.js';
import type { World } from './world.js';

/** The broker closes a connection that is silent for so many milliseconds. */
const heartbeatMs = 3_000;

export interface NetworkFaults {
  /** Probabilities for each frame. */
  readonly drop: number;
  readonly duplicate: number;
  /**
   * The longest ordinary delay of a hop, in milliseconds; while faults are on, one hop in fifty takes up to
   * fifty times as long.
   */
  readonly delayMs: number;
}

/** The checkers' view of the frames. */
export interface NetworkTap {
  /**
   * A part is handed to the owner of the partition, whose ownership has a number. `isAsk`: from a session's
   * own queue.
   */
  toStore(part: HolderPart, ownership: number, isAsk: boolean): void;
  /** A store sends a part to a holder. */
  fromStore(holder: string, part: StorePart, ownership: number): void;
  /** A part arrives in a partition's queue, or in a store's own. */
  queued(part: HolderPart, way: 'partition' | 'own'): void;
  /** All parts in stores' own queues may be lost, or are not read by the owner any more. */
  directLost(): void;
  /** All frames in queues are lost. */
  queuesLost(): void;
}

class Member {
  /** The number of the ownership that this member's channel stands for. It changes after each loss. */
  ownership = 0;
  /** The one before, whose last answers may still leave. */
  previous = 0;
  readonly unacked = new Map<number, Frame>();
  out: Hop;
  in: Hop;
  /** It left the queue for good. */
  gone = false;
  /** Its channel is dead. Its frames are lost. */
  cut = false;

  constructor(
    world: World,
    readonly server: PartitionServer,
    readonly prefetch: number,
    readonly process: Process,
    readonly partition: number,
  ) {
    this.out = new Hop(world);
    this.in = new Hop(world);
  }
}

/** What a member serves, as long as it is the active one. */
interface Ownership {
  readonly member: Member;
  readonly ownership: number;
}

class PartitionQueue {
  ready: Frame[] = [];
  /** In the order in which they began to serve. The first one is active. */
  members: Member[] = [];
}

export class Network {
  /** False at the end of a day, when no frame is lost any more. */
  faulty = true;
  readonly sessions = new SessionQueues(() => this.world.time);
  private readonly partitions = new Map<number, PartitionQueue>();
  private readonly holders = new Map<string, HolderSide>();
  private readonly stores = new Set<StoreSide>();
  private readonly members: Member[] = [];
  private ownerships = 0;
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
      openStore: async (options, server) => this.openStore(process, options, server),
      join: async (holder, client) => this.join(process, holder, client),
      close: async () => {},
    };
  }

  /** The channel of the active member dies. */
  breakPartition(partition: number): void {
    const queue = this.partitions.get(partition);
    const active = queue?.members[0];
    if (queue && active) this.lose(queue, active, 'the channel died');
  }

  /** The channel of a store's own queue dies. */
  breakStore(name: string): void {
    for (const side of this.stores) if (side.process.name === name) side.cut();
  }

  /** A holder's connection dies. It has another one after `downMs` or a little later. */
  breakHolder(holder: string, downMs = 0): void {
    this.holders.get(holder)?.cut(downMs);
  }

  /**
   * For a while nothing gets through from the holder, to it, or both ways. The broker closes a silent
   * connection.
   */
  stallHolder(holder: string, ms: number, way: 'out' | 'in' | 'both'): void {
    const side = this.holders.get(holder);
    if (!side) return;
    this.world.trace(
      `${holder}: nothing gets ${way === 'both' ? 'in or out' : way} for ${Math.round(ms)} ms`,
    );
    side.stall(ms, way);
    if (ms > heartbeatMs) this.world.after(heartbeatMs, () => side.cut(ms - heartbeatMs));
  }

  /** A process has died or is stopped. The broker learns it at once, or by its silence. */
  silenced(process: Process): void {
    const lose = () => {
      for (const side of this.holders.values()) if (side.process === process) side.cut();
      for (const side of this.stores) if (side.process === process) side.cut();
      for (const queue of this.partitions.values()) {
        for (const member of [...queue.members]) {
          if (member.process === process) this.lose(queue, member, 'the connection was closed');
        }
      }
    };
    if (process.isDead) lose();
    else this.world.after(heartbeatMs, () => !process.isRunning && lose());
  }

  /** The broker dies with all frames that were under way, and comes back. */
  restart(downMs: number): void {
    this.world.trace(`the broker is down for ${Math.round(downMs)} ms`);
    for (const side of this.holders.values()) side.cut(downMs);
    for (const side of this.stores) side.cut(downMs);
    for (const queue of this.partitions.values()) {
      for (const member of [...queue.members]) this.lose(queue, member, 'the broker went away', downMs);
      queue.ready = [];
    }
    this.sessions.forgetFrames();
    this.tap.queuesLost();
  }

  /** The delays with which a frame arrives: none, one or two. */
  fate(): number[] {
    const { random } = this.world;
    const ordinary = () => random.next() * this.faults.delayMs;
    // No lock can be promised to a process whose frames take longer than a lease, again and again.
    if (!this.faulty) return [ordinary()];
    const delay = () => ordinary() * (random.chance(0.02) ? 50 : 1);
    if (random.chance(this.faults.drop)) return [];
    return random.chance(this.faults.duplicate) ? [delay(), delay()] : [delay()];
  }

  /** A frame reaches the broker, for a store's own queue. Returns whether there is one. */
  arriveAtStore(key: string, frame: Frame): boolean {
    const side = [...this.stores].find((one) => one.isAt(key));
    side?.arrive({ bytes: frame.bytes, sender: frame.sender });
    return side !== undefined;
  }

  // What a store's own side needs.

  hopMs(): number {
    return this.world.random.next() * this.faults.delayMs;
  }

  leaves({ process }: StoreSide, to: string, bytes: Uint8Array): void {
    for (const part of decodeStoreFrame(bytes).parts) {
      const member = this.memberOf(part.partition, process);
      if (member)
        this.tap.fromStore(to.split('.')[0]!, part, member.cut ? member.previous : member.ownership);
    }
  }

  reaches(to: string, bytes: Uint8Array): boolean {
    const side = [...this.holders.values()].find((one) => one.isAt(to));
    side?.receive(bytes);
    return side !== undefined;
  }

  queued(bytes: Uint8Array): void {
    for (const part of decodeHolderFrame(bytes).parts) this.tap.queued(part, 'own');
  }

  handed({ process }: StoreSide, bytes: Uint8Array): void {
    for (const part of decodeHolderFrame(bytes).parts) {
      const active = this.partitions.get(part.partition)?.members[0];
      if (active?.process === process) this.tap.toStore(part, active.ownership, false);
    }
  }

  lost(): void {
    this.tap.directLost();
  }

  private memberOf(partition: number, process: Process): Member | undefined {
    return this.members.find((one) => one.partition === partition && one.process === process);
  }

  /** A frame reaches the broker, for the owner of the partition. */
  arrive(partition: number, frame: Frame): void {
    const queue = this.queue(partition);
    queue.ready.push(frame);
    if (!frame.echo)
      for (const part of decodeHolderFrame(frame.bytes).parts) this.tap.queued(part, 'partition');
    this.deliver(partition, queue);
  }

  private serve(
    process: Process,
    partition: number,
    { prefetch }: ServeOptions,
    server: PartitionServer,
  ): PartitionLink {
    const queue = this.queue(partition);
    const member = new Member(this.world, server, prefetch, process, partition);
    this.members.push(member);
    member.ownership = ++this.ownerships;
    queue.members.push(member);
    this.world.after(0, () => this.deliver(partition, queue));
    return {
      echo: (mark) => {
        if (member.gone || member.cut) return false;
        const { ownership } = member;
        const frame = { bytes: new Uint8Array(), sender: process.name, echo: { mark, ownership } };
        for (const delayMs of this.fate()) {
          member.out.carry(delayMs, () => {
            if (ownership === member.ownership || this.world.random.chance(0.5))
              this.arrive(partition, { ...frame });
          });
        }
        return true;
      },
      openQueue: (session) => {
        if (member.gone || member.cut) return;
        const consumer = this.consumer(member);
        member.out.carry(this.world.random.next() * this.faults.delayMs, () => {
          if (consumer.ownership === member.ownership && !member.gone) this.sessions.open(session, consumer);
        });
      },
      closeQueue: (session) => {
        const { ownership } = member;
        member.out.carry(0, () => this.sessions.close(session, ownership));
      },
      abandon: () => this.lose(queue, member, 'abandoned'),
      close: async () => {
        member.gone = true;
        this.requeue(queue, member);
        queue.members = queue.members.filter((other) => other !== member);
        this.deliver(partition, queue);
      },
    };
  }

  private deliver(partition: number, queue: PartitionQueue): void {
    const active = queue.members[0];
    while (active && queue.ready.length > 0 && active.unacked.size < active.prefetch) {
      const frame = queue.ready.shift()!;
      const id = ++this.deliveries;
      const { ownership } = active;
      active.unacked.set(id, frame);
      this.hand({ member: active, ownership }, frame, undefined, () => {
        if (active.unacked.delete(id)) this.deliver(partition, queue);
      });
    }
  }

  /** A frame travels to the owner, and its acknowledgement back. Both are lost with the channel. */
  private hand(
    { member, ownership }: Ownership,
    frame: Frame,
    session: string | undefined,
    settled: () => void,
  ): void {
    const delayMs = () => this.world.random.next() * this.faults.delayMs;
    const { bytes, sender, echo } = frame;
    const ack = () => member.out.carry(delayMs(), () => ownership === member.ownership && settled());
    const delivery: Delivery = { bytes, sender, session, ack };
    member.in.carry(delayMs(), () =>
      member.process.run(() => {
        if (ownership !== member.ownership || member.gone) return;
        if (echo) {
          ack();
          if (echo.ownership === ownership) member.server.echoed(echo.mark);
          return;
        }
        for (const part of decodeHolderFrame(bytes).parts)
          this.tap.toStore(part, ownership, session !== undefined);
        member.server.received(delivery);
      }),
    );
  }

  /** The present owner, as the consumer of sessions' queues. */
  private consumer(member: Member) {
    const { ownership } = member;
    return {
      ownership,
      deliver: (session: string, frame: Frame, settled: () => void) =>
        this.hand({ member, ownership }, frame, session, settled),
      gone: (session: string) => {
        member.in.carry(this.world.random.next() * this.faults.delayMs, () =>
          member.process.run(() => {
            if (ownership === member.ownership && !member.gone) member.server.queueGone(session);
          }),
        );
      },
    };
  }

  private lose(queue: PartitionQueue, member: Member, reason: string, downMs = 0): void {
    if (member.gone || !queue.members.includes(member)) return;
    this.requeue(queue, member);
    queue.members = queue.members.filter((other) => other !== member);
    member.previous = member.ownership;
    member.ownership = ++this.ownerships;
    this.tap.directLost();
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
        queue.members.push(member);
        this.deliver(partition, queue);
      }),
    );
    this.deliver(partition, queue);
  }

  private requeue(queue: PartitionQueue, member: Member): void {
    queue.ready.unshift(...member.unacked.values());
    member.unacked.clear();
    this.sessions.lose(member.ownership);
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

  private openStore(process: Process, { prefetch }: ServeOptions, server: StoreServer): StoreLink {
    const side = new StoreSide(this, process, prefetch, server);
    this.stores.add(side);
    this.world.after(1, () => side.connect());
    return side;
  }
}
