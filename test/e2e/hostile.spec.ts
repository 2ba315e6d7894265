/**
 * Frames that no program of this version sends, in the queues of a store and of an app server. Each is logged
 * with its sender, counted and dropped, and disturbs no request.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeHolderFrame, encodeStoreFrame } from '#protocol';
import { Deployment, newSession, type AppServer, type Program } from './deployment.js';

const deployment = await Deployment.create({ partitions: 1 });
const partition = 0;
let store: Program;
let one: AppServer, two: AppServer;
/** The queue of the server `one`. */
let queueOfOne: string;

beforeAll(async () => {
  store = await deployment.store();
  const frames = await deployment.broker.listen();
  one = await deployment.server('one');
  queueOfOne = (await frames.next()).value.queue;
  two = await deployment.server('two');
});
afterAll(() => deployment.stop());

const spoilt = {
  garbage: {
    spoil: () => Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    complaint: 'not MessagePack, or cut short',
  },
  'a truncated frame': {
    spoil: (frame: Uint8Array) => frame.subarray(0, -1),
    complaint: 'not MessagePack, or cut short',
  },
};

describe.each(Object.entries(spoilt))('%s', (_what, { spoil, complaint }) => {
  it("in the store's queue is logged and dropped, while requests continue", async () => {
    const from = { holder: 'stranger', queue: 'stranger.queue' };
    const renewal = { kind: 'renew', n: 1 } as const;
    const parts = [{ partition, epoch: 0, messages: [renewal] }];
    const bytes = spoil(encodeHolderFrame({ ...from, parts }));

    await whileOneWaits(async () => {
      deployment.broker.toStore(partition, bytes, from.queue);
      await store.says(
        literally(`dropped a frame of ${bytes.length} bytes from ${from.queue}: ${complaint}`),
      );
    });
    expect(store.output()).not.toContain('given up');
  });

  it("in an app server's queue is logged, counted and dropped, while requests continue", async () => {
    const answer = {
      kind: 'renewed',
      n: 1,
      leaseMs: 1,
      ttlMs: 1,
      partitions: 16,
      recalled: [],
      revoked: [],
    } as const;
    const parts = [{ partition, epoch: 1, messages: [answer] }];
    const bytes = spoil(encodeStoreFrame({ key: '', parts }));
    const counted = await one.count();

    await whileOneWaits(async () => {
      deployment.broker.toHolder(queueOfOne, bytes);
      await one.program.says(
        literally(`dropped a frame of ${bytes.length} bytes on ${queueOfOne}: ${complaint}`),
      );
    });
    expect(await counted()).toMatchObject({ badFrames: 1 });
  });
});

describe('a frame of another protocol version', () => {
  const ofVersion = (version: number, frame: Uint8Array) =>
    Uint8Array.from(frame, (byte, at) => (at === 1 ? version : byte));

  it("in the store's queue is answered with both versions, and logged once", async () => {
    const parts = [{ partition, epoch: 0, messages: [] }];
    const sent = { holder: 'stranger', queue: queueOfOne, parts };
    const counted = await one.count();
    await whileOneWaits(async () => {
      for (let i = 0; i < 5; i++)
        deployment.broker.toStore(partition, ofVersion(1, encodeHolderFrame(sent)), queueOfOne);
      await store.says(
        /app server stranger speaks protocol version 1, but this store 3: its frames are refused/,
      );
    });
    expect(store.output().match(/stranger speaks/g)).toHaveLength(1);
    // The answer has the store's version. Here it went to a server of that version, which ignores it.
    expect(await counted()).toMatchObject({ badFrames: 0 });
  });

  it("in an app server's queue is logged once with both versions, while requests continue", async () => {
    const bytes = ofVersion(4, encodeStoreFrame({ key: '', parts: [{ partition, epoch: 0, messages: [] }] }));
    const session = newSession();
    const red = await one.enter(session, 'POST a', 'red');
    for (let i = 0; i < 2; i++) deployment.broker.toHolder(queueOfOne, bytes);
    await one.program.says(/the store speaks protocol version 4, but this process 3. Run one release/);
    expect(await red.leave()).toEqual(['red']);
  });
});

/** Acts while a request of `two` waits for `one`. That request must still be served afterwards. */
async function whileOneWaits(act: () => Promise<void>): Promise<void> {
  const session = newSession();
  const red = await one.enter(session, 'POST a', 'red');
  const green = two.enter(session, 'POST a', 'green');
  await deployment.untilWaiting(two, session);
  await act();
  await red.leave();
  expect(await (await green).leave()).toEqual(['red', 'green']);
}

const literally = (text: string) => new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
