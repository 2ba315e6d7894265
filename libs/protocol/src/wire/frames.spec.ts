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
  return { kind: 'commit', session: 's', token: [1, 1], seq, set, removed };
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

  it('gives requests frames of their own, in the order of all messages', () => {
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

  it('rule 12: has a renewal in the frame of the cancels before it, since its answer shows that they arrived', () => {
    const full = commit(1, limits.frameTargetBytes - 300);
    const cancels = Array.from({ length: 2_000 }, (_, i) => cancel(i));
    const frames = intoFrames([full, ...cancels, { kind: 'renew', n: 1 }, commit(2, 1_000)]);
    expect(frames.map((frame) => `${frame[0]!.kind} … ${frame.at(-1)!.kind}`)).toEqual([
      'commit … renew',
      'commit … commit',
    ]);
  });

  it('counts the lists of renewals: a reconnect with 200,000 locks in one partition makes no frame too large', () => {
    const id = 's'.repeat(limits.idChars);
    const all = Array.from({ length: limits.listed }, () => [id, [2 ** 50, 2 ** 50], 2 ** 50] as const);
    const renewals = Array.from({ length: 49 }, (_, n) => ({ kind: 'renew', n, reclaim: all }) as const);
    for (const messages of intoFrames<HolderMessage>(renewals))
      encodeHolderFrame({ partition: 0, holder: 'h', queue: 'q', epoch: 0, messages });
  });

  it('gives a message beyond the target a frame of its own', () => {
    const large = limits.valueBytes;
    expect(intoFrames([commit(1), commit(2, large), commit(3)]).map(({ length }) => length)).toEqual([
      1, 1, 1,
    ]);
  });

  it("begins another frame where one would grow beyond the broker's limit", () => {
    const frames = intoFrames([commit(1, 900), commit(2, 900), commit(3, 5_000), commit(4, 10)], 2_000);
    expect(frames.map((frame) => frame.map(({ seq }) => seq))).toEqual([[1], [2], [3], [4]]);
  });

  it('leaves no message out, and keeps the order', () => {
    const messages = Array.from({ length: 20_000 }, (_, i) =>
      i % 7 === 0 ? acquire(i) : commit(i, i % 500),
    );
    expect(intoFrames<HolderMessage>(messages).flat()).toEqual(messages);
  });

  it('never makes a frame that is too large, whatever the messages are', { timeout: 60_000 }, () => {
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
      encodeHolderFrame({ partition: 0, holder: 'h', queue: 'q', epoch: 0, messages });
  });
});
