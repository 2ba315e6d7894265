/**
 * A deployment on virtual time: stores over one repository and holders, all real code, on a simulated network. Random days (scenario.ts) and scripted
 * scenes (scenes.spec.ts) play on it.
 */
import { LockedSessions, type SessionsSettings } from '#locked-session';
import { MemoryRepository, type SessionRepository } from '#repository';
import { Store, type MachineFactory, type StoreCoreSettings } from '#store';
import { Checkers } from './checkers.js';
import { Network, type NetworkFaults } from './network.js';
import { World } from './world.js';

/** What a canary changes: the rules under test, switched off one at a time. */
export interface Variant {
  readonly machine?: MachineFactory;
}

export interface DeploymentOptions {
  readonly seed?: number;
  readonly faults?: NetworkFaults;
  readonly stores?: number;
  readonly variant?: Variant;
  readonly store?: Partial<StoreCoreSettings>;
  readonly holder?: Partial<SessionsSettings>;
}

const calm: NetworkFaults = { drop: 0, duplicate: 0, delayMs: 1 };

const storeDefaults: StoreCoreSettings = {
  partitions: 2,
  leaseMs: 5_000,
  recallTimeoutMs: 10_000,
  unreachableHolder: 'wait-for-lease',
  ttlMs: 600_000,
  tombstoneMs: 300_000,
  expiryScanMs: 1_000,
  waitersPerSession: 16,
  waitersPerPartition: 64,
  window: 32,
  standbyPollMs: 50,
  endedGrants: 8,
  cacheBytes: 4_000,
  retryMinMs: 10,
  retryMaxMs: 100,
};

const holderDefaults: SessionsSettings = {
  partitions: storeDefaults.partitions,
  repeatMs: 300,
  renewMs: 1_000,
  writeBackMs: 0,
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
  closeMs: 5_000,
};

export class Deployment {
  readonly world: World;
  readonly checkers: Checkers;
  readonly network: Network;
  readonly holders = new Map<string, LockedSessions>();
  readonly stores: readonly Store[];
  readonly partitions = storeDefaults.partitions;
  private readonly holderSettings: SessionsSettings;

  constructor({ seed = 1, faults = calm, stores = 1, variant = {}, store, holder }: DeploymentOptions = {}) {
    this.world = new World(seed);
    this.checkers = new Checkers(this.world);
    this.network = new Network(this.world, faults, this.checkers);
    this.holderSettings = { ...holderDefaults, ...holder };
    const { clock } = this.world;
    const base = new MemoryRepository();
    this.stores = Array.from({ length: stores }, (_, i) => {
      const name = `store${i + 1}`;
      const broker = this.network.broker(name);
      const repository = watched(base, this.world, this.checkers);
      const ports = { broker, repository, clock, log: this.world.log(name) };
      return new Store(ports, { ...storeDefaults, ...store }, variant.machine);
    });
  }

  async start(): Promise<void> {
    await Promise.all(this.stores.map((store) => store.start()));
  }

  /** An app-server process, which joins at once. */
  async holder(name: string, settings: Partial<SessionsSettings> = {}): Promise<LockedSessions> {
    const ports = { broker: this.network.broker(name), clock: this.world.clock, log: this.world.log(name) };
    const holder = new LockedSessions(name, ports, { ...this.holderSettings, ...settings });
    this.holders.set(name, holder);
    await holder.start();
    return holder;
  }

  /** Runs the world until the promise has settled, for at most `limitMs` of its time. */
  async until<T>(promise: Promise<T>, limitMs = 600_000): Promise<T> {
    let settled = false;
    const seen = promise.finally(() => (settled = true));
    seen.catch(() => {});
    await this.world.run(() => settled, limitMs);
    if (!settled) throw new Error(`not settled after ${limitMs} ms`);
    return seen;
  }

  /** Everybody leaves in order; nothing may be left behind. */
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

/** A repository that takes its time, with the checkers looking at what it has written. */
function watched(base: SessionRepository, world: World, checkers: Checkers): SessionRepository {
  const later = async <T>(call: () => Promise<T>): Promise<T> => {
    await world.sleep(world.random.next() * 4);
    return call();
  };
  return {
    open: async () => {},
    deployment: () => base.deployment(),
    claim: (...of) => later(() => base.claim(...of)),
    load: (...of) => later(() => base.load(...of)),
    due: (...of) => later(() => base.due(...of)),
    apply: (partition, epoch, writes) =>
      later(async () => {
        await base.apply(partition, epoch, writes);
        checkers.written(writes);
      }),
    close: async () => {},
  };
}
