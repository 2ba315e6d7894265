/** The loop with partitions that only count, and a store whose partitions meet different troubles. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryBroker, MemoryExchange, systemClock } from '#broker';
import {
  decodeStoreFrame,
  encodeHolderFrame,
  partitionOf,
  type HolderMessage,
  type StoreMessage,
} from '#protocol';
import { EpochLostError, MemoryRepository, type Apply } from '#repository';
import { BatchLoop, type BatchedPartition } from './batch-loop.js';
import { Store, type StoreCoreSettings } from './store.js';
import { testSettings } from './testing/settings.js';

const memory = { settle() {} };
const outbox = { flush() {} };
const turnOfTheLoop = () => new Promise((resolve) => setImmediate(resolve));

describe('the loop', () => {
  /** Each transaction, as the partitions in it. `end` ends the one under way. */
  class Transactions {
    readonly begun: string[] = [];
    end: (errors?: readonly unknown[]) => void = () => {};
    applyAll(applies: readonly Apply[]): Promise<readonly unknown[]> {
      this.begun.push(applies.map(({ partition }) => partition).join(' '));
      return new Promise((resolve) => {
        this.end = (errors = applies.map(() => undefined)) => resolve(errors);
      });
    }
  }
  class Partition implements BatchedPartition {
    readonly outcomes: unknown[] = [];
    has = true;
    constructor(private readonly partition: number) {}
    take(): Apply | undefined {
      return this.has ? { partition: this.partition, epoch: 1, writes: [] } : undefined;
    }
    settled(error: unknown): void {
      this.outcomes.push(error);
    }
  }

  it('writes what all partitions have in one turn in one transaction, and what comes meanwhile in the next', async () => {
    const transactions = new Transactions();
    const loop = new BatchLoop(transactions, memory, outbox);
    const all = [0, 1, 2].map((partition) => new Partition(partition));
    for (const partition of all.slice(0, 2)) loop.add(partition);
    await turnOfTheLoop();
    for (const partition of all.slice(1)) loop.add(partition);
    await turnOfTheLoop();
    expect(transactions.begun).toEqual(['0 1']);
    transactions.end();
    await turnOfTheLoop();
    expect(transactions.begun).toEqual(['0 1', '1 2']);
    transactions.end();
    await turnOfTheLoop();
    loop.add(all[0]!);
    await turnOfTheLoop();
    expect(transactions.begun).toEqual(['0 1', '1 2', '0']);
  });

  it('tells each partition its own outcome, and passes over those that have nothing', async () => {
    const transactions = new Transactions();
    const loop = new BatchLoop(transactions, memory, outbox);
    const [one, idle, two] = [new Partition(0), new Partition(1), new Partition(2)];
    idle.has = false;
    for (const partition of [one, idle, two]) loop.add(partition);
    await turnOfTheLoop();
    const lost = new EpochLostError(0, 1, 2);
    transactions.end([lost, undefined]);
    await turnOfTheLoop();
    expect([one.outcomes, idle.outcomes, two.outcomes]).toEqual([[lost], [], [undefined]]);
  });

  it('sends what all partitions answer at once, and before it begins the next transaction', async () => {
    const transactions = new Transactions();
    const sent: string[] = [];
    const all = [0, 1].map((partition) => new Partition(partition));
    const flush = () => {
      const known = all.map(({ outcomes }) => outcomes.length).join(' ');
      sent.push(`${known}, ${transactions.begun.length} begun`);
    };
    const loop = new BatchLoop(transactions, memory, { flush });
    for (const partition of all) loop.add(partition);
    await turnOfTheLoop();
    loop.add(all[0]!);
    transactions.end();
    await Promise.resolve();
    await Promise.resolve();
    expect(sent).toEqual(['1 1, 1 begun']);
    await turnOfTheLoop();
    expect(transactions.begun).toEqual(['0 1', '0']);
    transactions.end();
  });
});

describe('partitions of one store', () => {
  type Named = HolderMessage & { readonly session: string };
  const settings: StoreCoreSettings = {
    ...testSettings,
    partitions: 2,
    window: 4,
    closeMs: 1_000,
    retryMinMs: 60_000, // a pause that no test outlasts
    retryMaxMs: 60_000,
  };
  const lines: string[] = [];
  const note = (line: string) => void lines.push(line);
  const idIn = (partition: number, n = 0): string =>
    Array.from({ length: 100 }, (_, at) => `s${at}`).filter((id) => partitionOf(id, 2) === partition)[n]!;

  /** A repository in which partition 1 has troubles. */
  class Troubled extends MemoryRepository {
    readonly transactions: number[] = [];
    hanging: 'load' | 'claim' | undefined;
    failing = false;
    hold: Promise<void> = Promise.resolve();
    override async load(...of: Parameters<MemoryRepository['load']>) {
      if (this.hanging === 'load' && of[0] === 1) return new Promise<never>(() => {});
      return super.load(...of);
    }
    override async claim(...of: Parameters<MemoryRepository['claim']>) {
      if (this.hanging === 'claim' && of[0] === 1) return new Promise<never>(() => {});
      return super.claim(...of);
    }
    override async apply(...of: Parameters<MemoryRepository['apply']>) {
      if (this.failing && of[0] === 1) throw new Error('disk full');
      return super.apply(...of);
    }
    override async applyAll(applies: readonly Apply[]) {
      this.transactions.push(applies.length);
      await this.hold;
      return super.applyAll(applies);
    }
  }

  let repository: Troubled;
  let store: Store;
  let heard: StoreMessage[];
  let say: (...messages: Named[]) => void;
  const acquire = (session: string): Named => ({
    kind: 'acquire',
    session,
    request: 1,
    mode: 'exclusive',
    create: new Map(),
    waitMs: 10_000,
  });
  const cancel = (session: string): Named => ({ kind: 'cancel', session, request: 1 });
  const granted = () => heard.flatMap((message) => (message.kind === 'grant' ? [message.session] : []));

  beforeEach(async () => {
    lines.length = 0;
    repository = new Troubled();
    const exchange = new MemoryExchange({ clock: systemClock });
    const log = { log: note, warn: note, error: note };
    store = new Store({ broker: new MemoryBroker(exchange), repository, clock: systemClock, log }, settings);
    await store.start();
    heard = [];
    let queue = '';
    const link = await new MemoryBroker(exchange).join('h', {
      connected: (its) => void (queue = its),
      disconnected: () => {},
      returned: () => {},
      received: (bytes) =>
        void heard.push(...decodeStoreFrame(bytes).parts.flatMap(({ messages }) => messages)),
    });
    await expect.poll(() => queue).not.toBe('');
    say = (...messages) => {
      for (const message of messages) {
        const partition = partitionOf(message.session, 2);
        const parts = [{ partition, epoch: 0, messages: [message] }];
        link.send(partition, encodeHolderFrame({ holder: 'h', queue, parts }));
      }
    };
  });
  afterEach(() => store.stop());

  it('share a transaction when their frames came while another one was written', async () => {
    const ids = [idIn(0), idIn(1), idIn(0, 1)];
    say(...ids.map(acquire));
    await expect.poll(() => granted()).toHaveLength(3);
    repository.transactions.length = 0;
    let goOn!: () => void;
    repository.hold = new Promise((resolve) => (goOn = resolve));
    say(cancel(ids[2]!));
    await expect.poll(() => repository.transactions).toEqual([1]);
    say(cancel(ids[0]!), cancel(ids[1]!));
    await expect.poll(() => store.snapshot().frames).toBe(6);
    goOn();
    await expect.poll(() => repository.transactions).toEqual([1, 2]);
  });

  it.each(['claim', 'load'] as const)('do not wait for the %s of another one', async (what) => {
    repository.hanging = what;
    say(acquire(idIn(1)), acquire(idIn(0)));
    await expect.poll(() => granted()).toEqual([idIn(0)]);
    say(acquire(idIn(0, 1)));
    await expect.poll(() => granted()).toEqual([idIn(0), idIn(0, 1)]);
  });

  it('are served while another one pauses after a failed write in the same transaction', async () => {
    say(acquire(idIn(1)), acquire(idIn(0)));
    await expect.poll(() => granted()).toHaveLength(2);
    repository.failing = true;
    say(acquire(idIn(1, 1)), acquire(idIn(0, 1)));
    await expect.poll(() => granted()).toContain(idIn(0, 1));
    await expect
      .poll(() => lines)
      .toEqual([expect.stringMatching(/^partition 1 cannot be served \(disk full\)/)]);
    say(acquire(idIn(0, 2)));
    await expect.poll(() => granted()).toContain(idIn(0, 2));
    expect(granted()).not.toContain(idIn(1, 1));
  });

  it('rule 13: are served while another one has lost its epoch', async () => {
    say(acquire(idIn(1)), acquire(idIn(0)));
    await expect.poll(() => granted()).toHaveLength(2);
    await repository.claim(1, { partitions: 2, hash: 1, leaseMs: 5_000 }, 1);
    say(acquire(idIn(1, 1)), acquire(idIn(0, 1)));
    await expect.poll(() => granted()).toContain(idIn(0, 1));
    expect(granted()).not.toContain(idIn(1, 1));
    await expect
      .poll(() => lines)
      .toEqual([expect.stringMatching(/^partition 1 cannot be served \(partition 1 was claimed/)]);
  });
});
