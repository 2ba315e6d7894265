/** What decorators refuse where they stand, so that a wrong name stops the start. */
import { describe, expect, it } from 'vitest';
import { LockedAttributes, LockedSession, SessionAttribute } from './decorators.js';

const refused = (named: string) =>
  expect.objectContaining({ code: 'attribute-name', message: expect.stringContaining(named) as unknown });

describe.each([
  ['__proto__', '"__proto__"'],
  ['constructor', '"constructor"'],
  ['prototype', '"prototype"'],
  ['', '""'],
  ['two\nlines', '"two\\nlines"'],
  ['x'.repeat(129), '"xxx'],
  [undefined, 'a undefined'],
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
  expect(() => LockedSession({ read: 'cart' as never })).toThrow(refused("['cart']"));
});

it('the whole session can be locked by its sign, but is no attribute', () => {
  expect(() => LockedSession('*' as never)).not.toThrow();
  expect(() => SessionAttribute('*' as never)).toThrow(refused('"*"'));
});
