/** Values that few applications have: what is said of them, and what becomes of them in a result. */
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { NoValue } from './no-value.js';
import { decodeDraft, decodeFrozen, encodeValue, frozenCopy, thawed, type ClassInstances } from './values.js';

class Handle extends NoValue {}

const frozen = <T>(value: T) => decodeFrozen(encodeValue(value, 'cart')) as T;
const refusal = (value: unknown, instances?: ClassInstances): string => {
  try {
    encodeValue(value, 'cart', instances);
    return 'taken';
  } catch (error) {
    expect(error).toMatchObject({ code: 'value-not-serializable' });
    return (error as Error).message.split('. ')[0]!;
  }
};

describe('what is refused', () => {
  class Foo {}
  const proto = (constructor: unknown, base: object | null = Object.prototype) =>
    Object.create(base, { constructor: { value: constructor } }) as object;
  const bare = proto(Foo, null);

  it.each<[string, unknown, string]>([
    ["a session's handle", new Handle(1), "the value is a session's handle"],
    ['a setter', { set a(_value: unknown) {} }, 'a is a getter or setter'],
    ['a class', new Foo(), 'the value is a Foo'],
    ['a class whose prototype extends nothing', Object.create(bare), 'the value is a Foo'],
    [
      'an object whose constructor is no function',
      Object.create(proto({ name: 'Fake' })),
      'the value is a class instance',
    ],
    ['a class called Array', new (class Array extends globalThis.Array {})(), 'the value is a Array'],
    [
      'a class with an array as its prototype',
      Object.create(Object.assign([], { constructor: Foo })),
      'the value is a Foo',
    ],
  ])('is named: %s', (_what, value, said) => {
    expect(refusal(value)).toBe(`attribute 'cart': ${said}`);
  });

  it('may throw anything when it is read, also the second time only', () => {
    const thrower = (from: number, thrown: unknown) => {
      let reads = 0;
      return new Proxy(
        {},
        {
          ownKeys: () => {
            if (++reads >= from) throw thrown;
            return [];
          },
        },
      );
    };
    const said = "attribute 'cart': the value is an object that throws when it is read";
    expect(refusal(thrower(1, 'a text'))).toBe(`${said} (a string)`);
    expect(refusal(thrower(1, new Error('no')))).toBe(`${said} (no)`);
    expect(refusal(thrower(3, new Error('no')))).toBe(`${said} (no)`);
  });

  it("is an object of another realm, also with classInstances: 'copy'", () => {
    expect(refusal({ a: runInNewContext('({ b: 1 })') }, 'copy')).toBe(
      "attribute 'cart': a is a value of another realm (its own Object)",
    );
  });
});

it("with classInstances: 'copy' an instance may have a prototype that extends nothing", () => {
  const value: unknown = Object.assign(Object.create(Object.create(null) as object) as object, { b: 1 });
  expect(decodeDraft(encodeValue({ a: value }, 'cart', 'copy')).value).toEqual({ a: { b: 1 } });
});

it('an attribute that is not there has no copy, and another one is frozen', () => {
  expect(frozenCopy(undefined, 'cart', 'refuse')).toBe(undefined);
  const copy = frozenCopy({ items: [1] }, 'cart', 'refuse') as { items: number[] };
  expect(copy).toEqual({ items: [1] });
  expect([Object.isFrozen(copy), Object.isFrozen(copy.items)]).toEqual([true, true]);
});

describe('what a handler returns', () => {
  interface Result {
    cart: { items: number[] };
    self?: unknown;
  }
  const cart = () => frozen({ items: [1] });

  it.each([5, 'text', null, undefined, true])('may be %j', (value) => {
    expect(thawed(value)).toBe(value);
  });

  it('may have nothing, and numbers, beside a value of the session', () => {
    const free = thawed({ none: null, missing: undefined, count: 5, cart: cart() }) as Result;
    free.cart.items.push(2);
    expect(free).toEqual({ none: null, missing: undefined, count: 5, cart: { items: [1, 2] } });
  });

  it('may contain itself beside a value of the session', () => {
    const open: Result = { cart: cart() };
    open.self = open;
    (thawed(open) as Result).cart.items.push(2);
    const shut: Result = { cart: cart() };
    shut.self = shut;
    const free = thawed(Object.freeze(shut)) as Result;
    free.cart.items.push(2);
    expect(free.self).toBe(free);
    expect(shut.cart.items).toEqual([1]);
  });

  it('has one copy of what stands in two places', () => {
    const page = { cart: cart() };
    const free = thawed({ first: page, second: page }) as { first: Result; second: Result };
    expect(free.second).toBe(free.first);
    free.second.cart.items.push(2);
    expect(page.cart.items).toEqual([1]);
  });

  it('is looked at once, however many ways lead to it', () => {
    let node: object = {};
    for (let level = 0; level < 60; level++) node = { left: node, right: node };
    expect(thawed(node)).toBe(node);
  });

  it('is copied up to a hundred thousand objects', () => {
    const item = Object.freeze({});
    const list = Array.from({ length: 100_001 }, () => Object.freeze({ item }));
    const free = thawed(list) as object[];
    expect([Object.isFrozen(free[99_997]), Object.isFrozen(free[99_998])]).toEqual([false, true]);
  });

  it('may be changed in every way where it was frozen with a getter', () => {
    const free = thawed(
      Object.freeze({
        cart: 1,
        get late() {
          return 2;
        },
      }),
    ) as { cart?: number; late: number };
    delete free.cart;
    expect({ ...free }).toEqual({ late: 2 });
  });

  it("is no session's handle, at any depth", () => {
    expect(() => thawed({ a: [new Handle('checkout')] })).toThrow(
      "the session's handle of checkout is no value",
    );
  });
});
