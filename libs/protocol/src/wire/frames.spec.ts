/** How the messages of a turn become frames. */
import { describe, expect, it } from 'vitest';
import { decodeHolderFrame, encodeHolderFrame, encodeStoreFrame } from './codec.js';
import { FrameError } from './fields.js';
import { encodeFrames, FrameTooLargeError, intoFrames as partsIntoFrames } from './frames.js';
import { limits } from './limits.js';
import type { Acquire, Cancel, Commit, Grant, HolderMessage, Part, StoreMessage } from './messages.js';

const part = <M extends HolderMessage | StoreMessage>(messages: readonly M[], partition = 0): Part<M> => ({
  partition,
  epoch: 1,
  messages,
});
/** The messages of each frame, when all are for one partition. */
const intoFrames = <M extends HolderMessage | StoreMessage>(messages: readonly M[], maxBytes?: number) =>
  partsIntoFrames([part(messages)], maxBytes).map((frame) => frame.flatMap((one) => one.messages));
const sent = { holder: 'h', queue: 'q' };
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
      encodeHolderFrame({ ...sent, parts: [part(messages)] });
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
    for (const messages of intoFrames(fromStore)) encodeStoreFrame({ key: '', parts: [part(messages)] });
    for (const messages of intoFrames(fromHolder)) encodeHolderFrame({ ...sent, parts: [part(messages)] });
  });
});

describe('a turn with messages for several partitions', () => {
  const shape = (frames: readonly (readonly Part<HolderMessage>[])[]) =>
    frames.map((frame) =>
      frame.map(({ partition, messages }) => `${partition}: ${messages.map(({ kind }) => kind).join(' ')}`),
    );

  it('is one frame with a part for each', () => {
    const turn = [part([commit(1), commit(2)], 3), part<HolderMessage>([], 4), part([cancel(1)], 5)];
    expect(shape(partsIntoFrames<HolderMessage>(turn))).toEqual([['3: commit commit', '5: cancel']]);
  });

  it('begins another frame within a part, or between two, where one would grow too large', () => {
    const half = limits.frameTargetBytes / 2;
    const turn = [part([commit(1, half), commit(2, half)], 3), part([commit(3, half)], 4)];
    expect(shape(partsIntoFrames(turn))).toEqual([['3: commit'], ['3: commit'], ['4: commit']]);
  });

  it('begins another frame beyond the limit of parts, and separates no cancel from its renewal', () => {
    const turn = Array.from({ length: limits.frameParts + 1 }, (_, partition) =>
      part<HolderMessage>([cancel(1), { kind: 'renew', n: 1 }], partition),
    );
    const frames = shape(partsIntoFrames(turn));
    expect(frames.map(({ length }) => length)).toEqual([limits.frameParts, 1]);
    expect(new Set(frames.flat().map((one) => one.split(': ')[1]))).toEqual(new Set(['cancel renew']));
  });

  it('keeps requests in frames of their own', () => {
    const turn = [part<HolderMessage>([cancel(1), acquire(2)], 3), part<HolderMessage>([acquire(3)], 4)];
    expect(shape(partsIntoFrames(turn))).toEqual([['3: cancel'], ['3: acquire', '4: acquire']]);
  });

  it('loses only the message that cannot be sent, and says of which partition it is', () => {
    const turn = [part([commit(1), commit(2, 5_000), commit(3)], 3), part([commit(4), commit(NaN)], 4)];
    const failed: unknown[] = [];
    const frames = encodeFrames(
      turn,
      (parts) => encodeHolderFrame({ ...sent, parts }),
      ({ seq }, error, { partition }) => failed.push([partition, seq, error.constructor]),
      2_000,
    );
    expect(failed).toEqual([
      [3, 2, FrameTooLargeError],
      [4, NaN, FrameError],
    ]);
    const read = frames.flatMap((bytes) => [...decodeHolderFrame(bytes).parts]);
    expect(read.flatMap(({ messages }) => messages.map((one) => 'seq' in one && one.seq))).toEqual([1, 3, 4]);
  });
});
