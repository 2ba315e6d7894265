/** What decorators refuse where they stand, so that a wrong name stops the start. */
import { describe, expect, it } from 'vitest';
import 'reflect-metadata';
import { LockedAttributes, LockedSession, SessionAttribute } from './decorators.js';
import { lockedSessionMetadata } from './interceptor.js';

const refused = (named: string) =>
  expect.objectContaining({ code: 'attribute-name', message: expect.stringContaining(named) as unknown });

describe.each([
  ['__proto__', '"__proto__"'],
  ['constructor', '"constructor"'],
  ['prototype', '"prototype"'],
  ['', '""'],
  ['two\nlines', '"two\\nlines"'],
  ['x'.repeat(129), '"xxx'],
  [undefined, 'undefined cannot'],
])('%j, which is no name for an attribute,', (name, shown) => {
  it.each([
    ['@LockedSession', () => LockedSession(name as never)],
    ['@LockedSession with more', () => LockedSession('a', name as never)],
    ['@LockedSession to read', () => LockedSession({ read: [name as never] })],
    ['@LockedAttributes', () => LockedAttributes(name as never)],
    ['@SessionAttribute', () => SessionAttribute(name as never)],
  ])('is refused by %s, which names it', (_decorator, decorate) => {
    expect(decorate).toThrow(refused(shown));
  });
});

it('one name that is not in an array is refused', () => {
  expect(() => LockedSession({ read: 'cart' as never })).toThrow(refused('["cart"]'));
});

it('the whole session can be locked by its sign, but is no attribute', () => {
  expect(() => LockedSession('*' as never)).not.toThrow();
  expect(() => SessionAttribute('*' as never)).toThrow(refused('"*"'));
});

describe('an option that is none is refused where it stands', () => {
  const wrong = (named: string) =>
    expect.objectContaining({ code: 'settings', message: expect.stringContaining(named) as unknown });

  it.each(['waitMs', 'instance', 'signal'])('@LockedAttributes has no %s', (option) => {
    expect(() => LockedAttributes({ [option]: 1 })).toThrow(wrong(`no option "${option}"`));
  });

  it('a list in the place of names', () => {
    expect(() => LockedSession(['cart'] as never)).toThrow(wrong('the options are an array'));
  });

  it.each<[options: object, named: string]>([
    [{ write: ['a'], waitMs: NaN }, "'waitMs' is NaN, and must be a number of milliseconds from 0 to 600000"],
    [{ waitMs: -1 }, "'waitMs' is -1"],
    [{ waitMs: 600_001 }, "'waitMs' is 600001"],
    [{ waitMs: '5' }, '\'waitMs\' is "5"'],
    [{ wait: 5 }, 'there is no option "wait". There are read, write, waitMs'],
    [{ label: 'x' }, 'there is no option "label"'],
    [{ instance: {} }, "'instance' is an object"],
    [{ instance: '' }, '\'instance\' is ""'],
    [{ write: 7 }, "'write' is 7, and must be an array"],
    [{ read: new Set(['a']) }, "'read' is an object, and must be an array"],
    [
      { read: Array.from({ length: 4_097 }, (_, i) => `a${i}`) },
      "'read' is an array, and must be an array of at most",
    ],
  ])('%j', (options, named) => {
    expect(() => LockedSession(options as never)).toThrow(wrong(`@LockedSession: ${named}`));
  });
});

it('options that nobody would look at are refused', () => {
  expect(() => LockedSession(...([{ write: ['a'] }, 'b'] as never))).toThrow('give names, or one object');
  expect(() => SessionAttribute('cart', { items: [] } as never)).toThrow(
    '@SessionAttribute("cart"): the initial value is an object, and must be a function',
  );
});

it('an option that is undefined is not given, and what is given may be changed afterwards', () => {
  const write = ['a'];
  const options = { write, read: undefined, waitMs: undefined, instance: undefined };
  class Controller {
    @LockedSession(options)
    handler() {}
  }
  write.push('b');
  const lock: unknown = Reflect.getMetadata(lockedSessionMetadata, Controller.prototype.handler);
  expect(lock).toMatchObject({ write: ['a'] });
});
