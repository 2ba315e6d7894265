/**
 * For races between stores that each take themselves for the owner of a partition. The test decides which of
 * them gets the partition's frames, and the broker tells neither of them.
 */
import type { Broker, Clock, HolderClient, PartitionServer, StoreServer } from '#broker';
import { LockedSessions, type SessionsSettings } from '#locked-session';
import type { HolderRules, StoreRules } from '#protocol';
import type { MemoryRepository } from '#repository';
import { Store, type StoreCoreSettings } from '#store';
import { holderDefaults, storeDefaults } from '../world/deployment.js';
import { World } from '../world/world.js';

export const competingLeaseMs = 2_000;
const storeSettings: StoreCoreSettings = {
  ...storeDefaults,
  partitions: 1,
  leaseMs: competingLeaseMs,
  expiryScanMs: 60_000,
};
const holderSettings: SessionsSettings = { ...holderDefaults, partitions: 1, renewMs: 500, waitMs: 20_000 };

/** What one store has for itself. */
interface OtherStore {
  readonly repository?: MemoryRepository;
  readonly clock?: Clock;
  readonly rules?: Partial<StoreRules> | undefined;
}

/**
 * Stores over one repository, and a broker that gives a partition's frames to the store that the test names.
 */
export class CompetingStores {
  readonly world = new World(1);
  private readonly servers = new Map<string, PartitionServer>();
  private readonly stores = new Map<string, StoreServer>();
  private readonly owners = new Map<number, string>();
  private readonly holders = new Map<string, HolderClient>();
  /** Holders that are cut off, both ways. */
  readonly cutOff = new Set<string>();

  constructor(private readonly repository: MemoryRepository) {}

  async store(
    name: string,
    settings: Partial<StoreCoreSettings> = {},
    { repository = this.repository, clock = this.world.clock, rules }: OtherStore = {},
  ): Promise<void> {
    const ports = { broker: this.broker(name), repository, clock, log: this.world.log(name) };
    await new Store(ports, { ...storeSettings, ...settings }, rules).start();
  }

  async holder(name: string, partitions = 1, rules?: Partial<HolderRules>): Promise<LockedSessions> {
    const newId = () => 'unused';
    const ports = { broker: this.broker(name), clock: this.world.clock, log: this.world.log(name), newId };
    const sessions = new LockedSessions(name, ports, { ...holderSettings, partitions }, rules);
    await sessions.start();
    return sessions;
  }

  /** From now on the partition's frames go to this store. */
  route(partition: number, store: string): void {
    this.owners.set(partition, store);
  }

  /** The store's own queue is gone. */
  closeQueue(store: string): void {
    this.stores.delete(store);
  }

  until<T>(promise: Promise<T>): Promise<T> {
    return this.world.until(promise, 60_000);
  }

  private broker(name: string): Broker {
    const counters = { framesSent: 0, framesReceived: 0, framesDropped: 0, reconnects: 0 };
    const reaches = (holder: string, arrive: () => void) => {
      this.world.after(1, () => {
        if (!this.cutOff.has(holder)) arrive();
      });
      return true;
    };
    return {
      counters,
      serve: async (partition, _options, server) => {
        this.servers.set(`${name} ${partition}`, server);
        return {
          echo: (mark) => {
            this.world.after(2, () => {
              if (this.owners.get(partition) === name) server.echoed(mark);
            });
            return true;
          },
          openQueue: () => {},
          closeQueue: () => {},
          // No other store gets the frames for that. Senders repeat what was not acknowledged.
          abandon: () => {},
          close: async () => {},
        };
      },
      openStore: async (_options, server) => {
        this.stores.set(name, server);
        this.world.after(0, () => server.opened(name));
        return {
          send: (queue, bytes) => reaches(queue, () => this.holders.get(queue)?.received(bytes)),
          echo: (partition, mark) => {
            this.world.after(2, () => server.echoed(partition, mark));
            return true;
          },
          maxFrameBytes: Infinity,
          close: async () => {},
        };
      },
      join: async (holder, client) => {
        this.holders.set(holder, client);
        this.world.after(0, () => client.connected(holder));
        const delivery = (bytes: Uint8Array) => ({
          bytes,
          sender: holder,
          session: undefined,
          ack: () => {},
        });
        const to = (partition: number) => this.servers.get(`${this.owners.get(partition)} ${partition}`);
        return {
          send: (partition, bytes) => reaches(holder, () => to(partition)?.received(delivery(bytes))),
          sendToStore: (key, bytes) =>
            reaches(holder, () => {
              const store = this.stores.get(key);
              if (store) store.received(delivery(bytes));
              else client.returned(key);
            }),
          maxFrameBytes: Infinity,
          enqueue: async () => 'lost',
          close: async () => {},
        };
      },
      close: async () => {},
    };
  }
}
