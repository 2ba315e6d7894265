/** The holder's driver over the in-memory broker. A test speaks as the store, in frames. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { MemoryBroker, MemoryExchange, systemClock, type Delivery } from '#broker';
import { decodeHolderFrame, encodeStoreFrame, limits, type HolderEvent, type StoreMessage } from '#protocol';
import { HolderDriver, type HolderSettings } from './holder-driver.js';

const settings: HolderSettings = {
  partitions: 1,
  repeatMs: 20,
  renewMs: 1_000,
  writeBackMs: 0,
  queues: 'partitioned',
  sessionQueuesPerSecond: 100,
  sessionQueues: 100,
  sessionQueueExpiresMs: 60_000,
  waitersPerSession: 16,
};

const lines: string[] = [];
const note = (line: string) => void lines.push(line);
let brokers: MemoryBroker[];
/** What the driver told, and what the store heard, in order. */
let events: string[];
let heard: string[];
let driver: HolderDriver;

const told = (event: HolderEvent) =>
  event.kind === 'partitions'
    ? 'partitions'
    : `${event.kind} ${event.kind === 'refused' ? event.session : event.grant.session}`;

async function start(queues: HolderSettings['queues']): Promise<void> {
  const exchange = new MemoryExchange();
  brokers = [new MemoryBroker(exchange), new MemoryBroker(exchange)];
  const store = { opened() {}, closed() {}, received() {}, unreachable() {}, echoed() {} };
  const link = await brokers[0]!.openStore({ prefetch: 1 }, store);
  await brokers[0]!.serve(
    0,
    { prefetch: 100 },
    {
      received: (delivery) => answer(delivery),
      lost: () => {},
      queueGone: () => {},
      echoed: () => {},
    },
  );
  let n = 0;
  /** Grants what is asked, and confirms what is changed. */
  const answer = (delivery: Delivery) => {
    const { parts, queue } = decodeHolderFrame(delivery.bytes);
    const messages = parts.flatMap((part) => part.messages);
    const answers = messages.flatMap((message): StoreMessage[] => {
      if ('session' in message) heard.push(`${message.kind} ${message.session}`);
      if (message.kind === 'renew')
        return [
          {
            ...{ kind: 'renewed', n: message.n, leaseMs: 60_000, ttlMs: 60_000, partitions: 1 },
            ...{
              valid: message.reclaim?.map(([session, token]) => [session, token] as const),
              recalled: [],
              revoked: [],
            },
          },
        ];
      if (message.kind === 'commit') return [{ ...message, kind: 'committed' }];
      if (message.kind !== 'acquire') return [];
      const token = [1, ++n] as const;
      return [
        {
          ...{ ...message, kind: 'grant', token, version: [...token, 0], seq: 0 },
          ...{ set: new Map(), keep: [], contended: false },
        },
      ];
    });
    delivery.ack();
    const part = { partition: 0, epoch: 1, messages: answers };
    if (answers.length > 0) link.send(queue, encodeStoreFrame({ key: '', parts: [part] }));
  };
  const ports = { broker: brokers[1]!, clock: systemClock, log: { log: note, warn: note, error: note } };
  driver = new HolderDriver('h', ports, { ...settings, queues }, (event) => {
    if (event.kind === 'version') return;
    events.push(told(event));
    if (event.kind === 'granted') grants.set(event.grant.session, event.grant);
  });
  await driver.start();
}
const grants = new Map<string, Extract<HolderEvent, { kind: 'granted' }>['grant']>();

beforeEach(() => {
  lines.length = 0;
  events = [];
  heard = [];
  grants.clear();
});
afterEach(() => Promise.all(brokers.map((broker) => broker.close())));

const soonest = () => performance.now() + 10_000;

describe('what a holder sends', () => {
  const set = (name: string) => ({ set: new Map([[name, new Uint8Array(1)]]), removed: [] });

  it('leaves when its promises are done while no answer is awaited, else when the turn of the loop is over', async () => {
    await start('partitioned');
    driver.want('s', soonest(), undefined);
    await expect.poll(() => grants.size).toBe(1);
    await expect.poll(() => driver.machine.awaitsAnswer).toBe(false);
    const grant = grants.get('s')!;
    const sent = () => driver.counters.framesSent;
    const before = sent();
    driver.commit(grant, set('a'));
    driver.commit(grant, set('b'));
    expect(sent()).toBe(before);
    await Promise.resolve();
    process.nextTick(() => driver.commit(grant, set('c')));
    await new Promise<void>((resolve) => process.nextTick(resolve));
    expect(sent()).toBe(before + 1);
    await new Promise<void>((resolve) => process.nextTick(resolve));
    expect(sent()).toBe(before + 1);
    await expect.poll(sent).toBe(before + 2);
    await expect.poll(() => events.filter((event) => event === 'acknowledged s')).not.toEqual([]);
  });
});

describe('rule 20: a change that a callback of the loop makes', () => {
  it('leaves as the release of its lock, which a promise gives back', async () => {
    await start('partitioned');
    driver.want('s', soonest(), undefined);
    await expect.poll(() => grants.size).toBe(1);
    await expect.poll(() => driver.machine.awaitsAnswer).toBe(false);
    const grant = grants.get('s')!;
    await new Promise<void>((resolve) =>
      setImmediate(() => {
        driver.commit(grant, { set: new Map([['a', new Uint8Array(1)]]), removed: [] });
        void Promise.resolve().then(() => driver.release(grant));
        resolve();
      }),
    );
    await expect.poll(() => heard).toContain('release s');
    expect(heard).not.toContain('commit s');
  });
});

describe('a message that cannot be encoded', () => {
  it.each(['partitioned', 'per-session'] as const)(
    'fails the wait that it is for, in the layout %s: others in its frame are sent, and nothing is thrown',
    async (queues) => {
      await start(queues);
      driver.want('good', soonest(), undefined);
      driver.want('bad', NaN, undefined);
      driver.want('good2', soonest(), undefined);
      await expect.poll(() => events).toContain('refused bad');
      expect([...new Set(lines)]).toEqual([
        expect.stringMatching(/acquire of session "bad": NaN is no waitMs/),
      ]);
      if (queues === 'per-session') return; // nobody opens the queues of the others here
      await expect.poll(() => events.toSorted()).toEqual(['granted good', 'granted good2', 'refused bad']);
    },
  );

  it('ends the grant that it is a change of, and gives the lock back; other grants go on', async () => {
    await start('partitioned');
    driver.want('bad', soonest(), undefined);
    driver.want('good', soonest(), undefined);
    await expect.poll(() => grants.size).toBe(2);
    const set = new Map([['a', new Uint8Array(limits.valueBytes + 1)]]);
    driver.commit(grants.get('bad')!, { set, removed: [] });
    driver.commit(grants.get('good')!, { set: new Map(), removed: ['b'] });
    await expect.poll(() => events.slice(2).toSorted()).toEqual(['acknowledged good', 'lost bad']);
    const changes = () => heard.filter((line) => !line.startsWith('acquire')).toSorted();
    await expect.poll(changes).toEqual(['commit good', 'release bad']);
    expect(lines).toEqual([
      expect.stringMatching(
        /commit of session "bad": .*It is not sent, and the scopes that wait for it fail/,
      ),
    ]);
  });
});
