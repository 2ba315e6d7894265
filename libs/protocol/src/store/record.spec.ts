/** The record of a session as bytes: the layout itself, round trips, and refused bytes. */
import { pack } from 'msgpackr';
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { FrameError } from '../wire/fields.js';
import { decodeAttribute, decodeHead, encodeAttribute, encodeHead, type GrantRecord } from './record.js';

// Properties take longer on a busy machine.
vi.setConfig({ testTimeout: 60_000 });

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const grant: GrantRecord = { token: [2, 300], holder: 'h1', request: 7, queue: 'q', seq: 1, revoked: false };

const count = fc.oneof(fc.nat(), fc.maxSafeNat());
const id = fc.stringMatching(/^[\x21-\x7e]{1,128}$/);
const token = fc.tuple(count, count);
const version = fc.tuple(count, count, count);

const fresh = {
  version: [1, 1, 0] as const,
  grant: undefined,
  ended: [],
  touched: 0,
  expiryEntry: undefined,
  destroyed: undefined,
};

describe('a head', () => {
  it('has its seven fields, and no more', () => {
    const fields = [2, [1, 1, 0], null, [], 0, null, null];
    expect(decodeHead(pack(fields))).toMatchObject({ version: [1, 1, 0] });
    expect(() => decodeHead(pack([...fields, null]))).toThrow(FrameError);
    expect(() => decodeHead(pack(fields.slice(0, -1)))).toThrow(FrameError);
  });

  it('is laid out like this, byte by byte', () => {
    const ended = [{ token: [2, 299] as const, holder: 'h2', seq: 4 }];
    const head = { version: [2, 299, 4] as const, grant, ended, touched: 5, expiryEntry: 6, destroyed: 7 };
    expect(hex(encodeHead(head))).toBe(
      '97029302cd012b04969202cd012ca2683107a17101c291939202cd012ba2683204050607',
    );
    expect(hex(encodeHead(fresh))).toBe('970293010100c09000c0c0');
  });

  it('comes back as it was', () => {
    const anyGrant = fc.record({
      token,
      holder: id,
      request: count,
      queue: fc.string({ maxLength: 255 }),
      revoked: fc.boolean(),
      seq: count,
    });
    const anyEnded = fc.array(fc.record({ token, holder: id, seq: count }), { maxLength: 10 });
    const anyHead = fc.record({
      version,
      grant: fc.option(anyGrant, { nil: undefined }),
      ended: anyEnded,
      touched: count,
      expiryEntry: fc.option(count, { nil: undefined }),
      destroyed: fc.option(count, { nil: undefined }),
    });
    fc.assert(
      fc.property(anyHead, (head) => {
        expect(decodeHead(encodeHead(head))).toEqual(head);
      }),
    );
  });

  it('of another layout is refused by an error that names both', () => {
    expect(() => decodeHead(pack([1, 'more', 'than', 'we', 'know']))).toThrow(
      new FrameError("a session's head has layout 1: this program knows 2 alone"),
    );
  });

  it.each([
    ['nothing', new Uint8Array()],
    ['half a head', encodeHead({ ...fresh, grant }).subarray(0, 10)],
    ['no list', pack('head')],
    ['no value', pack(null)],
    ['a part too few', pack([2, [1, 1, 0], null])],
    ['a version of two', pack([2, [1, 1], null, [], 0, null, null])],
    ['a grant of four', pack([2, [1, 1, 0], [[1, 1], 'h', 1, 'q'], [], 0, null, null])],
    ['ended grants that are no list', pack([2, [1, 1, 0], null, 'none', 0, null, null])],
    ['a grant that is a text of six', pack([2, [1, 1, 0], 'six...', [], 0, null, null])],
    ['an ended grant that is no list', pack([2, [1, 1, 0], null, [7], 0, null, null])],
    ['an ended grant that is nothing', pack([2, [1, 1, 0], null, [null], 0, null, null])],
    ['an ended grant without seq', pack([2, [1, 1, 0], null, [[[1, 1], 'h']], 0, null, null])],
  ])('%s is refused', (_what, bytes) => {
    expect(() => decodeHead(bytes)).toThrow(FrameError);
  });
});

describe('an attribute', () => {
  it('is its version, three 64-bit counts, and its value', () => {
    const row = encodeAttribute({
      version: [1, 258, Number.MAX_SAFE_INTEGER],
      bytes: Uint8Array.of(0xaa, 0xbb),
    });
    expect(hex(row).match(/.{1,16}/g)).toEqual([
      '0000000000000001',
      '0000000000000102',
      '001fffffffffffff',
      'aabb',
    ]);
  });

  it('comes back as it was, from any part of a larger buffer', () => {
    fc.assert(
      fc.property(version, fc.uint8Array(), (of, bytes) => {
        const row = encodeAttribute({ version: of, bytes });
        const larger = new Uint8Array(row.length + 7);
        larger.set(row, 3);
        expect(decodeAttribute(larger.subarray(3, 3 + row.length))).toEqual({ version: of, bytes });
      }),
    );
  });

  it('without a whole version is refused', () => {
    expect(() => decodeAttribute(new Uint8Array(23))).toThrow(
      new FrameError("an attribute's row of 23 bytes"),
    );
    expect(decodeAttribute(new Uint8Array(24))).toEqual({ version: [0, 0, 0], bytes: new Uint8Array() });
  });
});
