/**
 * The store over the in-memory broker: what it does around its machines. A test speaks as a holder, in
 * frames. It is one file, since all scenes speak through the same holder.
 */
import { pack } from 'msgpackr';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { MemoryBroker, MemoryExchange, systemClock, type Clock, type HolderLink } from '#broker';
import {
  decodeStoreFrame,
  encodeHolderFrame,
  protocolVersion,
  type HolderMessage,
  type StoreFrame,
  type StoreMessage,
} from '#protocol';
import {
  DeploymentMismatchError,
  MemoryRepository,
  RepositoryError,
  type RepositoryEvents,
} from '#repository';
import { Store, type StoreCoreSettings } from './store.js';
import { testSettings as settings } from './testing/settings.js';

/** A repository that a test can hold up, or make fail. */
class Stubborn extends MemoryRepository {
  hold: Promise<void> = Promise.resolve();
  failures = 0;
  looks = 0;

  /** A store that looks without an end would keep everything else from happening. */
  override async due(...of: Parameters<MemoryRepository['due']>) {
    if (++this.looks > 100) throw new Error('looked too often');
    return super.due(...of);
  }

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

/** The wall's clock stands still, so that epochs are small. */
const smallEpochs: Clock = { ...systemClock, now: () => ({ ...systemClock.now(), wall: 0 }) };

let exchange: MemoryExchange;
let repository: Stubborn;
let store: Store;
let holder: {
  link: HolderLink;
  heard: StoreMessage[];
  queue(): string;
  say(...messages: HolderMessage[]): void;
};

function makeStore(more: Partial<StoreCoreSettings> = {}, clock: Clock = smallEpochs): Store {
  const ports = { broker: new MemoryBroker(exchange), repository, clock, log };
  return new Store(ports, { ...settings, ...more });
}

async function join(name: string): Promise<typeof holder> {
  const heard: StoreMessage[] = [];
  let queue = '';
  const link = await new MemoryBroker(exchange).join(name, {
    connected: (its) => void (queue = its),
    disconnected: () => {},
    returned: () => {},
    received: (bytes) => void heard.push(...decodeStoreFrame(bytes).parts.flatMap((part) => part.messages)),
  });
  await expect.poll(() => queue).not.toBe('');
  const say = (...messages: HolderMessage[]) =>
    void link.send(
      0,
      encodeHolderFrame({ holder: name, queue, parts: [{ partition: 0, epoch: 0, messages }] }),
    );
  return { link, heard, say, queue: () => queue };
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
    const parts = [{ partition: 5, epoch: 0, messages: [acquire(1)] }];
    holder.link.send(0, encodeHolderFrame({ holder: 'h', queue: 'q', parts }));
    await expect.poll(() => store.snapshot().badFrames).toBe(1);
  });
});

describe('frames of another protocol version', () => {
  /** A frame of this holder as it is in version 1 or 4: the head is the same, what follows is not. */
  const ofVersion = (version: number, name: string, queue: string) =>
    pack([version, 'h', 0, name, queue, new Map([['no version', 'knows this']])]);

  it('are answered by a frame that names both, and logged once for each holder', async () => {
    const heard: StoreFrame[] = [];
    let queue = '';
    await new MemoryBroker(exchange).join('late', {
      connected: (its) => void (queue = its),
      disconnected: () => {},
      returned: () => {},
      received: (bytes) => void heard.push(decodeStoreFrame(bytes)),
    });
    await expect.poll(() => queue).not.toBe('');
    for (let i = 0; i < 20; i++) holder.link.send(0, ofVersion(4, 'late', queue));
    holder.link.send(0, ofVersion(1, 'early', 'nowhere'));
    holder.say(acquire(1));
    await expect.poll(() => holder.heard).toMatchObject([{ kind: 'grant' }]);
    const messages = [{ kind: 'mismatch', store: protocolVersion, holder: 4 }];
    const parts = [{ partition: 0, epoch: 0, messages }];
    expect(heard).toEqual([{ version: protocolVersion, key: expect.any(String) as string, parts }]);
    expect(store.snapshot()).toMatchObject({ badFrames: 21, frames: 1 });
    expect(lines).toEqual([
      expect.stringContaining('app server late speaks protocol version 4, but this store 3:'),
      expect.stringContaining('app server early speaks protocol version 1, but this store 3:'),
    ]);
  });
});

describe('rule 7: a store persists, and then speaks', () => {
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
    await expect.poll(() => lines).toHaveLength(2);
    expect(lines[0]).toMatch(/^partition 0 cannot be served \(disk full\)/);
    expect(lines[1]).toMatch(/^partition 0 is served again after/);
  });
});

describe('a message that cannot be encoded', () => {
  it('is logged and counts as lost: the partition serves on', async () => {
    await store.stop();
    store = makeStore({ ttlMs: 60_000.5 }, systemClock); // a number that no frame can carry
    await store.start();
    holder.say({ kind: 'renew', n: 1 }, acquire(1));
    await expect.poll(() => holder.heard).toMatchObject([{ kind: 'grant' }]);
    expect(lines.join('\n')).toMatch(/partition 0: renewed: 60000\.5 is no count .*; it is not sent/);
    expect(lines.join('\n')).not.toMatch(/claiming it anew/);
  });
});

describe('a place that is lost', () => {
  class Losing extends Stubborn {
    lose: (error: RepositoryError) => void = () => {};
    override async open(events?: RepositoryEvents): Promise<void> {
      this.lose = (error) => {
        this.hold = rejection(error);
        events?.lost(error);
      };
    }
  }

  it('ends the store at once, with one line; nothing is acknowledged, and another store can go on', async () => {
    const own = new Losing();
    const failed: Error[] = [];
    await store.stop();
    const ports = { broker: new MemoryBroker(exchange), repository: own, clock: systemClock, log };
    store = new Store({ ...ports, failed: (error) => void failed.push(error) }, settings);
    await store.start();
    let goOn!: () => void;
    own.hold = new Promise((resolve) => (goOn = resolve));
    holder.say(acquire(1));
    await expect.poll(() => store.snapshot().frames).toBe(1);
    own.lose(new RepositoryError('the directory is gone'));
    goOn();
    expect(failed).toEqual([expect.objectContaining({ message: 'the directory is gone' })]);
    await store.stop();
    expect(lines).toEqual(['the store ends: the directory is gone']);
    expect(failed).toHaveLength(1);
    const heard = holder.heard.length;

    store = makeStore();
    await store.start();
    await expect.poll(() => holder.heard.slice(heard)).toMatchObject([{ kind: 'grant' }]);
  });
});

describe('while the disk is slow', () => {
  let time = 0;
  let timers: (() => void)[] = [];
  const clock: Clock = {
    ...systemClock,
    now: () => ({ mono: time, wall: time }),
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
    removed: [],
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
    for (let n = 1; time <= 29_000; n++, time += 1_000) expect(await look(n)).not.toContain('revoked');
    time = 31_000;
    await look(31);
    await expect.poll(() => holder.heard.at(-1)).toMatchObject({ kind: 'revoked', why: 'recall-timeout' });
  });

  it('rule 10: what is over is found though one frame follows the other so fast that no timer fires', async () => {
    const [waiter, busy] = [await join('waiter'), await join('busy')];
    waiter.say({ ...acquire(1), waitMs: 600_000 } as HolderMessage);
    await expect.poll(() => holder.heard.at(-1)).toMatchObject({ kind: 'recall' });
    for (let n = 1; n <= 8; n++) {
      time += 1_000;
      busy.say({ kind: 'renew', n });
      await expect.poll(() => busy.heard).toHaveLength(n);
    }
    await expect.poll(() => waiter.heard).toMatchObject([{ kind: 'grant', token: [1, 2] }]);
  });
});

describe('rule 15: many sessions that are due at once', () => {
  const ids = Array.from({ length: 600 }, (_, i) => `s${i}`);
  const { ttlMs } = settings;
  const timers = new Set<() => void>();
  let time: number;
  const clock: Clock = {
    ...systemClock,
    now: () => ({ mono: time, wall: time }),
    after: (_delayMs, task) => (timers.add(task), () => void timers.delete(task)),
  };
  const fire = () => {
    for (const task of [...timers]) {
      timers.delete(task);
      task();
    }
  };
  const turnOfTheLoop = () => new Promise((resolve) => setTimeout(resolve, 2));
  /** How many are named as due `at` a time. */
  const due = async (at: number) => (await repository.due(0, at, 1_000)).length;

  beforeEach(async () => {
    time = 0;
    timers.clear();
    await store.stop();
    repository = new Stubborn();
    store = makeStore({}, clock);
    await store.start();
    holder.say(...ids.map((session) => ({ ...acquire(1), session }) as HolderMessage));
    await expect.poll(() => holder.heard).toHaveLength(ids.length);
  });

  it('and held by one that is silent keep the store busy with nothing: it looks again when it has heard', async () => {
    const looks = async (mono: number) => {
      time = mono;
      repository.looks = 0;
      for (let i = 0; i < 20; i++) {
        fire();
        await turnOfTheLoop();
      }
      return repository.looks;
    };
    expect(await looks(ttlMs)).toBeLessThan(25);
    expect(await due(ttlMs)).toBe(0);
    expect(await due(2 * ttlMs)).toBe(ids.length);
    expect(await looks(2 * ttlMs)).toBeLessThan(25);
    expect(await due(2 * ttlMs)).toBe(0);
  });

  it('and free are removed in steps, so that whatever else there is comes between', async () => {
    const give = (session: string, n: number): HolderMessage => {
      const empty = { seq: 0, set: new Map(), removed: [] };
      return { kind: 'release', session, token: [1, n + 1], ...empty };
    };
    holder.say(...ids.map(give));
    await expect.poll(() => holder.heard).toHaveLength(2 * ids.length);
    time = ttlMs;
    const left: number[] = [];
    for (let i = 0; i < 4; i++) {
      fire();
      await turnOfTheLoop();
      left.push(await due(ttlMs));
    }
    expect(left).toEqual([344, 88, 0, 0]);
  });
});

describe('incidents', () => {
  it('that hit every partition are one line, with their number, and one when all is well again', async () => {
    await store.stop();
    repository = new Stubborn();
    exchange = new MemoryExchange({ clock: systemClock });
    store = makeStore({ partitions: 16 });
    await store.start();
    const holder = await join('of all');
    const renewAll = (n: number) => {
      for (let partition = 0; partition < 16; partition++) {
        const parts = [{ partition, epoch: 0, messages: [{ kind: 'renew', n } as const] }];
        holder.link.send(partition, encodeHolderFrame({ holder: 'h', queue: 'q', parts }));
      }
    };
    repository.failures = 16 * 3;
    renewAll(1);
    await expect.poll(() => lines).toHaveLength(2);
    expect(lines[0]).toMatch(/^partitions 0, 1, 2 and 13 more cannot be served \(disk full\)/);
    expect(lines[1]).toMatch(/^partitions 0, 1, 2 and 13 more are served again after \d\.\d s$/);
  });
});

describe('a session that is larger than the broker lets through', () => {
  const maxFrameBytes = 2_000;
  const of = (session: string, bytes: number): HolderMessage => ({
    ...(acquire(1) as Extract<HolderMessage, { kind: 'acquire' }>),
    session,
    create: new Map([['a', new Uint8Array(bytes)]]),
  });
  const release = (session: string, token: [number, number], seq: number): HolderMessage => ({
    kind: 'release',
    session,
    token,
    seq,
    set: new Map(),
    removed: [],
  });

  it('is named in the log and refused to each who asks, and nobody else is disturbed', async () => {
    holder.say(of('large', 3_000));
    await expect.poll(() => holder.heard).toMatchObject([{ kind: 'grant' }]);
    await store.stop();
    lines.length = 0;
    // The same store meets a broker with a limit.
    exchange = new MemoryExchange({ clock: systemClock, maxFrameBytes });
    store = makeStore({ waitersPerPartition: 4 });
    await store.start();
    const [one, two] = [await join('one'), await join('two')];
    one.say({ ...of('large', 0), create: undefined } as HolderMessage, of('small', 10));
    two.say({ ...of('large', 0), create: undefined } as HolderMessage);
    await expect.poll(() => one.heard).toContainEqual(expect.objectContaining({ session: 'small' }));

    // The holder of before the restart is gone, and its lease runs out.
    const first = await join('h');
    first.say(release('large', [1, 1], 2));
    const refused = { kind: 'refused', session: 'large', request: 1, why: 'too-large' };
    await expect.poll(() => one.heard).toContainEqual(expect.objectContaining(refused));
    expect(two.heard).toEqual([]);
    // Whoever asks next has it asked back, and its holder does not know it.
    one.say(release('large', [2, 2], 0));
    await expect.poll(() => two.heard).toContainEqual(expect.objectContaining(refused));
    expect(lines).toEqual([
      expect.stringMatching(
        /^session large cannot be granted: it takes \d+ bytes, but RabbitMQ takes 2000 in one message/,
      ),
    ]);
  });
});

describe('a transport that hands frames over late', () => {
  it('rule 13: claims no partition by a frame of a turn that is over, so the queue of its session is opened', async () => {
    await store.stop();
    const broker = new MemoryBroker(exchange);
    store = new Store({ broker, repository, clock: smallEpochs, log }, settings);
    let isLate = true;
    const handOver: (() => void)[] = [];
    await store.start((frames, accept) => (isLate ? handOver.push(() => accept(frames)) : accept(frames)));
    const parts = [{ partition: 0, epoch: 0, messages: [acquire(1)] }];
    const queued = encodeHolderFrame({ holder: 'h', queue: holder.queue(), parts });
    await holder.link.enqueue('s', queued, { maxWaiting: 1, ttlMs: 10_000 });
    holder.say({ kind: 'knock', session: 's', request: 1, waitMs: 10_000, ageMs: 0 });
    await expect.poll(() => handOver).toHaveLength(1);

    const outageMs = 20;
    const claimed = vi.spyOn(repository, 'claim');
    broker.cut(outageMs);
    await new Promise((resolve) => systemClock.soon(() => resolve(undefined)));
    handOver[0]!();
    isLate = false;
    await expect.poll(() => holder.heard).toMatchObject([{ kind: 'grant', session: 's', request: 1 }]);
    expect(claimed).toHaveBeenCalledTimes(1);
  });
});

describe('stopping', () => {
  it('waits for what hangs no longer than closeMs, and names it', async () => {
    await store.stop();
    store = makeStore({ closeMs: 20 });
    await store.start();
    repository.hold = new Promise(() => {});
    holder.say(acquire(1));
    await expect.poll(() => store.snapshot().frames).toBe(1);
    await store.stop();
    expect(lines.at(-1)).toMatch(/^stopped without the end of: partitions\. /);
  });
});

describe('a deployment', () => {
  it('that another one recorded first ends the store: to claim again and again would tell nobody', async () => {
    const failed: Error[] = [];
    await store.stop();
    const ports = { broker: new MemoryBroker(exchange), repository, clock: systemClock, log };
    store = new Store({ ...ports, failed: (error) => void failed.push(error) }, settings);
    await store.start();
    await repository.claim(0, { partitions: 2, hash: 1, leaseMs: 5_000 });
    holder.say(acquire(1));
    await expect.poll(() => failed).toEqual([expect.any(DeploymentMismatchError)]);
    expect(lines).toEqual([
      expect.stringMatching(/the store ends: this deployment was made with 2 partitions/),
    ]);
  });

  it('rule 13: has one number of partitions: a store that is set to another one does not start', async () => {
    holder.say(acquire(1));
    await expect.poll(() => holder.heard.length).toBe(1);
    await expect(makeStore({ partitions: 2 }).start()).rejects.toThrow(DeploymentMismatchError);
  });

  it('rule 13: the epoch of a claim is the time, or the next number when the time is behind', async () => {
    await store.stop();
    const wall = 1_795_000_000_000;
    const at = (now: number) => ({ ...systemClock, now: () => ({ ...systemClock.now(), wall: now }) });
    for (const [now, epoch] of [
      [wall + 0.7, wall],
      [wall - 60_000, wall + 1],
      [wall + 60_000, wall + 60_000],
    ] as const) {
      store = makeStore({}, at(now));
      await store.start();
      const visitor = await join(`at ${now}`.replace(' ', '-'));
      visitor.say({ ...acquire(1), session: `s${now}` } as HolderMessage);
      await expect.poll(() => visitor.heard).toMatchObject([{ kind: 'grant', token: [epoch, 1] }]);
      await store.stop();
    }
    store = makeStore();
    await store.start();
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
    holder.say({ kind: 'release', session: 's', token: [1, 1], seq: 1, set: new Map(), removed: [] });
    await expect.poll(() => waiter.heard.at(-1)).toMatchObject({ kind: 'grant', token: [2, 1] });
    await expect(repository.apply(0, 1, [])).rejects.toThrow('epoch 1 is over');
    store = next;
  });
});

describe('rule 13: holders know an epoch that the data do not have', () => {
  const older =
    /^partition 0 \(epoch 1000\): app servers have met that, and the data of this store do not know it/;
  const showing = async (name: string, epoch: number, ...messages: HolderMessage[]) => {
    const other = await join(name);
    const parts = [{ partition: 0, epoch, messages }];
    other.link.send(0, encodeHolderFrame({ holder: name, queue: other.queue(), parts }));
    return other.heard;
  };

  it('at the first claim: it is made above what they know, and the log says that the data are older', async () => {
    const heard = await showing('old', 1_000, acquire(1));
    await expect.poll(() => heard).toMatchObject([{ kind: 'grant', token: [1_001, 1] }]);
    await expect.poll(() => lines).toEqual([expect.stringMatching(older)]);
  });

  it('later: the partition is claimed above it, and who waits goes on waiting', async () => {
    holder.say(acquire(1));
    await expect.poll(() => holder.heard).toMatchObject([{ kind: 'grant', token: [1, 1] }]);
    const waiter = await join('waiter');
    waiter.say(acquire(1));
    await expect.poll(() => holder.heard.at(-1)).toMatchObject({ kind: 'recall' });
    const heard = await showing('old', 1_000, { ...acquire(1), session: 't' } as HolderMessage);
    await expect.poll(() => heard).toMatchObject([{ kind: 'grant', token: [1_001, 1] }]);
    holder.say({ kind: 'release', session: 's', token: [1, 1], seq: 1, set: new Map(), removed: [] });
    await expect.poll(() => waiter.heard).toMatchObject([{ kind: 'grant', token: [1_001, 2] }]);
    await expect.poll(() => lines.filter((line) => older.test(line))).toHaveLength(1);
  });

  it('because another store has claimed since: this one gives the partition up, and nothing is older', async () => {
    holder.say(acquire(1));
    await expect.poll(() => holder.heard).toHaveLength(1);
    const { epoch } = await repository.claim(0, { partitions: 1, hash: 1, leaseMs: 5_000 }, 1_000);
    const heard = await showing('new', epoch, { ...acquire(1), session: 't' } as HolderMessage);
    await expect.poll(() => heard).toMatchObject([{ kind: 'grant', token: [1_001, 1] }]);
    expect(lines.filter((line) => older.test(line))).toEqual([]);
  });

  it('and that is more than a day ahead of the clock: the frame is dropped, and the log says so once', async () => {
    const day = 24 * 3_600_000;
    const lie = await showing('liar', day + 1, acquire(1), acquire(2));
    const heard = await showing('within', day, { ...acquire(1), session: 't' } as HolderMessage);
    await expect.poll(() => heard).toMatchObject([{ kind: 'grant', token: [day + 1, 1] }]);
    expect(lie).toEqual([]);
    await expect
      .poll(() =>
        lines.filter((line) =>
          line.startsWith('app server liar (epoch 86400001): frames that show this are dropped'),
        ),
      )
      .toHaveLength(1);
  });
});

/** Rejected, and known to be so. */
function rejection(why: Error): Promise<void> {
  const rejected = Promise.reject(why);
  rejected.catch(() => {});
  return rejected;
}
