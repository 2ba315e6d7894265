/**
 * The store: serves every partition through the broker. Frames that do not parse are counted, logged and
 * dropped here. All others reach the driver of their partition, through `dispatch` when a transport hands
 * them over.
 */
import { keptAlive, type Broker, type Delivery, type StoreLink, type StoreServer } from '#broker';
import {
  decodeHolderFrame,
  isAcquireOf,
  isRequest,
  limits,
  OtherVersionError,
  partitionHash,
  protocolVersion,
  type HolderFrame,
  type OtherVersion,
  type StoreRules,
} from '#protocol';
import { DeploymentMismatchError, InUseError } from '#repository';
import { BatchLoop } from './batch-loop.js';
import { Handover, type Dispatch } from './handover.js';
import { PartitionIncidents } from './partition-incidents.js';
import { Outbox } from './outbox.js';
import { OtherVersions } from './other-versions.js';
import { PartitionDriver } from './partition-driver.js';
import type { PartitionPorts, PartitionSettings } from './partition-settings.js';
import { SessionMemory } from './session-memory.js';

export interface StorePorts extends Omit<
  PartitionPorts,
  'loop' | 'incidents' | 'outbox' | 'echoDirect' | 'ended'
> {
  readonly broker: Broker;
  /** Is called when the store has to stand by. Without it the log has a line. */
  readonly standsBy?: (why: string) => void;
  /** Is called at most once, when the store has ended by itself. The log has said why. */
  readonly failed?: (error: Error) => void;
}

export interface StoreCoreSettings extends PartitionSettings {
  /** Most bytes of memory for the state of sessions, over all partitions. */
  readonly cacheBytes: number;
  /**
   * Frames of a partition that may be with the store, beside those of waiting requests. As many may be of the
   * store's own queue.
   */
  readonly window: number;
  /** How long an orderly stop may take, and one second more at worst, in milliseconds. */
  readonly closeMs: number;
  /** How often a store that stands by checks whether the repository is free, in milliseconds. */
  readonly standbyPollMs: number;
}

/** A destroyed session is remembered for half an hour beyond the longest wait (rule 14), in milliseconds. */
export const tombstoneMs = limits.waitMs + 30 * 60_000;

/** The time that each part of an orderly stop has in any case, in milliseconds. */
const lastMs = 300;

export class Store {
  readonly counters = { frames: 0, badFrames: 0 };
  private readonly incidents: PartitionIncidents;
  private readonly otherVersions = new OtherVersions();
  private readonly memory: SessionMemory;
  private readonly loop: BatchLoop;
  private readonly outbox: Outbox;
  private drivers: PartitionDriver[] = [];
  private link: StoreLink | undefined;
  private stopped: Promise<void> | undefined;
  private wake = () => {};

  constructor(
    private readonly ports: StorePorts,
    private readonly settings: StoreCoreSettings,
    /** Decisions that a test replaces. */
    private readonly rules: Partial<StoreRules> = {},
  ) {
    this.incidents = new PartitionIncidents(ports.clock, ports.log);
    this.memory = new SessionMemory(settings.cacheBytes);
    this.outbox = new Outbox(ports.clock, ports.log);
    this.loop = new BatchLoop(ports.repository, this.memory, this.outbox);
  }

  /**
   * Opens the repository and joins the queue for every partition. While another store has the repository for
   * itself, this one stands by to take its place. When it is stopped meanwhile, it resolves without having
   * started. Throws a `RepositoryError` when the repository cannot be used, or belongs to a deployment with
   * another number of partitions. Throws the error of `Broker.serve` when an operator must act first.
   */
  start(dispatch: Dispatch = (frames, accept) => accept(frames)): Promise<void> {
    return keptAlive(this.ports.clock, () => this.begin(new Handover(dispatch)));
  }

  private async begin(handover: Handover): Promise<void> {
    const { broker, repository } = this.ports;
    await this.open();
    if (this.stopped) return;
    const mine = { partitions: this.settings.partitions, hash: partitionHash };
    const recorded = (await repository.deployment()) ?? mine;
    if (recorded.partitions !== mine.partitions || recorded.hash !== mine.hash) {
      throw new DeploymentMismatchError(recorded, mine);
    }
    // A waiting request keeps its frame unacknowledged, and so does the knock of each queue that is consumed.
    // The releases that end the waits must still be delivered.
    const prefetch = 2 * this.settings.waitersPerPartition + this.settings.window;
    this.drivers = Array.from({ length: this.settings.partitions }, (_, partition) => this.driver(partition));
    const serve = async (driver: PartitionDriver) => {
      const server = {
        received: (delivery: Delivery) => this.received(driver, delivery, handover),
        lost: (reason: string) => driver.lost(reason),
        queueGone: (session: string) => driver.queueGone(session),
        echoed: (mark: number) => handover.echo(driver, mark, 'partition'),
      };
      const link = await broker.serve(driver.partition, { prefetch }, server);
      driver.attach(link);
    };
    const join = async () => {
      this.link = await broker.openStore({ prefetch: this.settings.window }, this.ownQueue(handover));
      this.outbox.attach(this.link);
      await Promise.all(this.drivers.map(serve));
    };
    await join().catch((error: unknown) => {
      if (!this.stopped) throw error; // else it was closed before it was connected
    });
  }

  /**
   * Finishes the batches under way, closes every link, the broker and then the repository. All of it has
   * `closeMs`. The log names the parts that did not end. App servers repeat what was not acknowledged.
   */
  stop(): Promise<void> {
    return (this.stopped ??= keptAlive(this.ports.clock, () => this.end()));
  }

  private async end(): Promise<void> {
    const { clock, log, broker, repository } = this.ports;
    this.wake();
    const closeBy = clock.now().mono + this.settings.closeMs;
    const late: string[] = [];
    const within = async (what: string, ends: Promise<unknown>): Promise<void> => {
      const limitMs = Math.max(lastMs, closeBy - clock.now().mono);
      if (await this.takesLonger(ends, limitMs)) late.push(what);
    };
    await within('partitions', Promise.all(this.drivers.map((driver) => driver.stop())));
    this.incidents.close();
    await within('broker', broker.close());
    await within('repository', repository.close());
    this.ports.trace?.close();
    if (late.length > 0)
      log.warn(
        `stopped without the end of: ${late.join(', ')}. What was not acknowledged is repeated by app ` +
          'servers',
      );
  }

  private async takesLonger(ends: Promise<unknown>, limitMs: number): Promise<boolean> {
    let cancel = () => {};
    const late = new Promise<true>((resolve) => {
      cancel = this.ports.clock.after(limitMs, () => resolve(true));
    });
    return (await Promise.race([ends, late]).finally(cancel)) === true;
  }

  private driver(partition: number): PartitionDriver {
    const ended = (error: Error) => this.fail(error);
    const echoDirect = (of: number, mark: number) => this.link?.echo(of, mark) ?? false;
    const { loop, incidents, outbox } = this;
    const ports = { ...this.ports, loop, incidents, outbox, echoDirect, ended };
    const driver = new PartitionDriver(partition, ports, this.settings, this.rules);
    this.memory.add(driver);
    return driver;
  }

  /** For operators: the partitions that this store owns now. */
  snapshot() {
    const partitions = this.drivers.map((driver) => driver.snapshot()).filter((owned) => owned !== undefined);
    return { ...this.counters, partitions };
  }

  /** This process can never be a store again. So it stops, and another one can take over. */
  private fail(reason: Error): void {
    if (this.stopped) return;
    this.ports.log.error(`the store ends: ${reason.message}`);
    this.stop().catch(() => {}); // the log has told what matters
    this.ports.failed?.(reason);
  }

  private untilNextPoll(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.ports.clock.after(this.settings.standbyPollMs, resolve);
      this.wake = () => {
        cancel();
        resolve();
      };
    });
  }

  private async open(): Promise<void> {
    const { repository, log } = this.ports;
    const events = {
      waits: (why: string) => log.warn(why),
      lost: (error: Error) => this.fail(error),
    };
    const { standsBy = (why: string) => log.log(`standing by: ${why}`) } = this.ports;
    for (let told = false; !this.stopped; told = true) {
      try {
        await repository.open(events);
        if (told) log.log('the repository is free: taking over');
        return;
      } catch (error) {
        // oxlint-disable-next-line typescript/no-unnecessary-condition -- it may have been stopped meanwhile
        if (this.stopped) return;
        if (!(error instanceof InUseError)) throw error;
        if (!told) standsBy(error.message);
        await this.untilNextPoll();
      }
    }
  }

  /** What comes through the store's own queue (rule 22). */
  private ownQueue(handover: Handover): StoreServer {
    return {
      opened: (key) => (this.outbox.key = key),
      closed: () => (this.outbox.key = ''),
      received: (delivery) => this.receivedDirect(delivery, handover),
      unreachable: (queue) => {
        for (const driver of this.drivers) driver.unreachable(queue);
      },
      echoed: (partition, mark) => {
        const driver = this.drivers[partition];
        if (driver) handover.echo(driver, mark, 'own');
      },
    };
  }

  private receivedDirect(delivery: Delivery, handover: Handover): void {
    const frame = this.read("the store's own queue", delivery, ({ parts }) => {
      for (const { partition, messages } of parts) {
        if (!this.drivers[partition]) throw new Error(otherDeployment(partition));
        if (messages.some(isRequest)) throw new Error("it has a request, which goes to a partition's queue");
      }
    });
    if (frame) handover.direct(({ partition }) => this.drivers[partition]!, frame, delivery);
  }

  private received(driver: PartitionDriver, delivery: Delivery, handover: Handover): void {
    const frame = this.read(`partition ${driver.partition}`, delivery, ({ parts }) => {
      const { partition, messages } = parts[0]!;
      if (partition !== driver.partition || parts.length > 1) throw new Error(otherDeployment(partition));
      if (delivery.session !== undefined && !isAcquireOf(delivery.session, messages))
        throw new Error(`it is no acquire of session ${delivery.session}, in whose queue it was`);
    });
    if (frame) handover.frame(driver, frame, delivery);
  }

  /** The frame. Undefined when it does not parse, or `check` throws. */
  private read(
    where: string,
    delivery: Delivery,
    check: (frame: HolderFrame) => void,
  ): HolderFrame | undefined {
    try {
      const frame = decodeHolderFrame(delivery.bytes);
      check(frame);
      this.counters.frames++;
      return frame;
    } catch (error) {
      this.counters.badFrames++;
      if (error instanceof OtherVersionError) this.refuseVersion(error.frame);
      else
        this.ports.log.warn(
          `${where}: dropped a frame of ${delivery.bytes.length} bytes from ` +
            `${delivery.sender ?? 'an unnamed sender'}: ${(error as Error).message}`,
        );
      delivery.ack();
      return undefined;
    }
  }

  /**
   * Answers a frame of another protocol version. Without an answer the scopes of its holder would wait in
   * vain.
   */
  private refuseVersion(frame: OtherVersion): void {
    const { clock, log } = this.ports;
    const { holder, queue = '', version, partition } = frame;
    const { isNew, isDue } = this.otherVersions.heard(frame, clock.now().mono);
    if (isNew)
      log.error(
        `app server ${holder} speaks protocol version ${version}, but this store ${protocolVersion}: its ` +
          'frames are refused; ' +
          'run one release of locked-session on both sides',
      );
    const answer = { kind: 'mismatch', store: protocolVersion, holder: version } as const;
    if (isDue) this.outbox.send(queue, { partition, epoch: 0, messages: [answer] });
  }
}

const otherDeployment = (partition: number) => `it is for partition ${partition} of another deployment`;
