/** Frames at their limits, and bytes that are nearly a frame. What is said of them names the fault. */
import { pack } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { decodeHolderFrame, decodeStoreFrame, encodeHolderFrame, encodeStoreFrame } from './codec.js';
import { FrameError } from './fields.js';
import { limits } from './limits.js';
import type { HolderMessage } from './messages.js';

const sender = { holder: 'h1', queue: 'q' };
const encoded = (...parts: readonly (readonly HolderMessage[])[]) =>
  Uint8Array.from(
    encodeHolderFrame({
      ...sender,
      parts: parts.map((messages, partition) => ({ partition, epoch: 0, messages, ...sender })),
    }),
  );
const refusal = (call: () => unknown): string => {
  try {
    call();
    return 'taken';
  } catch (error) {
    if (error instanceof FrameError) return error.message;
    throw error;
  }
};
const saidOf = (frame: unknown) => refusal(() => decodeHolderFrame(Uint8Array.from(pack(frame))));
const leave = { kind: 'leave' } as const;

describe('a frame at a limit', () => {
  it('is sent up to its bytes, and read up to them', () => {
    const commit = (bytes: number): HolderMessage => ({
      ...{ kind: 'commit', session: 's', token: [1, 1], seq: 1, removed: [] },
      set: new Map([['a', new Uint8Array(bytes)]]),
    });
    const filled = (last: number) => {
      const full = Array.from({ length: limits.frameBytes / limits.valueBytes - 1 }, () =>
        commit(limits.valueBytes),
      );
      return encoded([...full, commit(last)]);
    };
    const room = limits.valueBytes / 2;
    const last = room + limits.frameBytes - filled(room).length;
    const bytes = filled(last);
    expect(bytes).toHaveLength(limits.frameBytes);
    expect(decodeHolderFrame(bytes).parts).toHaveLength(1);
    const tooMany = `a frame of ${limits.frameBytes + 1} bytes`;
    expect(refusal(() => filled(last + 1))).toBe(tooMany);
    expect(refusal(() => decodeHolderFrame(new Uint8Array(limits.frameBytes + 1)))).toBe(tooMany);
  });

  it('has as many messages as it may', () => {
    const messages = Array.from({ length: limits.frameMessages }, () => leave);
    expect(decodeHolderFrame(encoded(messages)).parts[0]!.messages).toHaveLength(limits.frameMessages);
    expect(refusal(() => decodeHolderFrame(encoded(messages, [leave])))).toBe(
      'more than 0 messages in a frame',
    );
  });

  it('has as many parts as it may', () => {
    const parts = Array.from({ length: limits.frameParts }, () => [leave]);
    expect(decodeHolderFrame(encoded(...parts)).parts).toHaveLength(limits.frameParts);
    expect(refusal(() => decodeHolderFrame(encoded(...parts, [leave])))).toMatch(/ parts in a frame$/);
  });
});

describe('what is nearly a frame', () => {
  it('has no part', () => {
    expect(refusal(() => encoded())).toBe('a frame without parts');
    expect(refusal(() => encodeStoreFrame({ key: 'k', parts: [] }))).toBe('a frame without parts');
    expect(saidOf([3, 'h', 0, 'h1', 'q', []])).toBe('a frame without parts');
  });

  it('has something else in the place of a part', () => {
    expect(saidOf([3, 'h', 0, 'h1', 'q', ['abc']])).toBe('"abc" is no part');
    expect(saidOf([3, 'h', 0, 'h1', 'q', [[0, 0]]])).toBe('a list of 2 is no part');
  });

  it('is a text, or a number', () => {
    expect(saidOf('abc')).toBe('not an array');
    expect(saidOf(3)).toBe('not an array');
  });

  it('has its version as a text', () => {
    expect(saidOf(['3', 'h', 0, 'h1', 'q', [[0, 0, []]]])).toMatch(/^protocol version "3": /);
  });

  it('has one field more', () => {
    expect(saidOf([3, 'h', 0, 'h1', 'q', [[0, 0, []]], 'more'])).toBe('7 fields, not 6');
    expect(saidOf([3, 'h', 0, 'h1', 'q'])).toBe('5 fields, not 6');
  });

  it('is for the other side', () => {
    const bytes = Uint8Array.from(pack([3, 's', 0, 'k', [[0, 0, []]]]));
    expect(decodeStoreFrame(bytes).parts).toHaveLength(1);
    expect(refusal(() => decodeHolderFrame(bytes))).toBe('a frame for the other side');
  });
});

it('a message that breaks a limit is named with its session, if it has one', () => {
  expect(refusal(() => encoded([{ kind: 'renew', n: -1 }]))).toBe('renew: -1 is no count within the limits');
  expect(refusal(() => encoded([{ kind: 'cancel', session: 's', request: -1 }]))).toBe(
    'cancel of session "s": -1 is no count within the limits',
  );
});

it('a field that was not sent is not there', () => {
  const acquire = { kind: 'acquire', session: 's', request: 1, mode: 'exclusive', waitMs: 5 } as const;
  const [part] = decodeHolderFrame(encoded([{ ...acquire, known: undefined, create: undefined }])).parts;
  expect(part!.messages[0]).toStrictEqual(acquire);
});

describe('the version of a frame', () => {
  const read = (...bytes: (number | Uint8Array)[]) => {
    const all = bytes.flatMap((part) => (typeof part === 'number' ? [part] : [...part]));
    try {
      decodeHolderFrame(Uint8Array.from(all));
      return 'taken';
    } catch (error) {
      return `${(error as Error).name}: ${(error as Error).message.split(':')[0]}`;
    }
  };
  const head = [5, 'h', 0, 'h1', 'q'];

  it('is another one that gets its answer, where the head has all parts', () => {
    const other = 'OtherVersionError: protocol version 5';
    expect(read(pack(head))).toBe(other);
    expect(read(pack([...head, ...Array.from({ length: 10 }, () => 0)]))).toBe(other);
  });

  it('is another one without an answer, where the head lacks a part', () => {
    expect(read(0x90, 5)).toBe('FrameError: protocol version 5');
    expect(read(pack(head.slice(0, 4)), pack('q'))).toBe('FrameError: protocol version 5');
  });

  it('is none, where the bytes begin with no list', () => {
    expect(read(5, 5)).toBe('FrameError: not MessagePack, or cut short');
    expect(read(0x82, 5)).toBe('FrameError: a kind of value that no frame has');
  });
});
