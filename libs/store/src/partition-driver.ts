/**
 * Drives one partition's state machine: receive, load, step, persist, send, acknowledge. What arrives while a
 * batch is written becomes the next batch, so one transaction serves many frames. After a failure, or when
 * the channel is lost, the driver forgets the partition's memory. It claims the partition again when the next
 * frame is delivered (rule 13).
 */
import type { Clock, Delivery, Log, PartitionLink } from '#broker';
import {
  partitionHash,
  storeRules,
  type ClaimedEpochs,
  type HolderPart,
  type Now,
  PartitionMachine,
  type StoreOutputs,
  type StoreParameters,
  type StoreRules,
} from '#protocol';
import type { TraceSink } from '#trace';
import { MessageSender } from './message-sender.js';
import type { PartitionIncidents } from './partition-incidents.js';
import {
  DeploymentMismatchError,
  OtherDeploymentError,
  type DueSession,
  type SessionRepository,
} from '#repository';
import { PartitionTrace } from './partition-trace.js';
import { fromRepository, toRepository } from './stored-session.js';

export interface PartitionPorts {
  readonly repository: SessionRepository;
  readonly clock: Clock;
  readonly log: Log;
  /** Is told what the store does, where tracing is set. */
  readonly trace?: TraceSink | undefined;
  /** Is called with the reason when this store can never serve again. */
  readonly ended: (error: Error) => void;
}

export interface PartitionSettings extends StoreParameters {
  /** How often a partition looks for sessions that are due, in milliseconds. */
  readonly expiryScanMs: number;
  /** Most bytes of session state that one partition keeps in memory. */
  readonly cacheBytes: number;
  /**
   * The pause after a failure, before the partition is given up. It doubles with each failure, up to
   * `retryMaxMs`. In milliseconds.
   */
  readonly retryMinMs: number;
  readonly retryMaxMs: number;
}

/** Most sessions that one scan finds due. */
const dueAtOnce = 256;
/** The pause before the next scan when all that were found are still in use, in milliseconds. */
const scanAgainMs = 1_000;

/** A frame with the time of its arrival. Leases and waits count from then (rules 2 and 8). */
interface ReceivedFrame {
  readonly frame: HolderPart;
  readonly delivery: Delivery;
  readonly at: Now;
}

type Arrival = ReceivedFrame | { readonly echo: number; readonly at: Now };

export class PartitionDriver {
  private readonly rules: StoreRules;
  private machine: PartitionMachine | undefined;
  private claimed: ClaimedEpochs = { epoch: 0, previous: 0 };
  /** The highest epoch that a holder has shown and that is to be believed (rule 13). */
  private shown = 0;
  private inbox: Arrival[] = [];
  private readonly unsettled = new Map<number, Delivery>();
  private deliveries = 0;
  #ownership = 0;
  /** The latest time that the machine was given. */
  private reached: Now = { mono: -Infinity, wall: 0 };
  private failures = 0;
  private running: Promise<void> | undefined;
  private stopping = false;
  private readonly gone = new Set<string>();
  private readonly queuesGone = new Set<string>();
  private readonly sender: MessageSender;
  private tickDue = false;
  /** A deadline may have come. */
  private timeDue = false;
  private cancelTick: (() => void) | undefined;
  private scanDue = false;
  private cancelScan: (() => void) | undefined;
  private link: PartitionLink | undefined;
  private readonly trace: PartitionTrace | undefined;

  constructor(
    readonly partition: number,
    private readonly ports: PartitionPorts,
    private readonly incidents: PartitionIncidents,
    private readonly settings: PartitionSettings,
    rules: Partial<StoreRules>,
  ) {
    this.rules = { ...storeRules, ...rules };
    this.sender = new MessageSender(partition, ports.log);
    this.trace = ports.trace && new PartitionTrace(ports.trace, partition);
  }

  /** Answers go there. Frames that were received before wait for it. */
  attach(link: PartitionLink): void {
    this.link = link;
    this.pump();
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
    if (this.rules.isBelievable(frame.epoch, at.wall)) this.shown = Math.max(this.shown, frame.epoch);
    this.inbox.push({ frame, delivery, at });
    this.pump();
  }

  /** Sends a holder an answer that concerns no session, without owning the partition. */
  answer(queue: string, bytes: Uint8Array): void {
    this.link?.send(queue, bytes);
  }

  /** A frame to a holder came back, because its queue is gone. */
  unreachable(queue: string): void {
    if (!this.machine) return;
    this.gone.add(queue);
    this.pump();
  }

  /** There is no queue of this session. */
  queueGone(session: string): void {
    if (!this.machine) return;
    this.queuesGone.add(session);
    this.pump();
  }

  /** An echo has come back. What was in the queue when it was sent is in the inbox before it. */
  echoed(echo: number): void {
    if (this.stopping || !this.machine) return;
    this.inbox.push({ echo, at: this.ports.clock.now() });
    this.pump();
  }

  /** The ownership is over. Another store may own the partition now. */
  lost(reason: string): void {
    if (this.machine) this.incidents.givenUp(this.partition, reason);
    if (this.machine) this.trace?.gaveUp(reason);
    this.forget();
  }

  private forget(): void {
    this.#ownership++;
    this.machine = undefined;
    this.inbox = [];
    this.gone.clear();
    this.queuesGone.clear();
    this.unsettled.clear();
    this.cancelTick?.();
    this.cancelScan?.();
  }

  /** Finishes the batch under way and closes the link. Frames that are not settled go to the next store. */
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
      ((this.tickDue || this.timeDue || this.scanDue || isToldSomething) && this.machine !== undefined)
    );
  }

  private async run(): Promise<void> {
    while (this.due) {
      const { ownership } = this;
      try {
        await this.batch(ownership);
        if (this.failures > 0) this.incidents.served(this.partition);
        this.failures = 0;
      } catch (error) {
        if (ownership === this.ownership) await this.fail(error, ownership);
      }
    }
  }

  private async batch(ownership: number): Promise<void> {
    const machine = this.machine ?? (await this.claim(ownership));
    if (ownership !== this.ownership) return;
    if (this.rules.mustClaimAbove(this.shown, machine.epoch)) return this.claimAbove(machine, ownership);
    const batch = this.inbox.filter((one) => 'echo' in one || this.counts(one));
    this.inbox = [];
    const ids = new Set(batch.flatMap((one) => ('frame' in one ? machine.missing(one.frame) : [])));
    const due = this.scanDue ? await this.findDue() : [];
    for (const { session } of due) ids.add(session);
    await this.load(machine, ids);
    if (ownership !== this.ownership) return;

    for (const one of batch) this.step(machine, one);
    // The driver checks time-outs last. A frame that arrived in time counts.
    const now = (this.reached = this.ports.clock.now());
    this.checkTimes(machine, due, now);
    this.tellWhatIsGone(machine, now);
    const outputs = machine.flush();
    this.trace?.applies(outputs);
    await this.ports.repository.apply(this.partition, machine.epoch, outputs.writes.map(toRepository));
    this.trace?.applied(outputs);
    if (ownership !== this.ownership) return;
    this.send(machine.epoch, outputs);
    machine.sent(this.ports.clock.now());
    machine.evict(this.settings.cacheBytes);
    this.schedule(machine, now.mono);
  }

  private step(machine: PartitionMachine, one: Arrival): void {
    if (one.at.mono > this.reached.mono) this.reached = one.at; // for the machine time never goes back
    if ('echo' in one) {
      machine.echoed(one.echo, this.reached);
      this.tickDue = true;
      return;
    }
    const { frame, delivery } = one;
    this.unsettled.set(++this.deliveries, delivery);
    if (delivery.session === undefined) machine.receive(frame, this.deliveries, this.reached);
    else machine.receiveQueued(frame, this.deliveries, this.reached);
  }

  private checkTimes(machine: PartitionMachine, due: readonly DueSession[], now: Now): void {
    const isAnyGone = machine.due(due, now);
    // There may be more. If all of these are still in use, a scan at once would find the same sessions again.
    if (due.length === dueAtOnce) this.scanLater(isAnyGone ? 0 : scanAgainMs);
    machine.endTurns(now);
    // Each batch restarts the timer. While batches follow each other, it never fires.
    if (this.tickDue || machine.nextDeadline <= now.mono) machine.tick(now);
    this.tickDue = this.timeDue = false;
  }

  private tellWhatIsGone(machine: PartitionMachine, now: Now): void {
    for (const queue of this.gone) machine.unreachable(queue, now);
    this.gone.clear();
    for (const session of this.queuesGone) machine.queueGone(session, now);
    this.queuesGone.clear();
  }

  /** Rule 13: whether the frame is read. The log names an epoch that these data do not know. */
  private counts({ frame: { epoch, holder }, delivery, at }: ReceivedFrame): boolean {
    const verdict = this.rules.judgeShownEpoch(epoch, this.claimed, at.wall);
    if (verdict === 'lost') this.incidents.dataAreOlder(this.partition, epoch);
    if (verdict !== 'unbelievable') return true;
    this.incidents.cannotBelieve(holder, epoch);
    delivery.ack();
    return false;
  }

  /**
   * Holders know a higher epoch than this owner's, and would drop its frames. If no other store has claimed
   * the partition, the data are older than the holders. Then it is claimed above their epoch, and the frames
   * are delivered again.
   */
  private async claimAbove(machine: PartitionMachine, ownership: number): Promise<void> {
    await this.ports.repository.apply(this.partition, machine.epoch, []);
    if (ownership !== this.ownership) return;
    this.incidents.dataAreOlder(this.partition, this.shown);
    this.forget();
    this.link?.abandon();
  }

  private async claim(ownership: number): Promise<PartitionMachine> {
    const { partitions, leaseMs } = this.settings;
    const deployment = { partitions, hash: partitionHash, leaseMs };
    const { repository, clock } = this.ports;
    // It is the time, so that no epoch comes twice, even with older data (rule 13).
    const floor = Math.max(Math.floor(clock.now().wall), this.shown + 1);
    const { epoch, previous, longestLeaseMs } = await repository.claim(this.partition, deployment, floor);
    const now = clock.now();
    const owned = { since: now.mono, longestLeaseMs };
    const machine = new PartitionMachine(this.partition, epoch, this.settings, owned, this.rules);
    if (ownership === this.ownership) {
      this.machine = machine;
      this.claimed = { epoch, previous };
      this.trace?.claimed(epoch, previous);
      this.reached = now;
      // Due sessions end even when the partition is claimed again and again.
      this.scanDue = true;
    }
    return machine;
  }

  /** Sessions that the index names as due. */
  private findDue(): Promise<DueSession[]> {
    this.scanDue = false;
    this.scanLater();
    return this.ports.repository.due(this.partition, this.ports.clock.now().wall, dueAtOnce);
  }

  private scanLater(maxMs = Infinity): void {
    this.cancelScan?.();
    this.cancelScan = this.ports.clock.after(Math.min(maxMs, this.settings.expiryScanMs), () => {
      this.scanDue = true;
      this.pump();
    });
  }

  private async load(machine: PartitionMachine, ids: ReadonlySet<string>): Promise<void> {
    if (ids.size === 0) return;
    const found = await this.ports.repository.load(this.partition, [...ids]);
    for (const id of ids) machine.load(id, fromRepository(found.get(id)));
  }

  private send(epoch: number, { messages, open, close, settled, echo }: StoreOutputs): void {
    const { link } = this;
    if (!link) return;
    for (const [queue, list] of messages) this.sender.send(link, queue, epoch, list);
    for (const session of close) link.closeQueue(session);
    for (const session of open) link.openQueue(session);
    for (const number of settled) {
      this.unsettled.get(number)?.ack();
      this.unsettled.delete(number);
    }
    if (echo !== undefined) link.echo(echo);
  }

  private schedule(machine: PartitionMachine, mono: number): void {
    this.cancelTick?.();
    if (machine.nextDeadline === Infinity) return;
    this.cancelTick = this.ports.clock.after(Math.max(1, machine.nextDeadline - mono), () => {
      this.timeDue = true;
      this.pump();
    });
  }

  /** The outcome of a failed write is unknown. Only a new claim tells what is in the repository. */
  private async fail(error: unknown, ownership: number): Promise<void> {
    if (error instanceof DeploymentMismatchError || error instanceof OtherDeploymentError)
      this.ports.ended(error);
    if (this.stopping) return;
    const { retryMinMs, retryMaxMs } = this.settings;
    const delayMs = Math.min(retryMaxMs, retryMinMs * 2 ** this.failures++);
    const reason = error instanceof Error ? error.message : String(error);
    this.incidents.failed(this.partition, reason);
    this.trace?.gaveUp(reason);
    await new Promise<void>((resolve) => this.ports.clock.after(delayMs, resolve));
    if (ownership !== this.ownership) return;
    this.forget();
    this.link?.abandon();
  }
}
