/** What attribute values may be, and that they come back as they were. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { assertAttributeName, decodeFrozen, decodeValue, encodeValue } from './values.js';

const there = (value: unknown) => encodeValue(value, 'cart');
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const thereAndBack = (value: unknown) => decodeValue(there(value));

describe('what JSON can carry', () => {
  it('comes back as JSON would bring it back, from the same bytes every time', () => {
    // Keys from the language's own objects: an attribute may have them, and nothing may trip over them.
    const awkward = fc.constantFrom('constructor', 'toJSON', 'hasOwnProperty', 'length', 'then', '0', '');
    const key = fc
      .oneof({ weight: 4, arbitrary: fc.string() }, awkward)
      .filter((name) => name !== '__proto__');
    const leaf = fc.oneof(
      fc.constantFrom(
        null,
        true,
        false,
        -0,
        2 ** 31,
        2 ** 32,
        2 ** 53,
        -(2 ** 31) - 1,
        5e-324,
        1.7976931348623157e308,
      ),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.integer(),
      fc.string({ unit: 'binary', maxLength: 200 }),
    );
    const { value: anything } = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, leaf, tie('list'), tie('object')),
      list: fc.array(tie('value'), { maxLength: 4 }),
      object: fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: false }),
    }));
    fc.assert(
      fc.property(fc.oneof(anything, fc.jsonValue().filter(hasNoProtoKey)), (value) => {
        const bytes = there(value);
        expect(decodeValue(bytes)).toEqual(JSON.parse(JSON.stringify(value)));
        expect(hex(there(value))).toBe(hex(bytes));
        expect(hex(there(decodeValue(bytes)))).toBe(hex(bytes));
      }),
      { numRuns: 300 },
    );
  });

  it('leaves out properties that are undefined', () => {
    expect(thereAndBack({ a: 1, b: undefined, c: { d: undefined } })).toStrictEqual({ a: 1, c: {} });
  });

  it('may be wide, and as deep as 64', () => {
    const wide = Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`key ${i}`, i]));
    expect(thereAndBack(wide)).toEqual(wide);
    expect(thereAndBack(nested(64))).toEqual(nested(64));
    expect(() => there(nested(65))).toThrow('is nested more than 64 levels deep');
  });

  it('is a fresh copy every time, or one that is frozen throughout', () => {
    const bytes = there({ items: [{ sku: 'a' }] });
    const copy = decodeValue(bytes) as { items: { sku: string }[] };
    copy.items[0]!.sku = 'b';
    expect(decodeValue(bytes)).toEqual({ items: [{ sku: 'a' }] });
    const frozen = decodeFrozen(bytes) as typeof copy;
    expect([frozen, frozen.items, frozen.items[0]].every((each) => Object.isFrozen(each))).toBe(true);
  });
});

describe('anything else is refused, with the path to it and what to do', () => {
  class Cart {}
  const circle: Record<string, unknown> = { total: 1 };
  circle['rows'] = [{ cart: circle }];

  const culprits: [value: unknown, message: string][] = [
    [
      { items: [0, { addedAt: new Date() }] },
      "attribute 'cart': items[1].addedAt is a Date; keep its getTime() or ",
    ],
    [{ 'two words': new Map() }, `["two words"] is a Map; keep Object.fromEntries() of it`],
    [[new Set()], '[0] is a Set; keep an array'],
    [new Cart(), 'the value is a Cart; a session keeps what JSON can carry: '],
    [{ a: new (class extends Array {})() }, 'a is a class instance'],
    [{ a: new Uint8Array(2) }, 'a is a Uint8Array; keep it as a base64 string'],
    [{ a: Buffer.from('x') }, 'a is a Buffer'],
    [{ a: Object.create({ inherited: 1 }) }, 'a is a Object'],
    [{ a: () => 1 }, 'a is a function'],
    [{ a: 1n }, 'a is a bigint; keep it as a string'],
    [{ a: NaN }, 'a is NaN; use null'],
    [{ a: -Infinity }, 'a is -Infinity'],
    [{ a: Symbol('s') }, 'a is a symbol'],
    [{ [Symbol('s')]: 1 }, 'the value is an object with a symbol among its keys'],
    [undefined, 'the value is undefined'],
    [{ a: [1, undefined] }, 'a[1] is undefined; use null'],
    // oxlint-disable-next-line no-sparse-arrays
    [{ a: [1, , 2] }, 'a[1] is undefined'],
    [{ get a() { return 1; } }, 'a is a getter or setter'], // prettier-ignore
    [JSON.parse('{"a":{"__proto__":{"admin":true}}}'), 'a.__proto__ is a property whose name cannot be kept'],
    [{ a: 'half of \u{1f600}: \ud83d' }, 'a is a string with half a surrogate pair'],
    [{ '\udc00': 1 }, 'is a property whose name cannot be kept'],
    [circle, 'rows[0].cart is part of itself'],
  ];

  it.each(culprits.map(([value, message]) => ({ value, message })))('$message', ({ value, message }) => {
    expect(() => there(value)).toThrow(
      expect.objectContaining({ code: 'value-not-serializable', message: expect.stringContaining(message) }),
    );
  });

  it('but an object may stand in two places: it comes back as two', () => {
    const address = { city: 'Bremen' };
    expect(thereAndBack({ home: address, work: address })).toEqual({ home: address, work: address });
  });
});

describe('names of attributes', () => {
  it.each(['cart', 'a', 'größe.max/2', 'x'.repeat(128)])('may be %j', (name) => {
    expect(() => assertAttributeName(name)).not.toThrow();
  });

  it.each(['', 'x'.repeat(129), 'a\nb', '*', '__proto__', 'constructor', 'prototype', 7, undefined])(
    'may not be %j',
    (name) => {
      expect(() => assertAttributeName(name)).toThrow(expect.objectContaining({ code: 'attribute-name' }));
    },
  );
});

function nested(depth: number): unknown {
  let value: unknown = 'the core';
  for (let i = 0; i < depth; i++) value = i % 2 ? [value] : { value };
  return value;
}

function hasNoProtoKey(value: unknown): boolean {
  return !JSON.stringify(value).includes('__proto__');
}
