// Frames that no program of this version sends, in the queue of a store and in that of an app server: each is logged
// with where it came from, counted and dropped, and nothing stops for it.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeHolderFrame, encodeStoreFrame } from '#protocol';
import { Deployment, newSession, type AppServer, type Program } from './deployment.js';

const deployment = await Deployment.create({ partitions: 1 });
const partition = 0;
let store: Program;
let one: AppServer, two: AppServer;
/** Where the store's answers reach the server `one`. */
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
  'a frame of a later protocol version': {
    spoil: (frame: Uint8Array) => Uint8Array.from(frame, (byte, at) => (at === 1 ? 2 : byte)),
    complaint: 'protocol version 2: this program speaks 1 alone',
  },
};

describe.each(Object.entries(spoilt))('%s', (_what, { spoil, complaint }) => {
  it("in the store's queue is logged and dropped, while requests go on", async () => {
    const from = { holder: 'stranger', queue: 'stranger.queue' };
    const renewal = { kind: 'renew', n: 1 } as const;
    const bytes = spoil(encodeHolderFrame({ partition, ...from, messages: [renewal] }));

    await whileOneWaits(async () => {
      deployment.broker.toStore(partition, bytes, from.queue);
      await store.says(
        literally(`dropped a frame of ${bytes.length} bytes from ${from.queue}: ${complaint}`),
      );
    });
    expect(store.output()).not.toContain('given up');
  });

  it("in an app server's queue is logged, counted and dropped, while requests go on", async () => {
    const answer = {
      kind: 'renewed',
      n: 1,
      leaseMs: 1,
      ttlMs: 1,
      partitions: 16,
      recalled: [],
      revoked: [],
    } as const;
    const bytes = spoil(encodeStoreFrame({ partition, epoch: 1, messages: [answer] }));
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

/** Does something while a request of `two` waits for `one`: it must still be served afterwards. */
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
