/**
 * Frames that were made to do harm. Any bytes are either a frame that could have been sent, or a `FrameError`
 * that people can read. Decoding takes time in proportion to the bytes, and leaves nothing behind. See
 * codec.spec.ts for the format and for single mistakes.
 */
import { pack, unpack } from 'msgpackr';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { decodeHolderFrame, decodeStoreFrame, encodeHolderFrame, encodeStoreFrame } from './codec.js';
import { FrameError } from './fields.js';
import { limits } from './limits.js';
import type { HolderMessage, StoreMessage } from './messages.js';
import { changes } from '../testing/message-text.js';

// Properties take longer on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const { set } = changes({ cart: '2 things', user: 'me' });
const change = { session: 's', token: [1, 300], seq: 2, set, removed: ['old'] } as const;
/** Each kind of message, with each field. */
const fromHolder: HolderMessage[] = [
  { kind: 'acquire', session: 's', request: 70, mode: 'exclusive', known: [1, 2, 3], create: set, waitMs: 5 },
  { kind: 'cancel', session: 's', request: 64 },
  { kind: 'commit', ...change },
  { kind: 'release', ...change },
  { kind: 'destroy', session: 's', token: [1, 2 ** 40], seq: 100 },
  { kind: 'renew', n: 1, reclaim: [['s', [1, 2], 3]], touches: [['s', 5_000]] },
  { kind: 'leave' },
  { kind: 'knock', session: 's', request: 7, waitMs: 1_000, ageMs: 20 },
];
const lists = { valid: [['s', [1, 2]]], recalled: [['t', [1, 3]]], revoked: [['u', [1, 4]]] } as const;
const grantedNow = { version: [1, 2, 3], seq: 0, set, keep: ['old'], contended: true } as const;
const fromStore: StoreMessage[] = [
  { kind: 'grant', session: 's', request: 70, token: [1, 64], mode: 'exclusive', ...grantedNow },
  { kind: 'recall', session: 's', token: [1, 2] },
  { kind: 'committed', session: 's', token: [1, 2], seq: 100 },
  { kind: 'released', session: 's', token: [1, 2] },
  { kind: 'renewed', n: 1, leaseMs: 5_000, ttlMs: 60_000, partitions: 16, ...lists },
  { kind: 'revoked', session: 's', token: [1, 2], why: 'lease-over' },
  {
    kind: 'refused',
    session: 's',
    why: 'gap',
    request: 1,
    token: [1, 2],
    seq: 4,
    appliedThrough: 2,
    detail: '!',
  },
  { kind: 'mismatch', store: 2, holder: 1 },
  { kind: 'disowned' },
];
const sender = { holder: 'h1', queue: 'q' };
const holderFrame = {
  ...sender,
  parts: [
    { partition: 3, epoch: 70_000, messages: fromHolder, ...sender },
    { partition: 4, epoch: 0, messages: [], ...sender },
  ],
};
const storeFrame = { key: 'k', parts: [{ partition: 3, epoch: 70_000, messages: fromStore }] };
const goodOnes = [encodeHolderFrame(holderFrame), encodeStoreFrame(storeFrame)].map((one) =>
  Uint8Array.from(one),
);

/**
 * Reads the bytes on both sides. A frame must be one that could be sent. An error must be short. Returns the
 * errors.
 */
function read(sent: Uint8Array): string[] {
  const bytes = Uint8Array.from(sent); // as any broker might bring them
  const said = [
    () => decodeAgain(bytes, decodeHolderFrame, encodeHolderFrame),
    () => decodeAgain(bytes, decodeStoreFrame, encodeStoreFrame),
  ].flatMap(complaint);
  expect(said.filter(({ length }) => length > 250)).toEqual([]);
  return said;
}

function complaint(call: () => void): string[] {
  try {
    call();
    return [];
  } catch (error) {
    if (error instanceof FrameError) return [error.message];
    throw error;
  }
}

function decodeAgain<F>(
  bytes: Uint8Array,
  decode: (of: Uint8Array) => F,
  encode: (of: F) => Uint8Array,
): void {
  const frame = decode(bytes);
  expect(decode(Uint8Array.from(encode(frame)))).toEqual(frame);
}

const bytesOf = (...parts: (number | Uint8Array | readonly number[])[]) =>
  Uint8Array.from(
    Buffer.concat(parts.map((part) => Uint8Array.from(typeof part === 'number' ? [part] : part))),
  );
const long = (token: number, length: number) =>
  bytesOf(token, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255);
/** Up to the messages of the one part. */
const headOfHolder = bytesOf(0x96, 3, 0xa1, 0x68, 0, 0xa1, 0x68, 0xa1, 0x71, 0x91, 0x93, 0, 0);

/** A frame that grows when it is read. Most of its cost is not in its bytes. */
const bombs: Record<string, () => Uint8Array> = {
  'one message named by sixteen thousand references': () => {
    const names = Array.from({ length: limits.attributes }, (_, i) => `n${i}`);
    const commit = bytesOf([0xd6, 0x69, 0, 0, 0, 1], pack([3, 's', [1, 1], 1, [], names]));
    const again = Array.from({ length: limits.frameMessages - 1 }, () => [0xd6, 0x70, 0, 0, 0, 1]);
    return bytesOf(headOfHolder, long(0xdd, limits.frameMessages), commit, again.flat());
  },
  'one list named by every message': () => {
    const ages = Array.from({ length: limits.listed }, (_, i) => [`s${i}`, 1]);
    const first = bytesOf([0x94, 6, 1, 0xc0, 0xd6, 0x69, 0, 0, 0, 1], pack(ages));
    const again = Array.from({ length: 9_999 }, () => [0x94, 6, 1, 0xc0, 0xd6, 0x70, 0, 0, 0, 1]);
    return bytesOf(headOfHolder, long(0xdd, 10_000), first, again.flat());
  },
  'text that is read again from its beginning, a hundred thousand times': () => {
    const text = bytesOf(long(0xdb, 4_000_000), new Uint8Array(4_000_000).fill(0x61), 0xa0);
    const again = Array.from({ length: 100_000 }, (_, i) => {
      const back = -text.length - 8 * i - 3;
      return [0xc7, 4, 0x62, back >>> 24, (back >>> 16) & 255, (back >>> 8) & 255, back & 255, 1];
    });
    return bytesOf(0x93, 3, 0xa1, 0x68, long(0xdd, 100_001), text, again.flat());
  },
  'a number of nineteen million digits': () =>
    bytesOf(
      0x96,
      3,
      0xa1,
      0x68,
      long(0xc9, 8_000_000),
      0x42,
      new Uint8Array(8_000_000).fill(0x55),
      headOfHolder.subarray(5),
      0x90,
    ),
  'a definition of what the numbers from 64 on stand for': () =>
    bytesOf(headOfHolder, [0x91, 0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 1]),
  'an object': () => bytesOf(headOfHolder, pack([{ kind: 'leave' }])),
};

describe('a frame that grows when it is read', () => {
  it.each(Object.entries(bombs))('%s: is refused by the kinds of its values', (_what, bomb) => {
    const bytes = bomb();
    expect(bytes.length).toBeLessThanOrEqual(limits.frameBytes);
    const said = 'a kind of value that no frame has';
    expect(read(bytes)).toEqual([said, said]);
  });

  it('eight megabytes of lists within lists, or of lists side by side, are refused', () => {
    const said = 'not MessagePack, or cut short';
    expect(read(new Uint8Array(limits.frameBytes).fill(0x91))).toEqual([said, said]);
    const wide = 6_000_000;
    const [wrong] = read(bytesOf(headOfHolder, long(0xdd, wide), new Uint8Array(wide).fill(0x90)));
    expect(wrong).toBe(`more than ${limits.frameMessages} messages in a frame`);
    const deep = 2_000_000;
    const nested = bytesOf(headOfHolder, new Uint8Array(deep).fill(0x91), 0xc0);
    expect(read(nested)[0]).toBe('not MessagePack, or cut short');
  });
});

describe('any bytes', () => {
  /** Bytes with a meaning in MessagePack. So most of the frames that are made of them get far. */
  const meaningful = fc.constantFrom(
    ...[
      0x90, 0x91, 0x93, 0x96, 0xc0, 0xc1, 0xc2, 0xc4, 0xc7, 0xcb, 0xcc, 0xcf, 0xd3, 0xd9, 0xdc, 0xdd, 0x81,
      0xdf,
    ],
    ...[
      0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xc8, 0xc9, 0x42, 0x62, 0x65, 0x69, 0x70, 0x72, 0x73, 0x74, 0x78, 0x40,
      0x7f,
    ],
    ...[0, 1, 2, 3, 6, 0x68, 0x73, 0xa1, 0xff],
  );
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.array(meaningful, { maxLength: 60 }).map((bytes) => Uint8Array.from(bytes)),
    fc.array(meaningful, { maxLength: 60 }).map((bytes) => bytesOf(headOfHolder, bytes)),
  );
  const anything = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
  });
  const something = fc.oneof(
    anything,
    fc.constantFrom<unknown>(
      -1,
      0,
      0.5,
      NaN,
      Infinity,
      2 ** 53,
      '',
      '__proto__',
      '*',
      '\u0000',
      '\ud800',
      null,
      true,
    ),
    fc.constantFrom<unknown>(
      [],
      [[]],
      ['s', [1]],
      new Uint8Array(3),
      new Float32Array(1),
      new Date(0),
      'x'.repeat(600),
    ),
  );
  const deed = fc.constantFrom('replace', 'drop', 'double', 'wrap', 'swap');
  const mutation = fc.record({ way: fc.array(fc.nat(20), { maxLength: 6 }), deed, by: something });

  /** Changes a part of the tree. `way` leads down to it, as far as there are lists. */
  function mutate(
    tree: unknown[],
    { way, deed: what, by }: typeof mutation extends fc.Arbitrary<infer M> ? M : never,
  ): void {
    let list = tree;
    let at = 0;
    for (const step of way) {
      if (list.length === 0) break;
      at = step % list.length;
      const below = list[at];
      if (!Array.isArray(below)) break;
      if (step !== way.at(-1)) list = below;
    }
    at %= Math.max(1, list.length);
    if (what === 'replace') list[at] = by;
    else if (what === 'drop') list.splice(at, 1);
    else if (what === 'double') list.splice(at, 0, list[at]);
    else if (what === 'wrap') list[at] = [list[at]];
    else list.reverse();
  }

  it('is a frame or a frame error, and the next good frame is read as ever', () => {
    const expected = goodOnes.map((bytes) => read(bytes).length);
    expect(expected).toEqual([1, 1]); // good for one side, and a frame error for the other
    fc.assert(
      fc.property(noise, (bytes) => {
        read(bytes);
        expect(decodeHolderFrame(goodOnes[0]!)).toEqual({ version: 3, ...holderFrame });
        expect(decodeStoreFrame(goodOnes[1]!)).toEqual({ version: 3, ...storeFrame });
      }),
      { numRuns: 3_000 },
    );
  });

  it('a good frame with values of wrong shapes is a frame error, or one that could have been sent', () => {
    let [refused, all] = [0, 0];
    fc.assert(
      fc.property(
        fc.constantFrom(...goodOnes),
        fc.array(mutation, { minLength: 1, maxLength: 3 }),
        (good, mutations) => {
          const tree = unpack(good) as unknown[];
          for (const one of mutations) mutate(tree, one);
          let bytes: Uint8Array;
          try {
            bytes = pack(tree);
          } catch {
            return; // no MessagePack has it
          }
          all++;
          refused += read(bytes).length === 2 ? 1 : 0;
        },
      ),
      { numRuns: 3_000 },
    );
    expect(refused / all).toBeGreaterThan(1 / 4); // else the mutations reach too little
  });

  it('one wrong message spoils the whole frame: nothing of it is used', () => {
    for (const at of fromHolder.keys()) {
      const tree = unpack(goodOnes[0]!) as unknown[][][][][];
      tree[5]![0]![2]![at]!.push('one field too many');
      expect(read(pack(tree))[0]).toMatch(/^\w+ has \d fields, not \d$/);
    }
  });
});
