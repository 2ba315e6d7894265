/** What several writes of one session come to, case by case, and when a batch is full. */
import { describe, expect, it } from 'vitest';
import { defaultBatchLimits, NetChanges, type NetChange } from './net-changes.js';
import type { SessionWrite } from './repository.js';

const bytes = (text: string) => Uint8Array.from(Buffer.from(text));

function write(head: string | null, more: Partial<Omit<SessionWrite, 'head'>> = {}): SessionWrite {
  return {
    session: 's',
    head: head === null ? undefined : bytes(head),
    set: new Map(),
    removed: [],
    ...more,
  };
}

const set = (values: Record<string, string>) =>
  new Map(Object.entries(values).map(([name, value]) => [name, bytes(value)]));

/** The change that the writes of one session come to. */
function net(...writes: SessionWrite[]): NetChange {
  const changes = new NetChanges();
  for (const one of writes) changes.add(0, [one]);
  const [found, ...others] = [...changes];
  expect(others).toEqual([]);
  return found![2];
}

describe('of the writes of one session', () => {
  it('the last value of an attribute counts, and the last head', () => {
    const { head, attributes, removed } = net(
      write('1', { set: set({ cart: 'apple', user: 'ann' }) }),
      write('2', { set: set({ cart: 'pear' }), removed: ['user'] }),
      write('3', { set: set({ gone: 'back' }), removed: ['gone', 'never'] }),
    );
    expect([head, removed]).toEqual([bytes('3'), false]);
    expect(attributes).toEqual(
      new Map([
        ['cart', bytes('pear')],
        ['user', undefined],
        ['gone', bytes('back')],
        ['never', undefined],
      ]),
    );
  });

  it('a removal takes all that was set before it, and leaves what is set after it', () => {
    const before = write('1', { set: set({ old: 'o' }), removed: ['x'], expires: { was: 5, is: 10 } });
    const removal = write(null, { set: set({ ignored: 'i' }), expires: { was: 10, is: 99 } });
    expect(net(before, removal)).toEqual({
      removed: true,
      head: undefined,
      attributes: new Map(),
      expires: undefined,
      formerMarks: [5, 10],
    });
    expect(net(before, removal, write('2', { set: set({ fresh: 'f' }) }))).toMatchObject({
      removed: true,
      head: bytes('2'),
      attributes: new Map([['fresh', bytes('f')]]),
      expires: undefined,
    });
  });

  it('the last mark counts, and each one before it is named', () => {
    const first = write('1', { expires: { was: 5, is: 10 } });
    const second = write('2', { expires: { was: 10, is: 20 } });
    expect(net(first, second, write('3'))).toMatchObject({
      expires: { is: 20 },
      formerMarks: [5, 10],
    });
    expect(net(write('1')).expires).toBeUndefined();
    expect(net(first, write('2', { expires: { was: 10, is: undefined } })).expires).toEqual({
      is: undefined,
    });
  });
});

it('sessions of one name in two partitions are two', () => {
  const changes = new NetChanges();
  changes.add(1, [write('one'), { ...write('other'), session: 't' }]);
  changes.add(2, [write('two')]);
  const heads = Array.from(changes, ([partition, session, { head }]) => [partition, session, head]);
  expect(heads).toEqual([
    [1, 's', bytes('one')],
    [1, 't', bytes('other')],
    [2, 's', bytes('two')],
  ]);
});

describe('a batch is full', () => {
  it('at so many rows, counted for each write', () => {
    const changes = new NetChanges();
    const limits = { ...defaultBatchLimits, batchRows: 6 };
    changes.add(0, [write('1', { set: set({ a: 'x' }), removed: ['b'] })]);
    changes.add(0, [write('2', { set: set({ a: 'y' }) })]);
    expect(changes.isFull(limits)).toBe(false);
    changes.add(0, [write(null)]);
    expect(changes.isFull(limits)).toBe(true);
  });

  it('at so many bytes of ids, heads, names and values', () => {
    const changes = new NetChanges();
    changes.add(0, [write('head', { set: set({ name: 'value' }) })]);
    const size = 's'.length + 'head'.length + 'name'.length + 'value'.length;
    expect(changes.isFull({ ...defaultBatchLimits, batchBytes: size + 1 })).toBe(false);
    expect(changes.isFull({ ...defaultBatchLimits, batchBytes: size })).toBe(true);
  });
});
