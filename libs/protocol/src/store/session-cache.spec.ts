/** Which sessions stay in memory, and how: open, packed, or not at all. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { SessionRecord } from './record.js';
import { SessionCache } from './session-cache.js';
import type { SessionState } from './session-state.js';

const recordOf = (value: string): SessionRecord => ({
  version: [1, 1, 3],
  grant: { token: [1, 2], holder: 'h', request: 7, queue: 'h.1', seq: 3, revoked: false },
  ended: [{ token: [1, 1], holder: 'g', seq: 2 }],
  touched: 17,
  expiryEntry: 1_017,
  destroyed: undefined,
  attributes: new Map([
    ['cart', { bytes: Buffer.from(value), version: [1, 1, 3] }],
    ['user', { bytes: new Uint8Array(), version: [1, 1, 1] }],
  ]),
});

let cache: SessionCache;
const ids = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
beforeEach(() => {
  cache = new SessionCache();
  for (const id of ids) cache.add(id, recordOf(id));
});
const none = () => false;
const open = () => ids.filter((id) => cache.peek(id));
const there = () => ids.filter((id) => cache.has(id));
/** Asks for a little less than is used, until `is`. */
const evictUntil = (is: () => boolean, keeps: (session: SessionState) => boolean = none) => {
  for (let rounds = 0; !is(); rounds++) {
    expect(rounds).toBeLessThan(100);
    cache.evict(cache.bytes - 1, keeps);
  }
};

describe('when there is too much', () => {
  it('packs the least recently used first, and removes none while others are open', () => {
    cache.use('a');
    evictUntil(() => open().length < 7);
    expect([open(), there()]).toEqual([['a', 'd', 'e', 'f', 'g', 'h'], ids]);
  });

  it('removes packed sessions when only what is in use is open, the least recently used first', () => {
    evictUntil(() => there().length < 8);
    expect(there()).toEqual(ids.slice(1));
    expect(open().length).toBeLessThan(4);
  });

  it('leaves what is to be kept open', () => {
    evictUntil(
      () => there().length < 3,
      ({ id }) => id === 'a',
    );
    expect([open()[0], there().length]).toEqual(['a', 2]);
    cache.evict(0, ({ id }) => id === 'a');
    expect([there(), cache.size]).toEqual([['a'], 1]);
  });

  it('leaves a quarter of the room to what is open, and drops no more than it must', () => {
    const many = Array.from({ length: 60 }, (_, place) => `s${place + 10}`);
    cache = new SessionCache();
    for (const id of many) cache.add(id, recordOf(id));
    const [weight] = cache.weights() as [number];
    cache.evict(4 * weight, none);
    expect(many.filter((id) => cache.peek(id))).toEqual(many.slice(-1));
    expect(cache.bytes).toBeLessThanOrEqual(4 * weight);

    cache = new SessionCache();
    for (const id of many) cache.add(id, recordOf(id));
    cache.evict(6 * weight, none);
    const { size } = cache;
    cache.evict(cache.bytes - cache.weights().at(-1)!, none);
    expect(cache.size).toBe(size - 1);
  });

  it('does nothing while it fits', () => {
    cache.evict(cache.bytes, none);
    expect(open()).toEqual(ids);
  });
});

describe('a packed session', () => {
  it('is as it was when it is used again', () => {
    evictUntil(() => !cache.peek('a'));
    const session = cache.use('a');
    const { attributes, ...head } = session.record!;
    const { attributes: expected, ...expectedHead } = recordOf('a');
    expect(head).toEqual(expectedHead);
    const texts = (of: SessionRecord['attributes']) =>
      Array.from(of, ([name, { bytes, version }]) => [name, Buffer.from(bytes).toString(), version]);
    expect(texts(attributes)).toEqual(texts(expected));
    expect(open()).toContain('a');
  });

  it('takes much less memory', () => {
    const { bytes } = cache;
    evictUntil(() => open().length < 4);
    expect(there()).toEqual(ids);
    expect(cache.bytes).toBeLessThan(bytes * 0.7);
  });

  it('is not read again', () => {
    evictUntil(() => !cache.peek('a'));
    expect(cache.add('a', undefined)).toBeUndefined();
    expect(cache.size).toBe(8);
  });
});

it('counts what comes, changes and goes', () => {
  const sum = () => cache.weights().reduce((all, weight) => all + weight, 0);
  const session = cache.use('c');
  cache.changing(session, () => session.remove());
  expect(cache.bytes).toBe(sum());
  evictUntil(() => open().length < 4);
  expect(cache.bytes).toBe(sum());
  cache.use('a');
  expect(cache.bytes).toBe(sum());
  cache.evict(0, none);
  expect([cache.bytes, cache.size]).toEqual([0, 0]);
});
