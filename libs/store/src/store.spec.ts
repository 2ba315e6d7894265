/** The store over the in-memory broker: what it does around its machines. A test speaks as a holder, in frames. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryBroker, MemoryExchange, systemClock, type Clock, type HolderLink } from '#broker';
import { decodeStoreFrame, encodeHolderFrame, type HolderMessage, type StoreMessage } from '#protocol';
import { DeploymentMismatchError, MemoryRepository } from '#repository';
import { Store, tombstoneMs, type StoreCoreSettings } from './store.js';

const settings: StoreCoreSettings = {
  partitions: 1,
  leaseMs: 5_000,
  recallTimeoutMs: 10_000,
  unreachableHolder: 'wait-for-lease',
  ttlMs: 60_000,
  tombstoneMs,
  expiryScanMs: 60_000,
  waitersPerSession: 2,
  waitersPerPartition: 2,
  window: 1,
  standbyPollMs: 50,
  endedGrants: 8,
  cacheBytes: 1_000_000,
  retryMinMs: 1,
  retryMaxMs: 10,
};

/** A repository that a test can hold up, or make fail. */
class Stubborn extends MemoryRepository {
  hold: Promise<void> = Promise.resolve();
  failures = 0;

  override async apply(...of: Parameters<MemoryRepository['apply']>): Promise<void> {
    await this.hold;
    if (this.failures > 0) {
      this.failures--;
      throw new Error('disk full');
    }
    return super.apply(...of);
  }
}

const lines: string[] = [];
const note = (line: string) => void lines.push(line);
const log = { log: note, warn: note, error: note };
const acquire = (request: number): HolderMessage => ({
  kind: 'acquire',
  session: 's',
  request,
  mode: 'exclusive',
  create: new Map(),
  waitMs: 10_000,
});

let exchange: MemoryExchange;
let repository: Stubborn;
let store: Store;
let holder: { link: HolderLink; heard: StoreMessage[]; say(...messages: HolderMessage[]): void };

function makeStore(more: Partial<StoreCoreSettings> = {}, clock: Clock = systemClock): Store {
  const ports = { broker: new MemoryBroker(exchange), repository, clock, log };
  return new Store(ports, { ...settings, ...more });
}

async function join(name: string): Promise<typeof holder> {
  const heard: StoreMessage[] = [];
  let queue = '';
  const link = await new MemoryBroker(exchange).join(name, {
    connected: (its) => void (queue = its),
    disconnected: () => {},
    received: (bytes) => void heard.push(...decodeStoreFrame(bytes).messages),
  });
  await expect.poll(() => queue).not.toBe('');
  const say = (...messages: HolderMessage[]) =>
    void link.send(0, encodeHolderFrame({ partition: 0, holder: name, queue, messages }));
  return { link, heard, say };
}

beforeEach(async () => {
  lines.length = 0;
  exchange = new MemoryExchange({ clock: systemClock });
  repository = new Stubborn();
  store = makeStore();
  await store.start();
  holder = await join('h');
});
afterEach(() => store.stop());

describe('frames that do not parse', () => {
  it('are counted, logged and acknowledged, so that they never fill the window', async () => {
    for (let i = 0; i < 10; i++) holder.link.send(0, new Uint8Array([0xc1, i]));
    holder.say(acquire(1));
    await expect.poll(() => holder.heard).toMatchObject([{ kind: 'grant' }]);
    expect(store.snapshot()).toMatchObject({ badFrames: 10, frames: 1 });
    expect(lines[0]).toMatch(/dropped a frame of 2 bytes from .*: a kind of value that no frame has/);
  });

  it('are those of another partition, too', async () => {
    const frame = { partition: 5, holder: 'h', queue: 'q', messages: [acquire(1)] };
    holder.link.send(0, encodeHolderFrame(frame));
    await expect.poll(() => store.snapshot().badFrames).toBe(1);
  });
});

describe('rule 7', () => {
  it('nothing is said before it is persisted', async () => {
    let goOn!: () => void;
    repository.hold = new Promise((resolve) => (goOn = resolve));
    holder.say(acquire(1));
    const other = await join('other');
    other.say({ kind: 'renew', n: 1 });
    await expect.poll(() => store.snapshot().frames).toBe(2);
    expect([...holder.heard, ...other.heard]).toEqual([]);
    goOn();
    await expect.poll(() => other.heard).toMatchObject([{ kind: 'renewed', n: 1 }]);
    expect(holder.heard).toMatchObject([{ kind: 'grant', token: [1, 1] }]);
  });

  it('a write that fails is taken for unknown: the partition is claimed anew, and what was not acknowledged served then', async () => {
    repository.failures = 1;
    holder.say(acquire(1));
    await expect.poll(() => holder.heard).toMatchObject([{ kind: 'grant', token: [2, 1] }]);
    expect(lines.join('\n')).toMatch(/partition 0: disk full; claiming it anew in 1 ms/);
  });
});

describe('while the disk is slow', () => {
  let time = 0;
  let timers: (() => void)[] = [];
  const clock: Clock = {
    ...systemClock,
    now: () => ({ mono: time, wall: 1_000_000 + time }),
    after: (_delayMs, task) => {
      timers.push(task);
      return () => (timers = timers.filter((one) => one !== task));
    },
  };
  const fire = () => timers.splice(0).forEach((task) => task());
  const release = (token: [number, number]): HolderMessage => ({
    kind: 'release',
    session: 's',
    token,
    seq: 1,
    set: new Map(),
    delete: [],
  });
  let written: () => void;
  const holdUp = () => void (repository.hold = new Promise((resolve) => (written = resolve)));

  beforeEach(async () => {
    time = 0;
    timers = [];
    await store.stop();
    store = makeStore({ waitersPerSession: 4, waitersPerPartition: 4 }, clock);
    await store.start();
    holder.say(acquire(1));
    await expect.poll(() => holder.heard).toMatchObject([{ kind: 'grant' }]);
  });

  it('rule 2: a waiter that asked on in time keeps its place, however late that is read', async () => {
    const [first, second] = [await join('first'), await join('second')];
    first.say({ ...acquire(1), waitMs: 1_000 } as HolderMessage);
    await expect.poll(() => holder.heard.at(-1)).toMatchObject({ kind: 'recall' });
    second.say(acquire(1));
    await expect.poll(() => store.snapshot().partitions[0]?.waiting).toBe(2);
    holdUp();
    holder.say({ kind: 'renew', n: 1 });
    await expect.poll(() => store.snapshot().frames).toBe(4);
    time = 900;
    first.say(acquire(1));
    await expect.poll(() => store.snapshot().frames).toBe(5);
    time = 1_500;
    fire();
    written();
    await expect.poll(() => holder.heard.some(({ kind }) => kind === 'renewed')).toBe(true);
    holder.say(release([1, 1]));
    await expect.poll(() => first.heard.at(-1)).toMatchObject({ kind: 'grant', token: [1, 2] });
  });

  it('rule 10: a holder has its whole time from when the recall is said, not from when it was decided', async () => {
    const waiter = await join('waiter');
    holdUp();
    waiter.say({ ...acquire(1), waitMs: 600_000 } as HolderMessage);
    await expect.poll(() => store.snapshot().frames).toBe(2);
    time = 20_000;
    written();
    await expect.poll(() => holder.heard.at(-1)).toMatchObject({ kind: 'recall' });
    const look = async (n: number) => {
      holder.say({ kind: 'renew', n });
      fire();
      await expect.poll(() => holder.heard).toContainEqual(expect.objectContaining({ kind: 'renewed', n }));
      return holder.heard.map(({ kind }) => kind);
    };
    expect(await look(1)).not.toContain('revoked');
    time = 29_000;
    expect(await look(2)).not.toContain('revoked');
    time = 31_000;
    expect(await look(3)).toContain('revoked');
  });
});

describe('a deployment', () => {
  it('rule 13: has one number of partitions: a store that is set to another one does not start', async () => {
    holder.say(acquire(1));
    await expect.poll(() => holder.heard.length).toBe(1);
    await expect(makeStore({ partitions: 2 }).start()).rejects.toThrow(DeploymentMismatchError);
  });

  it('rule 13: a store that takes over goes on with the waiting line; the one before it can change nothing any more', async () => {
    holder.say(acquire(1));
    await expect.poll(() => holder.heard.length).toBe(1);
    const waiter = await join('waiter');
    waiter.say(acquire(1));
    await expect.poll(() => holder.heard.at(-1)).toMatchObject({ kind: 'recall' });
    const next = makeStore();
    await next.start();
    await store.stop();
    holder.say({ kind: 'release', session: 's', token: [1, 1], seq: 1, set: new Map(), delete: [] });
    await expect.poll(() => waiter.heard.at(-1)).toMatchObject({ kind: 'grant', token: [2, 1] });
    await expect(repository.apply(0, 1, [])).rejects.toThrow('epoch 1 is over');
    store = next;
  });
});
