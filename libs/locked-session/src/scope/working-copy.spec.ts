/** What a scope's copy of an attribute takes and hands out. */
import { expect, it } from 'vitest';
import { decodeDraft, encodeValue } from '../values.js';
import { WorkingCopy } from './working-copy.js';

const copyOf = (value?: unknown) =>
  new WorkingCopy('cart', value === undefined ? undefined : encodeValue(value, 'cart'), 'refuse');
const kept = (copy: WorkingCopy) => {
  const bytes = copy.encoded();
  return bytes && decodeDraft(bytes).value;
};

it('what is given is copied at once, and encoded no second time', () => {
  const copy = copyOf();
  const given = { items: [1] };
  copy.replace(given);
  given.items.push(2);
  expect(kept(copy)).toEqual({ items: [1] });
  expect(copy.encoded()).toBe(copy.encoded());
});

it('what cannot be carried is refused, and leaves what was there', () => {
  const copy = copyOf({ items: [1] });
  expect(() => copy.replace({ at: new Date() })).toThrow("attribute 'cart': at is a Date");
  expect(kept(copy)).toEqual({ items: [1] });
});

it('a draft stays the same object, and its end freezes what was decoded for it alone', () => {
  const copy = copyOf({ items: [1] });
  const draft = copy.edit(undefined) as { items: unknown[]; mine?: object };
  const mine = { stock: 1 };
  draft.items.push(mine);
  draft.mine = mine;
  expect(copy.edit(undefined)).toBe(draft);
  copy.end();
  expect([draft, draft.items, mine].map((each) => Object.isFrozen(each))).toEqual([true, true, false]);
});

it('an initial value that uses the copy itself does not take its place', () => {
  const copy = copyOf();
  let inner: unknown;
  const outer = copy.edit(() => {
    inner = copy.edit(() => ({ by: 'the inner' }));
    return { by: 'the outer' };
  });
  expect(outer).toBe(inner);
  expect(kept(copy)).toEqual({ by: 'the inner' });
});

it('what was set is read frozen, and the draft of it is another copy', () => {
  const copy = copyOf();
  copy.replace({ items: [1] });
  const read = copy.value as { items: number[] };
  expect(Object.isFrozen(read.items)).toBe(true);
  (copy.edit(undefined) as typeof read).items.push(2);
  expect([read.items, kept(copy)]).toEqual([[1], { items: [1, 2] }]);
});

it('a draft in whose place something else is set is frozen; one that is set itself stays the draft', () => {
  const copy = copyOf({ items: [1] });
  const draft = copy.edit(undefined) as { items: unknown[] };
  copy.replace(draft);
  draft.items.push(2);
  expect(kept(copy)).toEqual({ items: [1, 2] });
  copy.replace({ items: [3] });
  expect(() => draft.items.push(4)).toThrow(TypeError);
  expect(kept(copy)).toEqual({ items: [3] });
});

it('a draft outlives a value in its place that is refused', () => {
  const copy = copyOf({ items: [1] });
  const draft = copy.edit(undefined) as { items: unknown[] };
  expect(() => copy.replace(new Date())).toThrow('is a Date');
  draft.items.push(2);
  expect(kept(copy)).toEqual({ items: [1, 2] });
});
