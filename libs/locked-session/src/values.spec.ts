/** What attribute values may be, and that they come back as they were. */
import fc from 'fast-check';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, vi } from 'vitest';
import { assertAttributeName, decodeDraft, decodeFrozen, encodeValue, thawed } from './values.js';

// Properties take as long as the machine is busy.
vi.setConfig({ testTimeout: 60_000 });

const there = (value: unknown) => encodeValue(value, 'cart');
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const decodeValue = (bytes: Uint8Array) => decodeDraft(bytes).value;
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
        0,
        2 ** 31,
        2 ** 32,
        2 ** 53,
        -(2 ** 31) - 1,
        5e-324,
        1.7976931348623157e308,
      ),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => number + 0), // -0 is refused
      fc.integer(),
      fc.string({ unit: 'binary', maxLength: 200 }),
    );
    const { value: anything } = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, leaf, tie('list'), tie('object')),
      list: fc.array(tie('value'), { maxLength: 4 }),
      object: fc.dictionary(key, tie('value'), { maxKeys: 4, noNullPrototype: true }),
    }));
    fc.assert(
      fc.property(
        fc.oneof(
          anything,
          fc
            .jsonValue()
            .filter(hasNoProtoKey)
            .map((value): unknown => JSON.parse(JSON.stringify(value))),
        ),
        (value) => {
          const bytes = there(value);
          expect(decodeValue(bytes)).toEqual(JSON.parse(JSON.stringify(value)));
          expect(hex(there(value))).toBe(hex(bytes));
          expect(hex(there(decodeValue(bytes)))).toBe(hex(bytes));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('leaves out properties that are undefined', () => {
    expect(thereAndBack({ a: 1, b: undefined, c: { d: undefined } })).toStrictEqual({ a: 1, c: {} });
  });

  it('may be wide', () => {
    const wide = Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`key ${i}`, i]));
    expect(thereAndBack(wide)).toEqual(wide);
  });

  it('may be as deep as 64', () => {
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

describe('what a handler returns', () => {
  it('is copied where it is a value of the session, and stays what it is elsewhere', () => {
    const cart = decodeFrozen(there({ items: [{ sku: 'a' }] })) as { items: { sku: string }[] };
    const result = { cart, first: cart.items[0], own: [1] };
    const free = thawed(result) as typeof result;
    free.cart.items.push({ sku: 'b' });
    free.first!.sku = 'c';
    expect(free.own).toBe(result.own);
    expect(result.cart).toBe(cart);
    expect(cart).toEqual({ items: [{ sku: 'a' }] });
    const own = { deep: [{ mine: true }], made: Object.freeze(new Map()), mean: NaN };
    expect(thawed(own)).toBe(own);
  });

  it("is copied around a value of the session, whatever else is in it, and calls nothing of the application's", () => {
    const cart = decodeFrozen(there({ items: [1] })) as { items: number[] };
    const result = Object.freeze({
      cart,
      made: new Map(),
      get late(): number {
        throw new Error('was called');
      },
    });
    const free = thawed(result) as typeof result;
    free.cart.items.push(2);
    expect(free.made).toBe(result.made);
    expect(Object.getOwnPropertyDescriptor(free, 'late')?.get).toBeDefined();
    expect(cart).toEqual({ items: [1] });
  });

  it('may lead back to itself, by many ways, and may throw when it is looked at', () => {
    const nodes: Record<string, unknown>[] = Array.from({ length: 50 }, () => ({}));
    for (const node of nodes) Object.assign(node, { nodes, parent: nodes[0], cart: 1 });
    expect(thawed(nodes)).toBe(nodes);
    const { proxy, revoke } = Proxy.revocable([], {});
    revoke();
    expect(thawed(proxy)).toBe(proxy);
  });
});

describe('anything else is refused, with the path to it and what to do', () => {
  class Cart {}
  const circle: Record<string, unknown> = { total: 1 };
  circle['rows'] = [{ cart: circle }];

  /** An object of the application, such as a proxy that its library has revoked. */
  const trap = (name: 'ownKeys' | 'getPrototypeOf') =>
    new Proxy(
      {},
      {
        [name]() {
          throw new Error(name);
        },
      },
    );
  const revoked = () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    return proxy;
  };

  const culprits: [value: unknown, message: string][] = [
    [
      { items: [0, { addedAt: new Date() }] },
      "attribute 'cart': items[1].addedAt is a Date. Keep its getTime() or ",
    ],
    [{ 'two words': new Map() }, `["two words"] is a Map. Keep Object.fromEntries() of it`],
    [[new Set()], '[0] is a Set. Keep an array'],
    [new Cart(), 'the value is a Cart. A session keeps values that JSON can carry: '],
    [{ a: new (class extends Array {})() }, 'a is a class instance'],
    [{ a: new Uint8Array(2) }, 'a is a Uint8Array. Keep it as a base64 string'],
    [{ a: Buffer.from('x') }, 'a is a Buffer'],
    [{ a: Object.create({ inherited: 1 }) }, 'a is a Object'],
    [
      { a: Object.assign(Object.create(null), { b: 1 }) },
      'a is an object without a prototype. Keep a copy, { ...it }',
    ],
    [
      { a: runInNewContext('({ b: 1 })') },
      'a is a value of another realm (its own Object). Keep a copy, structuredClone(it)',
    ],
    [{ a: runInNewContext('[1]') }, 'a is a value of another realm (its own Array)'],
    [{ a: Object.assign([1], { total: 1 }) }, 'a.total is a property of an array'],
    [{ a: Object.assign([1], { [Symbol('s')]: 1 }) }, 'a is an array with a symbol among its keys'],
    [{ a: -0 }, 'a is -0. Use 0'],
    [{ a: [trap('ownKeys')] }, 'a[0] is an object that throws when it is read (ownKeys)'],
    [{ a: { b: trap('getPrototypeOf') } }, 'a.b is an object that throws when it is read (getPrototypeOf)'],
    [{ a: revoked() }, 'a is an object that throws when it is read'],
    [{ a: () => 1 }, 'a is a function'],
    [{ a: 1n }, 'a is a bigint. Keep it as a string'],
    [{ a: NaN }, 'a is NaN. Use null'],
    [{ a: -Infinity }, 'a is -Infinity'],
    [{ a: Symbol('s') }, 'a is a symbol'],
    [{ [Symbol('s')]: 1 }, 'the value is an object with a symbol among its keys'],
    [undefined, 'the value is undefined'],
    [{ a: [1, undefined] }, 'a[1] is undefined. Use null'],
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

describe("with classInstances: 'copy'", () => {
  class Item {
    readonly #kept = 1;
    parts: unknown[] = [];
    missing = undefined;
    constructor(readonly name: string) {}
    get price() {
      return this.#kept;
    }
  }
  class Money extends Item {
    toJSON() {
      return '1.00';
    }
  }
  const copied = (value: unknown) => decodeValue(encodeValue(value, 'cart', 'copy'));

  it('own properties of instances are kept at any depth, also of a class that extends another', () => {
    const tea = new (class extends Item {})('tea');
    tea.parts.push(new Item('leaf'), { of: new Item('bag') });
    const leaf = { parts: [], name: 'leaf' };
    expect(copied({ tea })).toEqual({
      tea: { parts: [leaf, { of: { parts: [], name: 'bag' } }], name: 'tea' },
    });
  });

  it.each([
    ['a Date', { at: new Date() }, /at is a Date/],
    ['a Map in an instance', Object.assign(new Item('x'), { map: new Map() }), /map is a Map/],
    ['a class of maps', new (class Bag extends Map {})(), /is a Bag/],
    [
      'an instance with toJSON()',
      [new Money('x')],
      /\[0\] is a Money with a toJSON.*Keep the value that it returns/,
    ],
    ['an error', new RangeError('x'), /is a RangeError/],
    ['a promise', Promise.resolve(), /is a Promise/],
    ['a buffer', Buffer.from('x'), /is a Buffer/],
  ])('%s is refused all the same', (_what, value, message) => {
    expect(() => copied(value)).toThrow(message);
  });
});
