/**
 * Frames to bytes and back: the format itself, each kind of message, and bytes that are no frame.
 * It is one file, since all properties draw on the same arbitrary messages.
 */
import { pack } from 'msgpackr';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { decodeHolderFrame, decodeStoreFrame, encodeHolderFrame, encodeStoreFrame } from './codec.js';
import { FrameError } from './fields.js';
import { OtherVersionError } from './frame-head.js';
import { limits } from './limits.js';
import type {
  HolderFrame,
  HolderMessage,
  HolderPart,
  RefusalReason,
  StoreFrame,
  StoreMessage,
  StorePart,
} from './messages.js';
import { isAttributeName } from './session-id.js';

// Properties take longer on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

type Sent<F> = Omit<F, 'version'>;

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const text = (value: string) => new TextEncoder().encode(value);
/** A frame on its way, as plain bytes from any broker. */
const travel = (frame: Uint8Array) => Uint8Array.from(frame);
/** The text of a frame error. Fails when another error is thrown, or none. */
const refusal = (call: () => unknown): string => {
  try {
    call();
  } catch (error) {
    if (error instanceof FrameError) return error.message;
    throw error;
  }
  throw new Error('nothing was thrown');
};

/** Of one part, with its sender. */
const holderPart: HolderPart = {
  partition: 3,
  holder: 'h1',
  queue: 'q',
  epoch: 9,
  messages: [
    {
      kind: 'acquire',
      session: 's',
      request: 7,
      mode: 'exclusive',
      known: [1, 2, 3],
      create: new Map([['a', text('x')]]),
      waitMs: 15_000,
    },
    {
      kind: 'commit',
      session: 's',
      token: [1, 300],
      seq: 2,
      set: new Map([['a', text('xy')]]),
      removed: ['b'],
    },
    { kind: 'renew', n: 1 },
  ],
};
const storePart: StorePart = {
  partition: 3,
  epoch: 70_000,
  messages: [
    {
      kind: 'grant',
      session: 's',
      request: 7,
      token: [1, 300],
      mode: 'exclusive',
      version: [1, 2, 3],
      seq: 0,
      set: new Map([['a', text('x')]]),
      keep: ['b'],
      contended: true,
    },
    { kind: 'refused', session: 's', why: 'gap', token: [1, 300], seq: 4, appliedThrough: 2 },
  ],
};

const fromHolder = (...parts: readonly Partial<HolderPart>[]): Sent<HolderFrame> => {
  const { holder, queue } = { ...holderPart, ...parts[0] };
  return { holder, queue, parts: parts.map((part) => ({ ...holderPart, ...part })) };
};
const fromStore = (...parts: readonly Partial<StorePart>[]): Sent<StoreFrame> => ({
  key: 'k',
  parts: parts.map((part) => ({ ...storePart, ...part })),
});
const holderFrame = fromHolder({}, { partition: 4, epoch: 0, messages: [{ kind: 'leave' }] });
const storeFrame = fromStore({}, { partition: 4, epoch: 0, messages: [{ kind: 'disowned' }] });

describe('the format', () => {
  it('of a frame from a holder is this, byte by byte', () => {
    expect(hex(encodeHolderFrame(holderFrame))).toBe(
      '9603a16803a26831a17192930309939701a17307a96578636c75736976659301020392' +
        'a161c40178cd3a989603a1739201cd012c0292a161c402787991a162940601c0c0' +
        '930400919107',
    );
  });

  it('of a frame from a store is this, byte by byte', () => {
    expect(hex(encodeStoreFrame(storeFrame))).toBe(
      '9503a17303a16b929303ce00011170929b01a173079201cd012ca96578636c757369766593' +
        '0102030092a161c4017891a162c3c09807a173a3676170c09201cd012c0402c0930400919109',
    );
  });

  it('is read as it is written', () => {
    expect(decodeHolderFrame(travel(encodeHolderFrame(holderFrame)))).toEqual({ version: 3, ...holderFrame });
    expect(decodeStoreFrame(travel(encodeStoreFrame(storeFrame)))).toEqual({ version: 3, ...storeFrame });
  });

  it('of large numbers and of values with any bytes is exact', () => {
    const most = limits.count;
    const messages: StoreMessage[] = [{ kind: 'committed', session: 's', token: [2 ** 32, most], seq: most }];
    expect(decodeStoreFrame(encodeStoreFrame(fromStore({ epoch: most, messages })))).toMatchObject({
      parts: [{ epoch: most, messages }],
    });
  });

  it('of numbers that were counted on from the highest that is read can be written', () => {
    const seq = limits.count + 1;
    expect(() => encodeStoreFrame(fromStore({ epoch: seq, messages: [] }))).not.toThrow();
    const messages: HolderMessage[] = [
      { kind: 'commit', session: 's', token: [1, seq], seq, set: new Map(), removed: [] },
    ];
    const bytes = encodeHolderFrame(fromHolder({ messages }));
    expect(refusal(() => decodeHolderFrame(bytes))).toBe('a list of 2 is no token within the limits');
  });

  it('names the message and the session that cannot be written', () => {
    const messages: HolderMessage[] = [{ kind: 'knock', session: 's', request: 1, waitMs: NaN, ageMs: 0 }];
    expect(refusal(() => encodeHolderFrame(fromHolder({ messages })))).toBe(
      'knock of session "s": NaN is no waitMs within the limits',
    );
  });

  it('decoded values do not share memory with the bytes of the frame', () => {
    const bytes = travel(encodeHolderFrame(holderFrame));
    const [, commit] = decodeHolderFrame(bytes).parts[0]!.messages;
    bytes.fill(0);
    expect(commit).toMatchObject({ set: new Map([['a', text('xy')]]) });
  });

  it('is read from any part of a larger buffer', () => {
    const bytes = encodeStoreFrame(storeFrame);
    const larger = new Uint8Array(bytes.length + 20).fill(0xc1);
    larger.set(bytes, 10);
    expect(decodeStoreFrame(larger.subarray(10, 10 + bytes.length))).toMatchObject(storeFrame);
  });
});

// Any message that keeps within the limits. -----------------------------------------------------------------

const count = fc.oneof(
  fc.nat(),
  fc.maxSafeNat().map((n) => Math.floor(n / 2)),
);
const id = fc.stringMatching(/^[\x21-\x7e]{1,128}$/);
const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).filter(isAttributeName);
const token = fc.tuple(count, count);
const version = fc.tuple(count, count, count);
const value = fc.uint8Array({ maxLength: 40 });
const values = fc.array(fc.tuple(name, value), { maxLength: 5 }).map((entries) => new Map(entries));
const names = fc.array(name, { maxLength: 5 });
const reclaimed = fc.array(fc.tuple(id, token, count), { maxLength: 3 });
const tokens = fc.array(fc.tuple(id, token), { maxLength: 3 });
const ages = fc.array(fc.tuple(id, count), { maxLength: 3 });
const maybe = <T>(inner: fc.Arbitrary<T>) => fc.option(inner, { nil: undefined });
const kind = <K extends string>(of: K) => fc.constant(of);
const change = { session: id, token, seq: count, set: values, removed: names };
const why = fc.constantFrom<RefusalReason>(
  'gap',
  'ended',
  'outcome-unknown',
  'wrong-partition',
  'unknown-session',
  'too-many-waiters',
  'too-large',
  'unsupported',
);
const mode = fc.constant('exclusive' as const);

const anyHolderMessage: {
  readonly [K in HolderMessage['kind']]: fc.Arbitrary<Extract<HolderMessage, { kind: K }>>;
} = {
  acquire: fc.record({
    kind: kind('acquire'),
    session: id,
    request: count,
    mode,
    known: maybe(version),
    create: maybe(values),
    waitMs: fc.nat(limits.waitMs),
  }),
  cancel: fc.record({ kind: kind('cancel'), session: id, request: count }),
  commit: fc.record({ kind: kind('commit'), ...change }),
  release: fc.record({ kind: kind('release'), ...change }),
  destroy: fc.record({ kind: kind('destroy'), session: id, token, seq: count }),
  renew: fc.record({
    kind: kind('renew'),
    n: count,
    reclaim: maybe(reclaimed),
    touches: maybe(ages),
  }),
  leave: fc.record({ kind: kind('leave') }),
  knock: fc.record({
    kind: kind('knock'),
    session: id,
    request: count,
    waitMs: fc.nat(limits.waitMs),
    ageMs: count,
  }),
};

const anyStoreMessage: {
  readonly [K in StoreMessage['kind']]: fc.Arbitrary<Extract<StoreMessage, { kind: K }>>;
} = {
  grant: fc.record({
    kind: kind('grant'),
    session: id,
    request: count,
    token,
    mode,
    version,
    seq: count,
    set: values,
    keep: names,
    contended: fc.boolean(),
    untilIdle: fc.option(fc.boolean(), { nil: undefined }),
  }),
  recall: fc.record({ kind: kind('recall'), session: id, token }),
  committed: fc.record({ kind: kind('committed'), session: id, token, seq: count }),
  released: fc.record({ kind: kind('released'), session: id, token }),
  renewed: fc.record({
    kind: kind('renewed'),
    n: count,
    leaseMs: count,
    ttlMs: count,
    partitions: count,
    valid: maybe(tokens),
    recalled: tokens,
    revoked: tokens,
  }),
  revoked: fc.record({
    kind: kind('revoked'),
    session: id,
    token,
    why: fc.constantFrom('lease-over', 'recall-timeout'),
  }),
  refused: fc.record({
    kind: kind('refused'),
    session: id,
    why,
    request: maybe(count),
    token: maybe(token),
    seq: maybe(count),
    appliedThrough: maybe(count),
    detail: maybe(fc.string({ maxLength: 100 })),
  }),
  mismatch: fc.record({ kind: kind('mismatch'), store: count, holder: count }),
  disowned: fc.record({ kind: kind('disowned') }),
};

const queue = fc.string({ maxLength: 255 });
const partsOf = <M>(messages: readonly fc.Arbitrary<M>[]) =>
  fc.array(
    fc.record({
      partition: count,
      epoch: count,
      messages: fc.array(fc.oneof(...messages), { maxLength: 6 }),
    }),
    { minLength: 1, maxLength: 4 },
  );
const anyHolderFrame = fc
  .tuple(id, queue, partsOf<HolderMessage>(Object.values(anyHolderMessage)))
  .map(([holder, replyTo, parts]): Sent<HolderFrame> => {
    const sender = { holder, queue: replyTo };
    return { ...sender, parts: parts.map((part) => ({ ...part, ...sender })) };
  });
const anyStoreFrame = fc.record({ key: queue, parts: partsOf<StoreMessage>(Object.values(anyStoreMessage)) });

describe('a round trip', () => {
  it.each(Object.entries(anyHolderMessage))('brings back any %s', (_kind, message) => {
    fc.assert(
      fc.property(message as fc.Arbitrary<HolderMessage>, (one) => {
        const frame = fromHolder({ messages: [one] });
        expect(decodeHolderFrame(travel(encodeHolderFrame(frame))).parts[0]!.messages).toEqual([one]);
      }),
    );
  });

  it.each(Object.entries(anyStoreMessage))('brings back any %s', (_kind, message) => {
    fc.assert(
      fc.property(message as fc.Arbitrary<StoreMessage>, (one) => {
        const frame = fromStore({ messages: [one] });
        expect(decodeStoreFrame(travel(encodeStoreFrame(frame))).parts[0]!.messages).toEqual([one]);
      }),
    );
  });

  it('brings back any frame', () => {
    fc.assert(
      fc.property(anyHolderFrame, anyStoreFrame, (holders, stores) => {
        expect(decodeHolderFrame(travel(encodeHolderFrame(holders)))).toEqual({ version: 3, ...holders });
        expect(decodeStoreFrame(travel(encodeStoreFrame(stores)))).toEqual({ version: 3, ...stores });
      }),
    );
  });
});

describe('bytes that are not a frame', () => {
  const decodeEither = (bytes: Uint8Array) => {
    for (const decode of [decodeHolderFrame, decodeStoreFrame]) {
      try {
        decode(bytes);
      } catch (error) {
        if (!(error instanceof FrameError)) throw error;
      }
    }
  };
  const wire = (...messages: unknown[]) => pack([3, 'h', 0, 'h1', 'q', [[0, 0, messages]]]);

  it('every frame cut short is refused', () => {
    for (const [bytes, decode] of [
      [encodeHolderFrame(holderFrame), decodeHolderFrame],
      [encodeStoreFrame(storeFrame), decodeStoreFrame],
    ] as const) {
      for (let length = 0; length < bytes.length; length++) refusal(() => decode(bytes.subarray(0, length)));
    }
  });

  it('bytes after the end are refused', () => {
    const bytes = encodeStoreFrame(storeFrame);
    expect(refusal(() => decodeStoreFrame(new Uint8Array([...bytes, 0])))).toBe(
      'not MessagePack, or cut short',
    );
  });

  it('random bytes, and frames with random bytes in them, are a frame error or a frame, and nothing else', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), decodeEither), { numRuns: 5_000 });
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(anyHolderFrame, anyStoreFrame, damage, (holders, stores, changes) => {
        for (const bytes of [encodeHolderFrame(holders), encodeStoreFrame(stores)]) {
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
          decodeEither(bytes);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('any value in the place of any other is refused, or is what it should be', () => {
    const anything = fc.anything({
      withBigInt: true,
      withDate: true,
      withMap: true,
      withSet: true,
      withTypedArray: true,
    });
    fc.assert(
      fc.property(fc.nat(5), fc.nat(7), anything, anything, (part, at, something, other) => {
        const message: unknown[] = [1, 's', 1, 'exclusive', null, null, 100];
        message[at] = something;
        const frame: unknown[] = [3, 'h', 0, 'h1', 'q', [[0, 0, [message]]]];
        if (part < 5) frame[part] = other;
        let bytes: Uint8Array;
        try {
          bytes = pack(frame);
        } catch {
          return; // no MessagePack has it
        }
        decodeEither(bytes);
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['an object that pretends to be text', [0x91, 0x81, 0xa8, ...text('toString'), 0x01]],
    ['a bigint', [0x92, 0x01, 0xc7, 0x03, 0x42, 0x01, 0x02, 0x03]],
    ['a circle', [0x91, 0xd6, 0x69, 0, 0, 0, 1, 0x91, 0xd6, 0x70, 0, 0, 0, 1]],
    ['lists within lists within lists', Array.from({ length: 100_000 }, () => 0x91)],
    ['a list said to be longer than memory', [0xdd, 0xff, 0xff, 0xff, 0xff]],
    [
      'lists said to be long within each other',
      Array.from({ length: 1_000 }, () => [0xdd, 1, 0xff, 0xff, 0xff]).flat(),
    ],
    ['no array', [0x01]],
    ['nothing', []],
  ])('%s is refused', (_what, bytes) => {
    refusal(() => decodeHolderFrame(Uint8Array.from(bytes)));
    refusal(() => decodeStoreFrame(Uint8Array.from(bytes)));
  });

  it.each([
    ['no part', [], 'a frame without parts'],
    ['a part that is no list', [5], '5 is no part'],
    ['a part with too much in it', [[0, 0, [], 1]], 'a list of 4 is no part'],
    ['another partition in its head', [[1, 0, []]], 'the head names another partition than the first part'],
    ['messages that are none', [[0, 0, 'a']], 'messages are not an array'],
  ])('a frame with %s is refused, saying what is wrong', (_what, parts, said) => {
    expect(refusal(() => decodeHolderFrame(pack([3, 'h', 0, 'h1', 'q', parts])))).toBe(said);
    expect(refusal(() => decodeStoreFrame(pack([3, 's', 0, 'k', parts])))).toBe(said);
  });

  describe('a frame of another version', () => {
    const other = (bytes: Uint8Array, decode: (bytes: Uint8Array) => unknown) => {
      try {
        decode(Uint8Array.from(bytes));
      } catch (error) {
        if (error instanceof OtherVersionError) return error.frame;
      }
      return undefined;
    };
    const later = { some: 'thing', that: new Map([[1, 'no version knows yet']]) };

    it.each([1, 2, 127])(
      'of a holder names version %i, the holder and its queue, whatever follows',
      (spoken) => {
        const bytes = pack([spoken, 'h', 3, 'h1', 'q.1', later, later]);
        const frame = { version: spoken, partition: 3, holder: 'h1', queue: 'q.1' };
        expect(other(bytes, decodeHolderFrame)).toEqual(frame);
        expect(refusal(() => decodeHolderFrame(bytes))).toBe(
          `protocol version ${spoken}: this program speaks 3 alone`,
        );
      },
    );

    it('of a store names its version and its partition', () => {
      expect(other(pack([4, 's', 7, later]), decodeStoreFrame)).toEqual({ version: 4, partition: 7 });
    });

    it('as versions 1 and 2 had them is read on both sides', () => {
      const acquire = [1, 's', 1, 'exclusive', null, null, 1];
      const second = pack([2, 'h', 6, 'h1', 'q', 0, [acquire]]);
      expect(other(second, decodeHolderFrame)).toMatchObject({ version: 2, partition: 6, queue: 'q' });
      expect(other(pack([2, 's', 6, 70_000, []]), decodeStoreFrame)).toEqual({ version: 2, partition: 6 });
      expect(other(pack([1, 'h', 0, 'h1', 'q', [acquire]]), decodeHolderFrame)).toMatchObject({ queue: 'q' });
      expect(other(pack([1, 's', 0, 70_000, []]), decodeStoreFrame)).toEqual({ version: 1, partition: 0 });
    });

    it.each([
      ['without the head', [4, 'h', 'whatever it has']],
      ['with a head that has something else in its places', [4, 'h', 'a', 'b c', 5, []]],
      ['with more behind its id than an id may have', [4, 'h', 0, 'x'.repeat(5_000), 'q', []]],
      ['for the other side', [4, 'x', 0, 'h1', 'q']],
    ])('%s is refused, naming both versions', (_what, frame) => {
      const message = 'protocol version 4: this program speaks 3 alone';
      for (const decode of [decodeHolderFrame, decodeStoreFrame]) {
        expect(refusal(() => decode(pack(frame)))).toBe(message);
        expect(other(pack(frame), decode)).toBeUndefined();
      }
    });
  });

  it('a frame for the other side is refused', () => {
    expect(refusal(() => decodeStoreFrame(encodeHolderFrame(holderFrame)))).toBe(
      'a frame for the other side',
    );
    expect(refusal(() => decodeHolderFrame(encodeStoreFrame(storeFrame)))).toBe('a frame for the other side');
  });

  it.each([
    ['a code that nobody knows', [99], 'no message has the code 99'],
    ['a field too few', [2, 's'], 'cancel has 1 fields, not 2'],
    ['a field too many', [7, 1], 'leave has 1 fields, not 0'],
    ['a message that is no array', 'cancel', 'a message is not an array'],
    ['an empty id', [2, '', 1], '"" is no id within the limits'],
    ['an id with a space', [2, 'a b', 1], '"a b" is no id within the limits'],
    ['a number as id', [2, 5, 1], '5 is no id within the limits'],
    ['a negative count', [2, 's', -1], '-1 is no count within the limits'],
    ['a fraction', [2, 's', 1.5], '1.5 is no count within the limits'],
    ['a count beyond 2^53', [2, 's', 2 ** 53], '9007199254740992 is no count within the limits'],
    ['a token of three', [5, 's', [1, 2, 3], 1], 'a list of 3 is no token within the limits'],
    ['an unknown mode', [1, 's', 1, 'shared', null, null, 1], '"shared" is no exclusive within the limits'],
    [
      'a wait of an hour',
      [1, 's', 1, 'exclusive', null, null, 3_600_000],
      '3600000 is no waitMs within the limits',
    ],
    [
      'a value that is no bytes',
      [3, 's', [1, 1], 1, ['a', 'text'], []],
      '"text" is no value within the limits',
    ],
    ['a name without a value', [3, 's', [1, 1], 1, ['a'], []], 'a list of 1 is no values within the limits'],
    [
      'a name twice',
      [3, 's', [1, 1], 1, ['a', text('1'), 'a', text('2')], []],
      'an attribute is named twice',
    ],
    [
      'a reserved name',
      [3, 's', [1, 1], 1, [], ['__proto__']],
      '"__proto__" is no attribute name within the limits',
    ],
    ['a name as a list', [3, 's', [1, 1], 1, [], 'a'], '"a" is no list within the limits'],
  ])('%s is refused, saying what is wrong', (_what, message, said) => {
    expect(refusal(() => decodeHolderFrame(wire(message)))).toBe(said);
  });
});

describe('limits', () => {
  const commit = (set: ReadonlyMap<string, Uint8Array>, removed: string[] = []): Sent<HolderFrame> =>
    fromHolder({ messages: [{ kind: 'commit', session: 's', token: [1, 1], seq: 1, set, removed }] });
  const bytesOf = (length: number) => new Uint8Array(length);
  const many = (length: number) => Array.from({ length }, (_, i) => `n${i}`);

  it('values that reach them pass', () => {
    const set = new Map(many(4).map((one) => [one, bytesOf(limits.valueBytes)]));
    const [part] = decodeHolderFrame(encodeHolderFrame(commit(set, many(limits.attributes)))).parts;
    const [message] = part!.messages;
    if (message?.kind !== 'commit') throw new Error('no commit');
    expect([...message.set].map(([, value]) => value.length)).toEqual(
      [1, 1, 1, 1].map(() => limits.valueBytes),
    );
    expect(message.removed).toHaveLength(limits.attributes);
  });

  it.each([
    ['a value', () => commit(new Map([['a', bytesOf(limits.valueBytes + 1)]])), '1048577 bytes is no value'],
    [
      'all values',
      () => commit(new Map(many(5).map((one) => [one, bytesOf(limits.valueBytes)]))),
      'values of 5242880 bytes',
    ],
    [
      'the values',
      () => commit(new Map(many(limits.attributes + 1).map((one) => [one, bytesOf(0)]))),
      'is no values',
    ],
    ['the names', () => commit(new Map(), many(limits.attributes + 1)), 'a list of 4097 is no list'],
    ['a name', () => commit(new Map(), ['n'.repeat(limits.nameChars + 1)]), 'is no attribute name'],
    ['a queue', () => ({ ...holderFrame, queue: 'q'.repeat(limits.queueChars + 1) }), 'is no queue'],
    ['a holder', () => ({ ...holderFrame, holder: 'h'.repeat(limits.idChars + 1) }), 'is no id'],
  ])('%s beyond them is not even sent', (_what, frame, said) => {
    expect(refusal(() => encodeHolderFrame(frame()))).toContain(said);
  });

  it('too many messages are refused', () => {
    const messages = Array.from({ length: limits.frameMessages + 1 }, () => [7]);
    const of = (...parts: unknown[]) => pack([3, 'h', 0, 'h1', 'q', parts]);
    expect(refusal(() => decodeHolderFrame(of([0, 0, messages])))).toBe(
      'more than 16384 messages in a frame',
    );
    const [some, others] = [messages.slice(9_000), messages.slice(0, 9_000)];
    expect(refusal(() => decodeHolderFrame(of([0, 0, some], [1, 0, others])))).toMatch(
      /more than .* messages/,
    );
    const parts = Array.from({ length: limits.frameParts + 1 }, () => [0, 0, []]);
    expect(refusal(() => decodeHolderFrame(of(...parts)))).toBe('more than 1024 parts in a frame');
  });

  it('a frame beyond its limit is neither sent nor read', () => {
    const messages = many(3).flatMap((session) =>
      commit(new Map(many(3).map((one) => [one, bytesOf(limits.valueBytes)]))).parts[0]!.messages.map(
        (one) => ({ ...one, session }),
      ),
    ) as HolderMessage[];
    expect(refusal(() => encodeHolderFrame(fromHolder({ messages })))).toMatch(/^a frame of 9\d{6} bytes$/);
    expect(refusal(() => decodeHolderFrame(bytesOf(limits.frameBytes + 1)))).toBe('a frame of 8388609 bytes');
  });

  it('our own mistakes are not sent', () => {
    expect(refusal(() => encodeHolderFrame(fromHolder({ partition: -1 })))).toContain('is no count');
    expect(refusal(() => encodeStoreFrame(fromStore({ epoch: 0.5 })))).toContain('is no count');
  });
});
