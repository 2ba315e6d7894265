/**
 * The store: serves every partition through the broker. Frames that do not parse are counted, logged and dropped here; all others reach
 * the driver of their partition, by way of `dispatch` where a transport wants to hand them over itself.
 */
import type { Broker, Delivery } from '#broker';
import {
  decodeHolderFrame,
  isAskFor,
  limits,
  partitionHash,
  PartitionMachine,
  type HolderFrame,
} from '#protocol';
import { DeploymentMismatchError, OccupiedError } from '#repository';
import {
  PartitionDriver,
  type MachineFactory,
  type PartitionPorts,
  type PartitionSettings,
} from './partition.driver.js';

export interface StorePorts extends PartitionPorts {
  readonly broker: Broker;
}

export interface StoreCoreSettings extends PartitionSettings {
  /** Frames that may be with the store, beside those that hold waiting requests, for each partition. */
  readonly window: number;
  /** How often a store that stands by looks whether the repository is free, in milliseconds. */
  readonly standbyPollMs: number;
}

/** A destroyed session is remembered for half an hour beyond the longest wait (rule 14), in milliseconds. */
export const tombstoneMs = limits.waitMs + 30 * 60_000;

/** Hands a frame over: `accept` must be called with it, once, in the order of dispatching. */
export type Dispatch = (frame: HolderFrame, accept: (frame: HolderFrame) => void) => void;

export class Store {
  readonly counters = { frames: 0, badFrames: 0 };
  private drivers: PartitionDriver[] = [];
  private stopping = false;
  private wake = () => {};

  constructor(
    private readonly ports: StorePorts,
    private readonly settings: StoreCoreSettings,
    private readonly makeMachine: MachineFactory = (...of) => new PartitionMachine(...of),
  ) {}

  /**
   * Opens the repository and gets in line for every partition. While another store has the repository for itself this one stands by, to take its place. Resolves without
   * having started when it is stopped before. Throws a `RepositoryError` when the repository cannot be used, or belongs to a
   * deployment with another number of partitions.
   */
  async start(dispatch: Dispatch = (frame, accept) => accept(frame)): Promise<void> {
    const { broker, repository } = this.ports;
    await this.open();
    if (this.stopping) return;
    const mine = { partitions: this.settings.partitions, hash: partitionHash };
    const recorded = (await repository.deployment()) ?? mine;
    if (recorded.partitions !== mine.partitions || recorded.hash !== mine.hash) {
      throw new DeploymentMismatchError(recorded, mine);
    }
    // A waiting request keeps its frame unacknowledged: the releases that end the wait must still come through.
    const prefetch = this.settings.waitersPerPartition + this.settings.window;
    this.drivers = Array.from(
      { length: this.settings.partitions },
      (_, partition) => new PartitionDriver(partition, this.ports, this.settings, this.makeMachine),
    );
    await Promise.all(
      this.drivers.map(async (driver) => {
        const server = {
          received: (delivery: Delivery) => this.received(driver, delivery, dispatch),
          lost: (reason: string) => driver.lost(reason),
          unreachable: (queue: string) => driver.unreachable(queue),
          queueGone: (session: string) => driver.queueGone(session),
        };
        driver.attach(await broker.serve(driver.partition, { prefetch }, server));
      }),
    );
  }

  /** Finishes what is under way, leaves every line, closes the broker and then the repository. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.wake();
    await Promise.all(this.drivers.map((driver) => driver.stop()));
    await this.ports.broker.close();
    await this.ports.repository.close();
  }

  /** For operators: the partitions that this store owns now. */
  snapshot() {
    const partitions = this.drivers.map((driver) => driver.snapshot()).filter((owned) => owned !== undefined);
    return { ...this.counters, partitions };
  }

  private async open(): Promise<void> {
    const { repository, clock, log } = this.ports;
    for (let told = false; !this.stopping; told = true) {
      try {
        await repository.open();
        if (told) log.log('the repository is free: taking over');
        return;
      } catch (error) {
        if (!(error instanceof OccupiedError)) throw error;
        if (!told) log.log(`standing by: ${error.message}`);
        await new Promise<void>((resolve) => {
          const cancel = clock.after(this.settings.standbyPollMs, resolve);
          this.wake = () => {
            cancel();
            resolve();
          };
        });
      }
    }
  }

  private received(driver: PartitionDriver, delivery: Delivery, dispatch: Dispatch): void {
    let frame: HolderFrame;
    try {
      frame = decodeHolderFrame(delivery.bytes);
      if (frame.partition !== driver.partition) {
        throw new Error(`it is for partition ${frame.partition} of another deployment`);
      }
      if (delivery.session !== undefined && !isAskFor(delivery.session, frame.messages)) {
        throw new Error(`it is no acquire of session ${delivery.session}, in whose queue it was`);
      }
    } catch (error) {
      this.counters.badFrames++;
      this.ports.log.warn(
        `partition ${driver.partition}: dropped a frame of ${delivery.bytes.length} bytes from ` +
          `${delivery.sender ?? 'an unnamed sender'}: ${(error as Error).message}`,
      );
      delivery.ack();
      return;
    }
    this.counters.frames++;
    dispatch(frame, (accepted) => driver.receive(accepted, delivery));
  }
}
