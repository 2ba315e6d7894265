/**
 * The store's machine: which changes it applies, what it answers and writes, and what it remembers.
 * It is one file, since it follows one record from its beginning to its end.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { acquire, cancel, commit, release, emptyRelease, renew, StoreAlone } from '../testing/store-alone.js';
import { limits } from '../wire/limits.js';
import type { Token, Version } from '../wire/order.js';
import { testParameters } from '../testing/pair.js';
import { changes } from '../testing/message-text.js';
import type { SessionRecord } from './record.js';

/** An acquire that makes the session with these values. */
const changesOf = (set: Record<string, string>) => ({ create: changes(set).set });

let store: StoreAlone;
beforeEach(() => {
  store = new StoreAlone();
});

describe('changes', () => {
  beforeEach(() => {
    store.hear('a', acquire(1));
  });

  it('rule 6: commits are applied in the order of seq', () => {
    expect(store.hear('a', commit([1, 1], 1, { cart: '1' }), commit([1, 1], 2, { cart: '2' }))).toEqual([
      'a: committed s 1.1 seq 1',
      'a: committed s 1.1 seq 2',
    ]);
    expect(store.outputs.writes).toMatchObject([
      { set: ['cart'], removed: [], record: { version: [1, 1, 2], grant: { seq: 2 } } },
    ]);
  });

  it('rule 6: a repeated commit gets the original answer and is applied once', () => {
    store.hear('a', commit([1, 1], 1, { cart: '1' }), commit([1, 1], 2, { cart: '2' }));
    expect(store.hear('a', commit([1, 1], 1, { cart: '1' }))).toEqual(['a: committed s 1.1 seq 1']);
    expect(store.outputs.writes).toEqual([]);
    expect(store.machine.counters.commits).toBe(2);
  });

  it('rule 6: a gap is answered with the last seq applied, and nothing of it is applied', () => {
    store.hear('a', commit([1, 1], 1, { cart: '1' }));
    expect(store.hear('a', commit([1, 1], 3, { cart: '3' }))).toEqual([
      'a: refused s 1.1 seq 3 gap applied 1',
    ]);
    expect(store.hear('a', release([1, 1], 3))).toEqual(['a: refused s 1.1 seq 3 gap applied 1']);
    expect(store.outputs.writes).toEqual([]);
    expect(store.hear('a', commit([1, 1], 2, { cart: '2' })), 'the grant goes on').toEqual([
      'a: committed s 1.1 seq 2',
    ]);
  });

  it('rule 6: a release applies its changes before the next grant', () => {
    store.hear('b', acquire(1));
    expect(store.hear('a', release([1, 1], 1, { cart: '1' }))).toEqual([
      'b: grant s #1 1.2 {cart=1}',
      'a: released s 1.1',
    ]);
    expect(store.outputs.writes).toMatchObject([
      { record: { grant: { token: [1, 2], holder: 'b' }, ended: [{ token: [1, 1], holder: 'a', seq: 1 }] } },
    ]);
  });

  it('rule 6: repeats of an ended grant get the original answers (race 6)', () => {
    store.hear('b', acquire(1));
    store.hear('a', commit([1, 1], 1, { cart: '1' }), release([1, 1], 2, { cart: '2' }));
    store.hear('b', commit([1, 2], 1, { cart: '3' }));
    expect(store.hear('a', commit([1, 1], 1, { cart: '1' }), release([1, 1], 2, { cart: '2' }))).toEqual([
      'a: committed s 1.1 seq 1',
      'a: released s 1.1',
    ]);
    expect(store.outputs.writes).toEqual([]);
  });

  it('rule 6: a change after the last one of an ended grant is refused as ended, with that last seq', () => {
    store.hear('a', commit([1, 1], 1), emptyRelease([1, 1]));
    expect(store.hear('a', commit([1, 1], 2))).toEqual(['a: refused s 1.1 seq 2 ended applied 1']);
    expect(store.hear('a', release([1, 1], 2))).toEqual(['a: refused s 1.1 seq 2 ended applied 1']);
  });

  it('rule 6: an ended grant beyond the bound is answered outcome-unknown, never refused as ended', () => {
    store.hear('a', release([1, 1], 1));
    for (let n = 2; n <= 4; n++) store.hear('b', acquire(n), release([1, n], 1));
    expect(store.hear('a', release([1, 1], 1))).toEqual(['a: refused s 1.1 seq 1 outcome-unknown']);
    expect(store.hear('b', release([1, 2], 1)), 'within the bound').toEqual(['b: released s 1.2']);
  });

  it('rule 12: an empty release of any token is answered as released', () => {
    expect(store.hear('b', emptyRelease([1, 9]))).toEqual(['b: released s 1.9']);
    expect(store.hear('a', renew(1))).toEqual(['a: renewed 1']);
    expect(store.hear('a', commit([1, 1], 1)), 'the grant of another is untouched').toEqual([
      'a: committed s 1.1 seq 1',
    ]);
  });

  it('rule 1: a change with another token is refused, a newer one too', () => {
    expect(store.hear('a', commit([1, 2], 1, { cart: '9' }))).toEqual([
      'a: refused s 1.2 seq 1 outcome-unknown',
    ]);
    expect(store.hear('a', commit([2, 1], 1, { cart: '9' }))).toEqual([
      'a: refused s 2.1 seq 1 outcome-unknown',
    ]);
    expect(store.outputs.writes).toEqual([]);
  });

  it('rule 1: a change from another holder is refused though it bears the right token', () => {
    expect(store.hear('b', commit([1, 1], 1, { cart: '9' }))).toEqual([
      'b: refused s 1.1 seq 1 outcome-unknown',
    ]);
    expect(store.hear('b', emptyRelease([1, 1]))).toEqual(['b: released s 1.1']);
    expect(store.hear('a', commit([1, 1], 1)), 'still held').toEqual(['a: committed s 1.1 seq 1']);
  });

  it('a change of a session that the store does not know is answered outcome-unknown', () => {
    expect(store.hear('a', { ...commit([1, 1], 1), session: 'x' })).toEqual([
      'a: refused x 1.1 seq 1 outcome-unknown',
    ]);
  });

  it('a name that is both deleted and set is set', () => {
    store.hear('a', commit([1, 1], 1, { cart: '1' }));
    store.hear('a', commit([1, 1], 2, { cart: '2' }, 'cart'));
    expect(store.outputs.writes).toMatchObject([{ set: ['cart'], removed: [] }]);
  });

  it('a flush names the attributes that changed since the last one, where the last of set and removed counts', () => {
    store.hear('a', commit([1, 1], 1, { a: '1', b: '1' }));
    store.hear('a', commit([1, 1], 2, { c: '2' }, 'a'), commit([1, 1], 3, { a: '3' }, 'b', 'x'));
    expect(store.outputs.writes).toMatchObject([{ set: ['c', 'a'], removed: ['b'] }]);
  });

  it('rule 14: destroy leaves a tombstone, which refuses all requests and answers repeats (race 9)', () => {
    const destroy = { kind: 'destroy', session: 's', token: [1, 1], seq: 2 } as const;
    store.hear('a', commit([1, 1], 1, { cart: '1' }));
    store.hear('b', acquire(1));
    expect(store.hear('a', { ...destroy, seq: 3 })).toEqual(['a: refused s 1.1 seq 3 gap applied 1']);
    expect(store.hear('a', destroy)).toEqual(['a: released s 1.1', 'b: refused s #1 destroyed']);
    expect(store.outputs.writes).toMatchObject([{ removed: ['cart'], record: { grant: undefined } }]);
    expect(store.hear('a', destroy)).toEqual(['a: released s 1.1']);
    expect(store.hear('a', acquire(1, { create: changes({ cart: '1' }).set }))).toEqual([
      'a: refused s #1 destroyed',
    ]);
    expect(store.hear('a', commit([1, 1], 3, { cart: '2' }))).toEqual([
      'a: refused s 1.1 seq 3 ended applied 2',
    ]);
  });
});

describe('rule 14: a session that was destroyed a while ago', () => {
  const destroy = { kind: 'destroy', session: 's', token: [1, 1], seq: 2 } as const;
  const { destroyedNoticeMs } = testParameters;

  beforeEach(() => {
    store.hear('a', acquire(1));
    store.hear('a', commit([1, 1], 1, { cart: '1' }));
    store.hear('a', destroy);
  });

  it('is unknown to a request with its old cookie', () => {
    const known = { create: undefined };
    store.wait(destroyedNoticeMs - 1);
    expect(store.hear('b', acquire(1, known))).toEqual(['b: refused s #1 destroyed']);
    store.wait(1);
    expect(store.hear('b', acquire(2, known))).toEqual(['b: refused s #2 unknown-session']);
  });

  it('is made anew, with nothing in it, by an application that passes its id', () => {
    store.wait(destroyedNoticeMs - 1);
    expect(store.hear('b', acquire(1))).toEqual(['b: refused s #1 destroyed']);
    store.wait(1);
    expect(store.hear('b', acquire(2))).toEqual(['b: grant s #2 1.2']);
    expect(store.outputs.writes).toMatchObject([
      { record: { destroyed: undefined, attributes: new Map() }, expires: {} },
    ]);
    expect(store.hear('a', destroy), 'a repeat gets its answer').toEqual(['a: released s 1.1']);
    expect(store.hear('b', acquire(2)), 'is granted').toEqual(['b: grant s #2 1.2']);
  });

  it('race 9: is never made again by a late create, which has its old values', () => {
    store.wait(testParameters.tombstoneMs - 1);
    const late = acquire(1, { create: changes({ cart: '1' }).set });
    expect(store.hear('a', late)).toEqual(['a: refused s #1 destroyed']);
  });
});

describe('sizes', () => {
  const mebibyte = new Uint8Array(limits.valueBytes);
  const put = (seq: number, names: string[], ...removed: string[]) => ({
    ...commit([1, 1], seq),
    set: new Map(names.map((name) => [name, mebibyte])),
    removed,
  });

  beforeEach(() => {
    store.hear('a', acquire(1));
    store.hear('a', put(1, ['a', 'b', 'c', 'd']));
  });

  it('a session that would grow beyond its limit refuses the change', () => {
    expect(store.hear('a', put(2, ['e']))).toEqual(['a: refused s 1.1 seq 2 too-large applied 1']);
    expect(store.hear('a', put(2, ['a']))).toEqual(['a: committed s 1.1 seq 2']);
  });

  it('names that the same change removes make room', () => {
    expect(store.hear('a', put(2, ['e'], 'a'))).toEqual(['a: committed s 1.1 seq 2']);
    expect(store.hear('a', put(3, ['b'], 'b')), 'deleted and set: counted once').toEqual([
      'a: committed s 1.1 seq 3',
    ]);
    expect(store.hear('a', put(4, ['f'], 'x', 'x'))).toEqual(['a: refused s 1.1 seq 4 too-large applied 3']);
  });

  it('the number of attributes is limited too', () => {
    const many = Object.fromEntries(Array.from({ length: limits.attributes - 4 }, (_, i) => [`n${i}`, '']));
    expect(store.hear('a', commit([1, 1], 2, many))).toEqual(['a: committed s 1.1 seq 2']);
    expect(store.hear('a', commit([1, 1], 3, { more: '' }))).toEqual([
      'a: refused s 1.1 seq 3 too-large applied 2',
    ]);
    expect(store.hear('a', commit([1, 1], 3, { more: '' }, 'n0'))).toEqual(['a: committed s 1.1 seq 3']);
  });

  it('the memory for it is counted, and given back', () => {
    const before = store.machine.bytes;
    store.hear('a', commit([1, 1], 2, {}, 'a', 'b', 'c'));
    const without = store.machine.bytes;
    expect(before - without).toBeGreaterThan(3 * limits.valueBytes);
    store.hear('a', put(3, ['a', 'b', 'c']));
    expect(store.machine.bytes).toBe(before);
  });
});

describe('memory', () => {
  const hold = (session: string, request: number, token: Token) =>
    store.hear('a', acquire(request, { session }), { ...release(token, 1, { x: '12345' }), session });

  it('drops the least recently used sessions first, but never one with a waiter', () => {
    store.hear('a', acquire(1));
    store.hear('b', acquire(1));
    hold('t', 2, [1, 2]);
    hold('u', 3, [1, 3]);
    hold('t', 4, [1, 4]);
    const { bytes } = store.machine;
    store.machine.evict(bytes);
    expect(store.machine.bytes).toBe(bytes);
    let least = bytes;
    while (store.machine.snapshot().sessions === 3) store.machine.evict((least = store.machine.bytes - 1));
    expect(store.machine.bytes).toBeLessThanOrEqual(least);
    const known = (id: string) =>
      store.machine.missing({ ...frame, messages: [acquire(9, { session: id })] }).length === 0;
    const frame = { version: 2, partition: 0, holder: 'a', queue: 'a.1', epoch: 0 } as const;
    expect([known('s'), known('t'), known('u')]).toEqual([true, true, false]);
    store.machine.evict(0);
    expect([known('s'), known('t')]).toEqual([true, false]);
  });

  it('a session that is loaded again has its lock, and repeats get their last answers', () => {
    const disk = new Map<string, SessionRecord>();
    store = new StoreAlone({}, disk);
    store.hear('a', acquire(1));
    disk.set('s', store.outputs.writes[0]!.record!);
    store.machine.evict(0);
    expect(store.machine.snapshot()).toMatchObject({ sessions: 0, bytes: 0 });
    expect(store.hear('b', acquire(1))).toEqual(['a: recall s 1.1']);
    expect(store.hear('a', acquire(1)), 'race 5: the grant belongs to its request').toEqual([
      'a: grant s #1 1.1 contended',
    ]);
  });

  it('names the sessions to load, each once', () => {
    const frame = { version: 2, partition: 0, holder: 'a', queue: 'a.1', epoch: 0 } as const;
    expect(store.machine.missing({ ...frame, messages: [acquire(1), commit([1, 1], 1), renew(1)] })).toEqual([
      's',
    ]);
  });
});

describe('rule 1 over epochs', () => {
  const record = (): SessionRecord => ({
    version: [1, 3, 1],
    grant: { token: [1, 4], holder: 'a', request: 8, queue: 'a.1', seq: 0, revoked: false },
    ended: [{ token: [1, 3], holder: 'b', seq: 1 }],
    touched: 0,
    expiryEntry: undefined,
    destroyed: undefined,
    attributes: new Map([
      ['cart', { bytes: changes({ x: '3' }).set.get('x')!, version: [1, 3, 1] }],
      ['user', { bytes: changes({ x: 'u' }).set.get('x')!, version: [1, 1, 1] }],
    ]),
  });

  beforeEach(() => {
    store = new StoreAlone({}, new Map([['s', record()]]), 2);
  });

  it('a new owner knows the holder of the lock, and its tokens are above all earlier ones', () => {
    expect(store.hear('a', commit([1, 4], 1, { cart: '4' }))).toEqual(['a: committed s 1.4 seq 1']);
    expect(store.hear('b', acquire(9))).toEqual(['a: recall s 1.4']);
    expect(store.hear('a', release([1, 4], 2))).toEqual([
      'b: grant s #9 2.1 {cart=4 user=u}',
      'a: released s 1.4',
    ]);
  });

  it('a new owner answers repeats of grants that ended before its time', () => {
    expect(store.hear('b', release([1, 3], 1, { cart: '3' }))).toEqual(['b: released s 1.3']);
  });

  it('race 7: a copy of an earlier epoch is trusted only where the store remembers the change that it claims', () => {
    store.hear('a', commit([1, 4], 1, { extra: '1' }), release([1, 4], 2));
    const brings = (known: Version) => {
      const [answer] = store.hear('b', acquire(9, { known }));
      store.hear('b', cancel(9));
      return answer!.replace(/^.* 2\.\d+ /, '');
    };
    expect(brings([1, 3, 1]), 'applied').toBe('{extra=1} keep cart user');
    expect(brings([1, 3, 2]), 'never seen here: lost with the power').toBe('{cart=3 user=u extra=1}');
    expect(brings([1, 2, 1]), 'not remembered').toBe('{cart=3 user=u extra=1}');
    expect(brings([1, 4, 1]), 'the version that it has now').toBe('keep cart user extra');
  });
});

describe('states that must not come back', () => {
  it('rule 15: a session that expires and is made anew in one batch keeps none of its attributes', () => {
    const store = new StoreAlone();
    store.hear('a', acquire(1));
    store.hear('a', release([1, 1], 1, { cart: '1' }));
    store.machine.due([{ session: 's', expires: 0 }], { mono: 1, wall: testParameters.ttlMs });
    store.hear('b', acquire(1));
    expect(store.outputs.writes).toMatchObject([
      { record: { version: [1, 2, 0] }, set: [], removed: ['cart'] },
    ]);
  });

  describe('rule 15: a session whose time is over', () => {
    const rules = { ttlMs: 1_000, leaseMs: 100, recallTimeoutMs: 10_000 };

    it('is unknown to a request, unless that may make it anew', () => {
      const store = new StoreAlone(rules);
      store.hear('a', acquire(1));
      store.hear('a', release([1, 1], 1, { cart: '1' }));
      store.time = 999;
      expect(store.hear('b', acquire(1, { create: undefined }))).toEqual(['b: grant s #1 1.2 {cart=1}']);
      store.hear('b', emptyRelease([1, 2]));
      store.time = 1_999;
      expect(store.hear('b', acquire(2, { create: undefined }))).toEqual(['b: refused s #2 unknown-session']);
      expect(store.outputs.writes).toMatchObject([{ session: 's', record: undefined }]);
      expect(store.hear('b', acquire(3, changesOf({ user: 'u' })))).toEqual([
        'b: grant s #3 1.3 seq 1 {user=u}',
      ]);
      expect(store.machine.counters.expired).toBe(1);
    });

    it('and whose dead holder is revoked is unknown to its waiters, until one may make it anew', () => {
      const store = new StoreAlone(rules);
      store.hear('a', acquire(1));
      store.hear('a', commit([1, 1], 1, { user: 'u' }));
      store.time = 1_000;
      store.holdsEchoes = true;
      store.hear('b', acquire(1, { create: undefined }));
      store.hear('c', acquire(1));
      store.hear('d', acquire(1, { create: undefined }));
      expect(store.echo()).toEqual([
        'a: revoked s 1.1 lease-over',
        'b: refused s #1 unknown-session',
        'c: grant s #1 1.2 contended',
      ]);
    });

    it('is the next one’s if its holder used it last by a change that came with its release', () => {
      const store = new StoreAlone(rules);
      store.hear('a', acquire(1));
      store.hear('b', acquire(1, { create: undefined, waitMs: 5_000 }));
      store.time = 1_500;
      expect(store.hear('a', release([1, 1], 1, { cart: '1' }))).toEqual([
        'b: grant s #1 1.2 {cart=1}',
        'a: released s 1.1',
      ]);
    });

    it('ends with a release without changes, since its holder was asked for it', () => {
      const store = new StoreAlone(rules);
      store.hear('a', acquire(1));
      store.hear('a', commit([1, 1], 1, { cart: '1' }));
      store.time = 1_000;
      store.machine.due([{ session: 's', expires: 1_000 }], { mono: 1_000, wall: 1_000 });
      expect(store.hear('a', renew(1))).toContain('a: recall s 1.1');
      expect(store.hear('a', release([1, 1], 2))).toEqual(['a: released s 1.1']);
      expect(store.hear('b', acquire(1, { create: undefined }))).toEqual(['b: refused s #1 unknown-session']);
    });

    it('is made anew by a late create when the time of its tombstone is over', () => {
      const store = new StoreAlone({ ...rules, tombstoneMs: 5_000, destroyedNoticeMs: 1_000 });
      store.hear('a', acquire(1));
      store.hear('a', { kind: 'destroy', session: 's', token: [1, 1], seq: 1 });
      store.time = 4_999;
      expect(store.hear('b', acquire(1, changesOf({ cart: '1' })))).toEqual(['b: refused s #1 destroyed']);
      store.time = 5_000;
      expect(store.hear('b', acquire(2, changesOf({ cart: '1' })))).toEqual([
        'b: grant s #2 1.2 seq 1 {cart=1}',
      ]);
    });
  });

  it('rule 11: a copy with changes that were never applied is not built upon', () => {
    const store = new StoreAlone();
    store.hear('a', acquire(1));
    store.hear('a', release([1, 1], 1, { cart: '1' }));
    store.hear('b', acquire(1));
    store.hear('b', release([1, 2], 1, { user: 'u' }));
    expect(store.hear('a', acquire(2, { known: [1, 1, 2] }))).toEqual(['a: grant s #2 1.3 {cart=1 user=u}']);
  });
});
