/** How the messages of a turn become frames. */
import { describe, expect, it } from 'vitest';
import { encodeHolderFrame, encodeStoreFrame } from './codec.js';
import { intoFrames } from './frames.js';
import { limits } from './limits.js';
import type { Acquire, Cancel, Commit, Grant, HolderMessage, StoreMessage } from './messages.js';

const acquire = (request: number): Acquire => ({
  kind: 'acquire',
  session: 's',
  request,
  mode: 'exclusive',
  waitMs: 1,
});
const cancel = (request: number): Cancel => ({ kind: 'cancel', session: 's', request });
const commit = (seq: number, bytes = 0, removed: string[] = []): Commit => {
  const set = new Map([['a', new Uint8Array(bytes)]]);
  return { kind: 'commit', session: 's', token: [1, 1], seq, set, delete: removed };
};
const grant = (request: number, keep: string[]): Grant => ({
  kind: 'grant',
  session: 's'.repeat(limits.idChars),
  request,
  token: [2 ** 50, 2 ** 50],
  mode: 'exclusive',
  version: [2 ** 50, 2 ** 50, 2 ** 50],
  seq: 2 ** 50,
  set: new Map(),
  keep,
  contended: true,
});
const requests = (frames: readonly (readonly HolderMessage[])[]) =>
  frames.map((frame) =>
    frame.map((message) => `${message.kind} ${'request' in message ? message.request : ''}`),
  );

describe('intoFrames', () => {
  it('makes no frame of nothing, and one of a turn', () => {
    expect(intoFrames([])).toEqual([]);
    expect(intoFrames([cancel(1), commit(1), cancel(2)])).toHaveLength(1);
  });

  it('gives requests frames of their own, in the order in which all was said', () => {
    expect(requests(intoFrames([cancel(1), acquire(2), acquire(3), cancel(4), acquire(5)]))).toEqual([
      ['cancel 1'],
      ['acquire 2', 'acquire 3'],
      ['cancel 4'],
      ['acquire 5'],
    ]);
  });

  it('begins another frame where one would grow beyond its target', () => {
    const half = limits.frameTargetBytes / 2;
    expect(intoFrames([commit(1, half), commit(2, half), commit(3, 10)]).map(({ length }) => length)).toEqual(
      [1, 2],
    );
  });

  it('gives a message beyond the target a frame of its own', () => {
    const large = limits.valueBytes;
    expect(intoFrames([commit(1), commit(2, large), commit(3)]).map(({ length }) => length)).toEqual([
      1, 1, 1,
    ]);
  });

  it('leaves out nothing, and turns nothing around', () => {
    const messages = Array.from({ length: 20_000 }, (_, i) =>
      i % 7 === 0 ? acquire(i) : commit(i, i % 500),
    );
    expect(intoFrames<HolderMessage>(messages).flat()).toEqual(messages);
  });

  it('never makes a frame that is too large to be sent, whatever it is made of', () => {
    const names = Array.from(
      { length: limits.attributes },
      (_, i) => `${'€'.repeat(limits.nameChars - 5)}${i}`,
    );
    const small = Array.from({ length: limits.attributes }, (_, i) => i.toString(36));
    const detail = '€'.repeat(500);
    const fromStore: StoreMessage[] = [];
    const fromHolder: HolderMessage[] = [];
    for (let i = 0; i < 30; i++) {
      fromStore.push(grant(i, names), {
        ...grant(i, small),
        set: new Map(small.map((name) => [name, new Uint8Array()])),
      });
      fromHolder.push(commit(i, 0, names), commit(i, limits.valueBytes, names));
    }
    for (let i = 0; i < 3_000; i++) {
      fromStore.push({ kind: 'refused', session: 's', why: 'too-many-waiters', request: i, detail });
    }
    for (const messages of intoFrames(fromStore)) encodeStoreFrame({ partition: 0, epoch: 1, messages });
    for (const messages of intoFrames(fromHolder))
      encodeHolderFrame({ partition: 0, holder: 'h', queue: 'q', messages });
  });
});
