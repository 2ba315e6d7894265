/** Which bytes are exactly one plain value, and where values end. */
import { expect, it } from 'vitest';
import { pack } from 'msgpackr';
import { FrameError } from './fields.js';
import { checkPlain, endOfPlain } from './msgpack.js';

const said = (call: () => unknown): unknown => {
  try {
    return call();
  } catch (error) {
    if (error instanceof FrameError) return error.message;
    throw error;
  }
};
const check = (...bytes: number[]) => said(() => checkPlain(Uint8Array.from(bytes)));
const endOf = (...bytes: number[]) => said(() => endOfPlain(Uint8Array.from(bytes), 0, 1));

const cutShort = 'not MessagePack, or cut short';
const unknownKind = 'a kind of value that no frame has';

it.each([
  null,
  true,
  false,
  0,
  127,
  -1,
  -32,
  -33,
  255,
  65_535,
  2 ** 32 - 1,
  2 ** 40,
  -(2 ** 7),
  -(2 ** 15),
  -(2 ** 31),
  0.5,
  '',
  'x'.repeat(31),
  'x'.repeat(32),
  'x'.repeat(300),
  'x'.repeat(70_000),
  new Uint8Array(0),
  new Uint8Array(300),
  new Uint8Array(70_000),
  [],
  [1, [2, ['three']], []],
  Array.from({ length: 15 }, () => 1),
  Array.from({ length: 16 }, () => 1),
  Array.from({ length: 70_000 }, () => 1),
])('a plain value is taken (%#)', (value) => {
  const bytes = Uint8Array.from(pack(value));
  expect(said(() => checkPlain(bytes))).toBe(undefined);
  const [more, behind] = [Uint8Array.from([0xc0, ...bytes, 0xc0]), 1 + bytes.length];
  expect(said(() => endOfPlain(more, 1, 1))).toBe(behind);
  expect(said(() => checkPlain(bytes.subarray(0, -1)))).toBe(cutShort);
});

it('a value whose length takes no more bytes is taken at the very end', () => {
  expect([check(0xd9, 0), check(0xc4, 0), check(0xdc, 0, 0), check(0xa0)]).toEqual(Array(4).fill(undefined));
});

it('maps, extensions and what MessagePack does not have are refused', () => {
  const codes = [0x80, 0x81, 0x8f, 0xc1, 0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xde, 0xdf];
  expect(codes.map((code) => check(code, 1, 1, 1, 1))).toEqual(codes.map(() => unknownKind));
});

it('a list that is longer than the bytes is cut short at once', () => {
  expect([check(0x92, 1), check(0x93, 1), check(0xdd, 0xff, 0xff, 0xff, 0xff)]).toEqual(
    Array(3).fill(cutShort),
  );
});

it('no end is told of a value that is cut short, not even within its length', () => {
  const cut = [[0xa2, 0x61], [0xd9], [0xda, 0], [0xdb, 0, 0], [0xdc], [0xdd, 0, 0, 0], [0xc4], [0xcf, 1]];
  expect(cut.map((bytes) => endOf(...bytes))).toEqual(cut.map(() => cutShort));
});
