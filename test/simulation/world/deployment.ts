/**
 * A deployment on virtual time: stores over one repository and holders, all real code, on a simulated
 * network. Random days (../days) and scripted scenes (../scenes) play on it.
 */
import { LockedSessions, type SessionsSettings } from '#locked-session';
import type { HolderRules, StoreRules } from '#protocol';
import { Store, type StoreCoreSettings } from '#store';
import { Checkers } from '../checks/checkers.js';
import { Traces } from '../checks/traces.js';
import { Disk } from './disk.js';
import { Network, type NetworkFaults } from './network.js';
import { Process } from './process.js';
import { World } from './world.js';

/** Rules that a canary replaces. */
export interface Variant {
  readonly store?: Partial<StoreRules>;
  readonly holder?: Partial<HolderRules>;
  readonly checksEpochs?: boolean;
}

export interface DeploymentOptions {
  readonly seed?: number;
  readonly faults?: NetworkFaults;
  readonly stores?: number;
  readonly variant?: Variant;
  readonly store?: Partial<StoreCoreSettings>;
  readonly holder?: Partial<SessionsSettings>;
  /** Clocks run fast or slow by this part at most: 0.005 is half a percent. */
  readonly clockDrift?: number;
}

const calm: NetworkFaults = { drop: 0, duplicate: 0, delayMs: 1 };

export const storeDefaults: StoreCoreSettings = {
  partitions: 2,
  leaseMs: 5_000,
  recallTimeoutMs: 10_000,
  turnMs: 10,
  unreachableHolder: 'wait-for-lease',
  ttlMs: 600_000,
  tombstoneMs: 300_000,
  destroyedNoticeMs: 300_000,
  expiryScanMs: 1_000,
  waitersPerSession: 16,
  waitersPerPartition: 64,
  window: 32,
  standbyPollMs: 50,
  endedGrants: 8,
  cacheBytes: 16_000,
  retryMinMs: 10,
  retryMaxMs: 100,
  closeMs: 5_000,
};

export const holderDefaults: SessionsSettings = {
  partitions: storeDefaults.partitions,
  repeatMs: 300,
  renewMs: 1_000,
  writeBackMs: 0,
  queues: 'partitioned',
  sessionQueuesPerSecond: 1_000,
  sessionQueues: 1_000,
  sessionQueueExpiresMs: 60_000,
  waitersPerSession: 16,
  holdPolicy: 'until-recalled',
  drainBudgetMs: 50,
  maxWaitingScopes: 100,
  waitMs: 5_000,
  nestedWaitMs: 200,
  commitWaitMs: 5_000,
  heldSessions: 100,
  idleReleaseMs: 60_000,
  attributeBytes: 4_096,
  sessionBytes: 8_192,
  attributes: 8,
  classInstances: 'refuse',
  closeMs: 5_000,
};

interface RunningStore {
  readonly process: Process;
  readonly store: Store;
}

export class Deployment {
  readonly world: World;
  readonly checkers: Checkers;
  readonly traces: Traces;
  readonly network: Network;
  readonly disk: Disk;
  readonly holders = new Map<string, LockedSessions>();
  readonly partitions = storeDefaults.partitions;
  readonly storeSettings: StoreCoreSettings;
  private readonly processes = new Map<string, Process>();
  private readonly holderSettings: SessionsSettings;
  private readonly drift: number;
  private running: RunningStore[];
  private ids = 0;

  constructor({
    seed = 1,
    faults = calm,
    stores = 1,
    variant = {},
    store,
    holder,
    clockDrift = 0,
  }: DeploymentOptions = {}) {
    this.world = new World(seed);
    this.traces = new Traces(this.world);
    this.storeSettings = { ...storeDefaults, ...store };
    this.holderSettings = { ...holderDefaults, ...holder };
    this.checkers = new Checkers(this.world, {
      ...this.storeSettings,
      writesBack: this.writesBack,
      clockDrift,
    });
    this.network = new Network(this.world, faults, this.checkers);
    this.disk = new Disk(this.world, this.checkers, variant.checksEpochs);
    this.drift = clockDrift;
    this.variant = variant;
    this.running = Array.from({ length: stores }, (_, i) => this.makeStore(`store${i + 1}`));
  }

  private readonly variant: Variant;

  /** Rule 20: results leave before their changes are sent. */
  get writesBack(): boolean {
    return this.holderSettings.writeBackMs > 0;
  }

  get stores(): readonly Store[] {
    return this.running.map(({ store }) => store);
  }

  async start(): Promise<void> {
    await Promise.all(this.stores.map((store) => store.start()));
  }

  /** An app-server process that joins at once. */
  async holder(name: string, settings: Partial<SessionsSettings> = {}): Promise<LockedSessions> {
    const process = this.process(name);
    const ports = {
      broker: this.network.broker(process),
      clock: process.clock,
      log: this.checkers.listen(name, this.world.log(name)),
      newId: () => `regenerated-${++this.ids}`,
      trace: this.traces.of(process, 'holder'),
    };
    const all = { ...this.holderSettings, ...settings };
    const holder = new LockedSessions(name, ports, all, this.variant.holder);
    this.holders.set(name, holder);
    await holder.start();
    return holder;
  }

  /** The process of a holder or store, for pauses. */
  process(name: string): Process {
    let process = this.processes.get(name);
    if (!process) {
      const rate = 1 + (2 * this.world.random.next() - 1) * this.drift;
      this.processes.set(name, (process = new Process(this.world, name, rate)));
    }
    return process;
  }

  /** Stops a holder or a store. The broker notices a long stop. */
  stop(name: string, ms: number, suspended = false): void {
    const process = this.process(name);
    process.stop(ms, suspended);
    this.network.silenced(process);
  }

  kill(name: string): void {
    const process = this.process(name);
    process.kill();
    this.network.silenced(process);
    this.holders.delete(name);
    this.running = this.running.filter((one) => one.process !== process);
  }

  /** A new store process, over the same disk. */
  async startStore(name: string): Promise<void> {
    const one = this.makeStore(name);
    this.running.push(one);
    await one.store.start();
  }

  /** The names of the running stores. */
  get storeNames(): string[] {
    return this.running.map(({ process }) => process.name);
  }

  private makeStore(name: string): RunningStore {
    const process = this.process(name);
    const ports = {
      broker: this.network.broker(process),
      repository: this.disk.view(process),
      clock: process.clock,
      log: this.world.log(name),
      trace: this.traces.of(process, 'store'),
    };
    return { process, store: new Store(ports, this.storeSettings, this.variant.store) };
  }

  /** Runs the world until the promise has settled, for at most `limitMs` of its time. */
  until<T>(promise: Promise<T>, limitMs = 600_000): Promise<T> {
    return this.world.until(promise, limitMs);
  }

  /** All holders close, then all stores. Nothing may be left. */
  async rest(): Promise<void> {
    const { checkers, holders, stores } = this;
    const end = Promise.all([...holders.values()].map((holder) => holder.close())).then(() =>
      Promise.all(stores.map((store) => store.stop())),
    );
    await this.until(end, 120_000).catch((error: unknown) =>
      checkers.violation(`the deployment does not come to rest: ${String(error)}`),
    );
    for (const [name, holder] of holders) {
      const { held, waiting } = holder.counters();
      if (held > 0 || waiting > 0)
        checkers.violation(`${name} ends with ${held} held and ${waiting} waiting`);
    }
  }
}
