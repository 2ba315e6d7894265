/**
 * Drives one partition's state machine: receive, load, step, persist, send, acknowledge. The store's loop
 * takes what there is to persist, for all partitions at once (batch-loop.ts). What arrives meanwhile becomes
 * the next batch. After a failure, or when the channel is lost, the driver forgets the partition's memory. It
 * claims the partition again when the next frame is delivered (rule 13).
 */
import type { Delivery, PartitionLink } from '#broker';
import {
  storeRules,
  type HolderPart,
  type Now,
  type PartitionMachine,
  type StoreOutputs,
  type StoreRules,
} from '#protocol';
import { disown, GoneQueues, missingIn, type Arrival, type ReceivedFrame } from './arrivals.js';
import type { BatchedPartition } from './batch-loop.js';
import { Echoes, type Way } from './echoes.js';
import type { Receiver } from './handover.js';
import { PartitionEpochs } from './partition-epochs.js';
import { DeploymentMismatchError, OtherDeploymentError, type Apply, type DueSession } from '#repository';
import type { PartitionPorts, PartitionSettings } from './partition-settings.js';
import { PartitionTimers } from './partition-timers.js';
import { PartitionTrace } from './partition-trace.js';
import type { CachedPartition } from './session-memory.js';
import { fromRepository, toRepository } from './stored-session.js';

/** Most sessions that one scan finds due. */
const dueAtOnce = 256;
/** The pause before the next scan when all that were found are still in use, in milliseconds. */
const scanAgainMs = 1_000;

/** Arrivals whose sessions are in memory, and sessions that are due, also in memory. */
interface Loaded {
  readonly arrivals: readonly Arrival[];
  readonly due: readonly DueSession[];
}

/** What the loop has taken. */
interface UnderWay {
  readonly ownership: number;
  readonly machine: PartitionMachine;
  readonly outputs: StoreOutputs;
  /** When the time-outs were checked. */
  readonly mono: number;
}

export class PartitionDriver implements BatchedPartition, CachedPartition, Receiver {
  machine: PartitionMachine | undefined;
  private readonly epochs: PartitionEpochs;
  private inbox: Arrival[] = [];
  /** Direct parts that are taken out of the inbox and not settled. */
  private readonly direct = new Set<ReceivedFrame>();
  private readonly unsettled = new Map<number, Pick<Delivery, 'ack'>>();
  private deliveries = 0;
  #ownership = 0;
  /** The latest time that the machine was given. */
  private reached: Now = { mono: -Infinity, wall: 0 };
  private failures = 0;
  /** It claims, loads, waits for the repository or pauses. */
  private isBusy = false;
  private whenIdle = () => {};
  private loaded: Loaded | undefined;
  private underWay: UnderWay | undefined;
  private stopping = false;
  private readonly gone = new GoneQueues();
  private readonly echoes = new Echoes();
  private readonly timers: PartitionTimers;
  private link: PartitionLink | undefined;
  private readonly trace: PartitionTrace | undefined;

  constructor(
    readonly partition: number,
    private readonly ports: PartitionPorts,
    private readonly settings: PartitionSettings,
    rules: Partial<StoreRules>,
  ) {
    this.timers = new PartitionTimers(ports.clock, settings.expiryScanMs, () => this.wake());
    this.epochs = new PartitionEpochs(partition, ports, ports.incidents, settings, {
      ...storeRules,
      ...rules,
    });
    this.trace = ports.trace && new PartitionTrace(ports.trace, partition);
  }

  get isInUse(): boolean {
    return this.isBusy || this.loaded !== undefined;
  }

  /** Frames that were received before wait for it. */
  attach(link: PartitionLink): void {
    this.link = link;
    this.wake();
  }

  /** Numbers the ownerships of this partition. What began in an earlier one is dropped. */
  get ownership(): number {
    return this.#ownership;
  }

  /**
   * The frame was delivered in `ownership`. If that is over, so is the delivery, and the frame comes again.
   * Transports hand frames over late.
   */
  receive(frame: HolderPart, delivery: Delivery, ownership: number): void {
    if (this.stopping || ownership !== this.ownership) return;
    const at = this.ports.clock.now();
    this.epochs.show(frame.epoch, at.wall);
    this.inbox.push({ frame, delivery, at });
    this.wake();
  }

  /**
   * A part came through the store's own queue. It is no sign of ownership. So without ownership the holder is
   * told that nobody reads it here (rule 22).
   */
  receiveDirect(frame: HolderPart, settled: () => void): void {
    const at = this.ports.clock.now();
    const one: ReceivedFrame = { frame, delivery: { session: undefined, ack: settled }, at, isDirect: true };
    if (this.stopping || !this.machine) return disown([one], this.ports.outbox);
    this.epochs.show(frame.epoch, at.wall);
    this.inbox.push(one);
    this.wake();
  }

  /** A frame to a holder came back, because its queue is gone. */
  unreachable(queue: string): void {
    if (!this.machine) return;
    this.gone.ofHolders.add(queue);
    this.wake();
  }

  /** There is no queue of this session. */
  queueGone(session: string): void {
    if (!this.machine) return;
    this.gone.ofSessions.add(session);
    this.wake();
  }

  /**
   * An echo has come back through the partition's queue, or through the store's own. When it is back from
   * both, what was in them when it was sent is in the inbox before it.
   */
  echoed(echo: number, ownership: number, way: Way): void {
    if (this.stopping || !this.machine || ownership !== this.ownership) return;
    if (!this.echoes.cameBack(echo, way)) return;
    this.inbox.push({ echo, at: this.ports.clock.now() });
    this.wake();
  }

  /** The ownership is over. Another store may own the partition now. */
  lost(reason: string): void {
    if (this.machine) {
      this.ports.incidents.givenUp(this.partition, reason);
      this.trace?.gaveUp(reason);
    }
    this.forget();
  }

  private forget(): void {
    this.#ownership++;
    this.machine = undefined;
    disown(this.direct, this.ports.outbox);
    disown(this.inbox, this.ports.outbox);
    this.direct.clear();
    this.inbox = [];
    this.echoes.forget();
    this.gone.forget();
    this.unsettled.clear();
    this.loaded = undefined;
    this.timers.stop();
  }

  /** Finishes the batch under way and closes the link. Frames that are not settled go to the next store. */
  async stop(): Promise<void> {
    this.stopping = true;
    disown(this.inbox, this.ports.outbox);
    this.inbox = [];
    if (this.isBusy) await new Promise<void>((resolve) => (this.whenIdle = resolve));
    this.timers.stop();
    this.ports.outbox.flush();
    await this.link?.close();
    this.machine = undefined;
  }

  /** For operators: undefined while the partition is not owned. */
  snapshot() {
    return this.machine && { ...this.machine.snapshot(), counters: { ...this.machine.counters } };
  }

  private wake(): void {
    if (!this.isBusy && this.isDue) this.ports.loop.add(this);
  }

  private rest(): void {
    this.isBusy = false;
    this.whenIdle();
    this.wake();
  }

  private get isDue(): boolean {
    if (this.stopping || !this.link) return false;
    if (this.inbox.length > 0 || this.loaded) return true;
    const { isTickDue, isTimeDue, isScanDue } = this.timers;
    return this.machine !== undefined && (isTickDue || isTimeDue || isScanDue || this.gone.isAny);
  }

  take(): Apply | undefined {
    const { machine, ownership } = this;
    if (this.isBusy || !this.isDue) return undefined;
    this.isBusy = true;
    try {
      const loaded = machine && this.takeLoaded(machine);
      if (loaded) return this.batch(machine, ownership, loaded);
      void this.prepare(ownership);
    } catch (error) {
      void this.fail(error, ownership);
    }
    return undefined;
  }

  settled(error: unknown): void {
    const { ownership, machine, outputs, mono } = this.underWay!;
    this.underWay = undefined;
    if (error !== undefined) return void this.fail(error, ownership);
    try {
      this.trace?.applied(outputs);
      if (ownership === this.ownership) this.conclude(machine, outputs, mono);
      this.rest();
    } catch (thrown) {
      void this.fail(thrown, ownership);
    }
  }

  /** What can be stepped at once. Undefined where the repository is to be asked first. */
  private takeLoaded(machine: PartitionMachine): Loaded | undefined {
    const { loaded } = this;
    this.loaded = undefined;
    if (loaded) return loaded;
    if (this.timers.isScanDue || this.epochs.mustClaimAbove(machine.epoch)) return undefined;
    if (missingIn(machine, this.inbox).size > 0) return undefined;
    return { arrivals: this.takeInbox(), due: [] };
  }

  private takeInbox(): Arrival[] {
    const arrivals = this.inbox.filter((one) => {
      if ('echo' in one || this.epochs.counts(one.frame, one.at.wall)) return true;
      one.delivery.ack();
      return false;
    });
    for (const one of arrivals) if ('frame' in one && one.isDirect) this.direct.add(one);
    this.inbox = [];
    return arrivals;
  }

  /** Gets what is missing: the partition itself, or sessions. */
  private async prepare(ownership: number): Promise<void> {
    try {
      const machine = this.machine ?? (await this.claim(ownership));
      if (ownership === this.ownership) {
        if (this.epochs.mustClaimAbove(machine.epoch)) await this.claimAbove(machine, ownership);
        else await this.load(machine, ownership);
      }
      this.rest();
    } catch (error) {
      await this.fail(error, ownership);
    }
  }

  /** Loads the sessions that the arrivals name, and those that are due. */
  private async load(machine: PartitionMachine, ownership: number): Promise<void> {
    const arrivals = this.takeInbox();
    const ids = missingIn(machine, arrivals);
    const due = this.timers.isScanDue ? await this.findDue() : [];
    for (const { session } of due) ids.add(session);
    const { repository } = this.ports;
    const found = ids.size > 0 ? await repository.load(this.partition, [...ids]) : undefined;
    if (ownership !== this.ownership) return;
    for (const id of ids) machine.load(id, fromRepository(found?.get(id)));
    this.loaded = { arrivals, due };
  }

  private batch(machine: PartitionMachine, ownership: number, { arrivals, due }: Loaded): Apply {
    for (const one of arrivals) this.step(machine, one);
    // The driver checks time-outs last. A frame that arrived in time counts.
    const now = (this.reached = this.ports.clock.now());
    this.checkTimes(machine, due, now);
    this.gone.tell(machine, now);
    const outputs = machine.flush();
    this.trace?.applies(outputs);
    this.underWay = { ownership, machine, outputs, mono: now.mono };
    return { partition: this.partition, epoch: machine.epoch, writes: outputs.writes.map(toRepository) };
  }

  /** The batch is persisted: it is sent. */
  private conclude(machine: PartitionMachine, outputs: StoreOutputs, mono: number): void {
    if (this.failures > 0) this.ports.incidents.served(this.partition);
    this.failures = 0;
    this.send(machine.epoch, outputs);
    this.direct.clear();
    machine.sent(this.ports.clock.now());
    this.timers.tickAtDeadline(machine.nextDeadline, mono);
  }

  private step(machine: PartitionMachine, one: Arrival): void {
    if (one.at.mono > this.reached.mono) this.reached = one.at; // for the machine time never goes back
    if ('echo' in one) {
      machine.echoed(one.echo, this.reached);
      this.timers.isTickDue = true;
      return;
    }
    const { frame, delivery } = one;
    this.unsettled.set(++this.deliveries, delivery);
    if (one.isDirect) machine.receiveDirect(frame, this.deliveries, this.reached);
    else if (delivery.session === undefined) machine.receive(frame, this.deliveries, this.reached);
    else machine.receiveQueued(frame, this.deliveries, this.reached);
  }

  private checkTimes(machine: PartitionMachine, due: readonly DueSession[], now: Now): void {
    const isAnyGone = machine.due(due, now);
    // There may be more. If all of these are still in use, a scan at once would find the same sessions again.
    if (due.length === dueAtOnce) this.timers.scanLater(isAnyGone ? 0 : scanAgainMs);
    machine.endTurns(now);
    // The timer may be late while batches follow each other.
    if (this.timers.isTickDue || machine.nextDeadline <= now.mono) machine.tick(now);
    this.timers.isTickDue = this.timers.isTimeDue = false;
  }

  private async claim(ownership: number): Promise<PartitionMachine> {
    const made = await this.epochs.claim();
    if (ownership === this.ownership) {
      this.machine = made.machine;
      this.epochs.began(made);
      this.trace?.claimed(made.epochs.epoch, made.epochs.previous);
      this.reached = made.at;
      // Due sessions end even when the partition is claimed again and again.
      this.timers.isScanDue = true;
    }
    return made.machine;
  }

  /**
   * If no other store has claimed the partition, the data are older than what holders have met. Then it is
   * claimed above their epoch, and the frames are delivered again.
   */
  private async claimAbove(machine: PartitionMachine, ownership: number): Promise<void> {
    await this.ports.repository.apply(this.partition, machine.epoch, []);
    if (ownership !== this.ownership) return;
    this.epochs.dataAreOlder();
    this.forget();
    this.link?.abandon();
  }

  /** Sessions that the index names as due. */
  private findDue(): Promise<DueSession[]> {
    this.timers.isScanDue = false;
    this.timers.scanLater();
    return this.ports.repository.due(this.partition, this.ports.clock.now().wall, dueAtOnce);
  }

  private send(epoch: number, { messages, open, close, settled, echo }: StoreOutputs): void {
    const { link, partition } = this;
    const { outbox, echoDirect } = this.ports;
    if (!link) return;
    for (const [queue, list] of messages) outbox.send(queue, { partition, epoch, messages: list });
    for (const session of close) link.closeQueue(session);
    for (const session of open) link.openQueue(session);
    for (const number of settled) {
      const delivery = this.unsettled.get(number);
      if (delivery) outbox.settle(delivery);
      this.unsettled.delete(number);
    }
    const own = (mark: number) => echoDirect(partition, mark);
    if (echo !== undefined) this.echoes.send(echo, { partition: (mark) => link.echo(mark), own });
  }

  /**
   * The outcome of a failed write is unknown. Only a new claim tells what is in the repository. A failure in
   * an ownership that is over concerns nobody.
   */
  private async fail(error: unknown, ownership: number): Promise<void> {
    if (ownership === this.ownership) await this.giveUp(error, ownership);
    this.rest();
  }

  private async giveUp(error: unknown, ownership: number): Promise<void> {
    if (error instanceof DeploymentMismatchError || error instanceof OtherDeploymentError)
      this.ports.ended(error);
    if (this.stopping) return;
    const { retryMinMs, retryMaxMs } = this.settings;
    const delayMs = Math.min(retryMaxMs, retryMinMs * 2 ** this.failures++);
    const reason = error instanceof Error ? error.message : String(error);
    this.ports.incidents.failed(this.partition, reason);
    this.trace?.gaveUp(reason);
    await new Promise<void>((resolve) => this.ports.clock.after(delayMs, resolve));
    if (ownership !== this.ownership) return;
    this.forget();
    this.link?.abandon();
  }
}
