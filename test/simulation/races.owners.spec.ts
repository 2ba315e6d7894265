/**
 * Races between stores that each take themselves for the owner, over a broker whose turns the test decides; each played twice: by the rules, and
 * with the one rule switched off that stands against it, where the harm must show. The table of all races is in docs/PROTOCOL.md.
 */
import { describe, expect, it } from 'vitest';
import type { Broker, HolderClient, PartitionServer } from '#broker';
import { LockedSessions, type SessionsSettings } from '#locked-session';
import { HolderMachine, partitionOf } from '#protocol';
import { MemoryRepository, type SessionWrite } from '#repository';
import { Store, type StoreCoreSettings } from '#store';
import { add, codeOf, read, run } from './scopes.js';
import { World } from './world.js';

const leaseMs = 2_000;
const storeSettings: StoreCoreSettings = {
  partitions: 1,
  leaseMs,
  recallTimeoutMs: 10_000,
  unreachableHolder: 'wait-for-lease',
  ttlMs: 600_000,
  tombstoneMs: 300_000,
  expiryScanMs: 60_000,
  waitersPerSession: 16,
  waitersPerPartition: 64,
  window: 32,
  standbyPollMs: 50,
  endedGrants: 8,
  cacheBytes: 4_000,
  retryMinMs: 10,
  retryMaxMs: 100,
};
const holderSettings: SessionsSettings = {
  partitions: 1,
  repeatMs: 300,
  renewMs: 500,
  writeBackMs: 0,
  queues: 'partitioned',
  sessionQueuesPerSecond: 1_000,
  sessionQueues: 1_000,
  sessionQueueExpiresMs: 60_000,
  waitersPerSession: 16,
  holdPolicy: 'until-recalled',
  drainBudgetMs: 50,
  maxWaitingScopes: 100,
  waitMs: 20_000,
  nestedWaitMs: 200,
  commitWaitMs: 5_000,
  heldSessions: 100,
  idleReleaseMs: 60_000,
  attributeBytes: 4_096,
  sessionBytes: 8_192,
  attributes: 8,
  closeMs: 5_000,
};

/** Stores over one repository, and a broker that gives a partition's turn to whom the test names, and tells nobody. */
class Stage {
  readonly world = new World(1);
  private readonly servers = new Map<string, PartitionServer>();
  private readonly turns = new Map<number, string>();
  private readonly holders = new Map<string, HolderClient>();
  /** Holders whom nothing reaches, and of whom nothing arrives. */
  readonly cutOff = new Set<string>();

  constructor(private readonly repository: MemoryRepository) {}

  async store(name: string, settings: Partial<StoreCoreSettings> = {}): Promise<void> {
    const { repository } = this;
    const { clock } = this.world;
    const ports = { broker: this.broker(name), repository, clock, log: this.world.log(name) };
    await new Store(ports, { ...storeSettings, ...settings }).start();
  }

  async holder(name: string, partitions = 1, machine?: HolderMachine): Promise<LockedSessions> {
    const newId = () => 'unused';
    const ports = { broker: this.broker(name), clock: this.world.clock, log: this.world.log(name), newId };
    const sessions = new LockedSessions(name, ports, { ...holderSettings, partitions }, machine);
    await sessions.start();
    return sessions;
  }

  /** From now on the partition's frames go to this store. */
  turn(partition: number, store: string): void {
    this.turns.set(partition, store);
  }

  async until<T>(promise: Promise<T>): Promise<T> {
    let settled = false;
    const seen = promise.finally(() => (settled = true));
    seen.catch(() => {});
    await this.world.run(() => settled, 60_000);
    if (!settled) throw new Error('not settled within a minute');
    return seen;
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
          send: (queue, bytes) => reaches(queue, () => this.holders.get(queue)?.received(bytes)),
          openQueue: () => {},
          closeQueue: () => {},
          // Nobody else gets the turn for that; what was not acknowledged is repeated by its senders.
          abandon: () => {},
          close: async () => {},
        };
      },
      join: async (holder, client) => {
        this.holders.set(holder, client);
        this.world.after(0, () => client.connected(holder));
        const to = (partition: number) => this.servers.get(`${this.turns.get(partition)} ${partition}`);
        return {
          send: (partition, bytes) =>
            reaches(holder, () =>
              to(partition)?.received({ bytes, sender: holder, session: undefined, ack: () => {} }),
            ),
          ask: async () => 'lost',
          close: async () => {},
        };
      },
      close: async () => {},
    };
  }
}

describe('race 3: two owners take turns without being told', () => {
  /** Rule 7 off: where nothing is to be written, the epoch is not looked at. */
  class WritesOnly extends MemoryRepository {
    override async apply(
      ...[partition, epoch, writes]: [number, number, readonly SessionWrite[]]
    ): Promise<void> {
      if (writes.length > 0) await super.apply(partition, epoch, writes);
    }
  }

  async function play(repository: MemoryRepository) {
    const stage = new Stage(repository);
    const { world } = stage;
    await stage.store('first');
    await stage.store('second');
    stage.turn(0, 'first');
    const [one, two] = [await stage.holder('one'), await stage.holder('two')];
    await stage.until(add(one, 'old'));
    stage.cutOff.add('one');
    stage.turn(0, 'second');
    await stage.until(add(two, 'new')); // the second owner revoked what the silent one held
    stage.turn(0, 'first');
    stage.cutOff.delete('one');
    await world.run(() => false, leaseMs);
    return stage.until(read(one));
  }

  it('race 3: the first one does not answer a renewal from stale memory', async () => {
    expect(await play(new MemoryRepository())).toEqual(['old', 'new']);
    expect(await play(new WritesOnly()), 'told that its lock is still good').toEqual(['old']);
  });
});

describe('race 8: two stores count different numbers of partitions', () => {
  /** Rule 13 off: whoever claims is not asked how many partitions it counts. */
  class Uncounted extends MemoryRepository {
    override claim(...[partition, deployment]: Parameters<MemoryRepository['claim']>) {
      return super.claim(partition, { ...deployment, partitions: 1 });
    }
  }
  /** And holders do not mind what stores count. */
  class Uncounting extends HolderMachine {
    override receive(...[frame, now, told]: Parameters<HolderMachine['receive']>): void {
      const { partitions } = this.rules;
      const messages = frame.messages.map((message) =>
        message.kind === 'renewed' ? { ...message, partitions } : message,
      );
      super.receive({ ...frame, messages }, now, told);
    }
  }

  /** In partition 0 of 1, and in another one of 3. */
  const id = ['s0', 's1', 's2', 's3'].find((name) => partitionOf(name, 3) !== 0)!;

  /** How many were in the session at once, and how their visits ended. */
  async function play(repository: MemoryRepository, machine?: (partitions: number) => HolderMachine) {
    const stage = new Stage(repository);
    const { world } = stage;
    // Both start before either has claimed anything: nothing is recorded yet that could warn them.
    await Promise.all([stage.store('counts 1'), stage.store('counts 3', { partitions: 3 })]);
    stage.turn(0, 'counts 1');
    stage.turn(partitionOf(id, 3), 'counts 3');
    const [one, three] = await Promise.all(
      [1, 3].map((partitions) => stage.holder(`of${partitions}`, partitions, machine?.(partitions))),
    );
    let inside = 0;
    let most = 0;
    const visit = (holder: LockedSessions) =>
      codeOf(
        run(
          holder,
          { waitMs: 5_000 },
          async () => {
            most = Math.max(most, ++inside);
            await world.sleep(1_000);
            inside--;
          },
          id,
        ),
      );
    const ends = await stage.until(Promise.all([visit(one!), visit(three!)]));
    return { most, ends };
  }

  it('race 8: the one that claims first decides, and the other serves nobody', async () => {
    expect(await play(new MemoryRepository())).toEqual({ most: 1, ends: ['fulfilled', 'deployment'] });
    const machine = (partitions: number) => new Uncounting({ ...holderSettings, partitions });
    expect((await play(new MemoryRepository(), machine)).most, 'by the claim alone, too').toBe(1);
    expect(await play(new Uncounted(), machine), 'two owners of one session').toEqual({
      most: 2,
      ends: ['fulfilled', 'fulfilled'],
    });
  });
});
