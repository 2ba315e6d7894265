/**
 * Drives one partition's state machine: receive, load, step, persist, send, acknowledge. Everything that arrives while a batch is being
 * persisted becomes the next batch, so one transaction serves many frames. When anything fails or the channel is lost, the driver forgets
 * the partition's memory, and claims the partition anew when it is delivered something (rule 13).
 */
import type { Clock, Delivery, Log, PartitionLink } from '#broker';
import {
  decodeAttribute,
  decodeHead,
  encodeAttribute,
  encodeHead,
  encodeStoreFrame,
  intoFrames,
  partitionHash,
  type HolderFrame,
  type Now,
  type PartitionMachine,
  type RecordWrite,
  type StoreOutputs,
  type StoreRules,
} from '#protocol';
import type { DueSession, SessionRepository, SessionWrite, StoredSession } from '#repository';

export interface PartitionPorts {
  readonly repository: SessionRepository;
  readonly clock: Clock;
  readonly log: Log;
}

export interface PartitionSettings extends StoreRules {
  /** How often a partition looks for sessions that are due, in milliseconds. */
  readonly expiryScanMs: number;
  /** Most bytes of session state that one partition keeps in memory. */
  readonly cacheBytes: number;
  /** After a failure the partition is given up this much later; doubled each time, up to the second figure. In milliseconds. */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
}

/** Most sessions that one look finds due. */
const dueAtOnce = 256;

export type MachineFactory = (...of: ConstructorParameters<typeof PartitionMachine>) => PartitionMachine;

/** A frame, and when it came: leases and waits are counted from then, however long the batch before it took (rules 2 and 8). */
interface Arrival {
  readonly frame: HolderFrame;
  readonly delivery: Delivery;
  readonly at: Now;
}

export class PartitionDriver {
  private machine: PartitionMachine | undefined;
  private inbox: Arrival[] = [];
  private readonly unsettled = new Map<number, Delivery>();
  private deliveries = 0;
  /** Counts the turns of ownership: work begun in an earlier one is dropped. */
  private turn = 0;
  /** How far the machine's time has come. */
  private reached: Now = { mono: -Infinity, wall: 0 };
  private failures = 0;
  private running: Promise<void> | undefined;
  private stopping = false;
  private readonly gone = new Set<string>();
  private readonly queuesGone = new Set<string>();
  private tickDue = false;
  private cancelTick: (() => void) | undefined;
  private scanDue = false;
  private cancelScan: (() => void) | undefined;
  private link: PartitionLink | undefined;

  constructor(
    readonly partition: number,
    private readonly ports: PartitionPorts,
    private readonly settings: PartitionSettings,
    private readonly makeMachine: MachineFactory,
  ) {}

  /** Where answers go. What was received before waits for it. */
  attach(link: PartitionLink): void {
    this.link = link;
    this.pump();
  }

  receive(frame: HolderFrame, delivery: Delivery): void {
    if (this.stopping) return;
    this.inbox.push({ frame, delivery, at: this.ports.clock.now() });
    this.pump();
  }

  /** What was sent to a holder came back: its queue is gone. */
  unreachable(queue: string): void {
    if (!this.machine) return;
    this.gone.add(queue);
    this.pump();
  }

  /** The session's own queue is not there, or not any more. */
  queueGone(session: string): void {
    if (!this.machine) return;
    this.queuesGone.add(session);
    this.pump();
  }

  /** The turn is over: somebody else may own the partition now. */
  lost(reason: string): void {
    if (this.machine) this.ports.log.warn(`partition ${this.partition} is given up: ${reason}`);
    this.turn++;
    this.machine = undefined;
    this.inbox = [];
    this.gone.clear();
    this.queuesGone.clear();
    this.unsettled.clear();
    this.cancelTick?.();
    this.cancelScan?.();
  }

  /** Finishes the batch under way and leaves the line. What was not settled goes to the next store. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.inbox = [];
    await this.running;
    this.cancelTick?.();
    this.cancelScan?.();
    await this.link?.close();
    this.machine = undefined;
  }

  /** For operators: undefined while the partition is not owned. */
  snapshot() {
    return this.machine && { ...this.machine.snapshot(), counters: { ...this.machine.counters } };
  }

  private pump(): void {
    if (this.running || !this.due) return;
    this.running = this.run().finally(() => {
      this.running = undefined;
      this.pump();
    });
  }

  private get due(): boolean {
    if (this.stopping || !this.link) return false;
    const isToldSomething = this.gone.size > 0 || this.queuesGone.size > 0;
    return (
      this.inbox.length > 0 ||
      ((this.tickDue || this.scanDue || isToldSomething) && this.machine !== undefined)
    );
  }

  private async run(): Promise<void> {
    while (this.due) {
      const { turn } = this;
      try {
        await this.batch(turn);
        this.failures = 0;
      } catch (error) {
        if (turn === this.turn) await this.fail(error, turn);
      }
    }
  }

  private async batch(turn: number): Promise<void> {
    const machine = this.machine ?? (await this.claim(turn));
    if (turn !== this.turn) return;
    const batch = this.inbox;
    this.inbox = [];
    const ids = new Set(batch.flatMap(({ frame }) => machine.missing(frame)));
    const due = this.scanDue ? await this.findDue() : [];
    for (const { session } of due) ids.add(session);
    await this.load(machine, ids);
    if (turn !== this.turn) return;

    for (const { frame, delivery, at } of batch) {
      this.unsettled.set(++this.deliveries, delivery);
      if (at.mono > this.reached.mono) this.reached = at; // for the machine time never goes back
      if (delivery.session === undefined) machine.receive(frame, this.deliveries, this.reached);
      else machine.receiveAsk(frame, this.deliveries, this.reached);
    }
    // Only then is looked at what is over: what came in time counts, however late it is read.
    const now = (this.reached = this.ports.clock.now());
    machine.due(due, now);
    if (this.tickDue) machine.tick(now);
    this.tickDue = false;
    for (const queue of this.gone) machine.unreachable(queue, now);
    this.gone.clear();
    for (const session of this.queuesGone) machine.queueGone(session, now);
    this.queuesGone.clear();
    const outputs = machine.flush();
    await this.ports.repository.apply(this.partition, machine.epoch, outputs.writes.map(toRepository));
    if (turn !== this.turn) return;

    this.speak(machine.epoch, outputs);
    machine.said(this.ports.clock.now());
    machine.evict(this.settings.cacheBytes);
    this.schedule(machine, now.mono);
  }

  private async claim(turn: number): Promise<PartitionMachine> {
    const { partitions, leaseMs } = this.settings;
    const deployment = { partitions, hash: partitionHash, leaseMs };
    const { epoch, longestLeaseMs } = await this.ports.repository.claim(this.partition, deployment);
    const now = this.ports.clock.now();
    const ownership = { since: now.mono, longestLeaseMs };
    const machine = this.makeMachine(this.partition, epoch, this.settings, ownership);
    if (turn === this.turn) {
      this.machine = machine;
      this.reached = now;
      this.scanLater();
    }
    return machine;
  }

  /** Sessions that the index names as due; if there may be more, the next look is at once. */
  private async findDue(): Promise<DueSession[]> {
    const due = await this.ports.repository.due(this.partition, this.ports.clock.now().wall, dueAtOnce);
    this.scanDue = due.length === dueAtOnce;
    if (!this.scanDue) this.scanLater();
    return due;
  }

  private scanLater(): void {
    this.cancelScan?.();
    this.cancelScan = this.ports.clock.after(this.settings.expiryScanMs, () => {
      this.scanDue = true;
      this.pump();
    });
  }

  private async load(machine: PartitionMachine, ids: ReadonlySet<string>): Promise<void> {
    if (ids.size === 0) return;
    const found = await this.ports.repository.load(this.partition, [...ids]);
    for (const id of ids) machine.load(id, fromRepository(found.get(id)));
  }

  private speak(epoch: number, { messages, open, close, settled }: StoreOutputs): void {
    const { partition } = this;
    for (const [queue, list] of messages) {
      for (const frame of intoFrames(list)) {
        this.link?.send(queue, encodeStoreFrame({ partition, epoch, messages: frame }));
      }
    }
    for (const session of close) this.link?.closeQueue(session);
    for (const session of open) this.link?.openQueue(session);
    for (const number of settled) {
      this.unsettled.get(number)?.ack();
      this.unsettled.delete(number);
    }
  }

  private schedule(machine: PartitionMachine, mono: number): void {
    this.cancelTick?.();
    if (machine.nextDeadline === Infinity) return;
    this.cancelTick = this.ports.clock.after(Math.max(1, machine.nextDeadline - mono), () => {
      this.tickDue = true;
      this.pump();
    });
  }

  /** The outcome of a failed write is unknown: only a new claim can tell what is in the repository. */
  private async fail(error: unknown, turn: number): Promise<void> {
    const { retryMinMs, retryMaxMs } = this.settings;
    const delayMs = Math.min(retryMaxMs, retryMinMs * 2 ** this.failures++);
    const reason = error instanceof Error ? error.message : String(error);
    this.ports.log.error(`partition ${this.partition}: ${reason}; claiming it anew in ${delayMs} ms`);
    await new Promise<void>((resolve) => this.ports.clock.after(delayMs, resolve));
    if (turn !== this.turn) return;
    this.lost(reason);
    this.link?.abandon();
  }
}

function toRepository({ session, record, set, delete: removed, expires }: RecordWrite): SessionWrite {
  const moves = expires && { expires };
  if (!record) return { session, head: undefined, set: new Map(), delete: [], ...moves };
  const rows = set.map((name): [string, Uint8Array] => [name, encodeAttribute(record.attributes.get(name)!)]);
  return { session, head: encodeHead(record), set: new Map(rows), delete: removed, ...moves };
}

function fromRepository(stored: StoredSession | undefined) {
  if (!stored) return undefined;
  const rows = [...stored.attributes].map(([name, row]) => [name, decodeAttribute(row)] as const);
  return { ...decodeHead(stored.head), attributes: new Map(rows) };
}
