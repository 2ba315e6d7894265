/** The store's machine: which changes are applied, what is answered and written, and what it remembers. */
import { beforeEach, describe, expect, it } from 'vitest';
import { acquire, cancel, commit, release, emptyRelease, renew, Desk } from './desk.harness.js';
import { limits } from './limits.js';
import type { Token, Version } from './order.js';
import { testRules } from './pair.harness.js';
import { changes } from './words.harness.js';
import type { SessionRecord } from './record.js';

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
});

describe('changes', () => {
  beforeEach(() => {
    desk.hear('a', acquire(1));
  });

  it('rule 6: commits are applied in the order of seq', () => {
    expect(desk.hear('a', commit([1, 1], 1, { cart: '1' }), commit([1, 1], 2, { cart: '2' }))).toEqual([
      'a: committed s 1.1 seq 1',
      'a: committed s 1.1 seq 2',
    ]);
    expect(desk.outputs.writes).toMatchObject([
      { set: ['cart'], delete: [], record: { version: [1, 1, 2], grant: { seq: 2 } } },
    ]);
  });

  it('rule 6: a repeated commit gets the original answer and is applied once', () => {
    desk.hear('a', commit([1, 1], 1, { cart: '1' }), commit([1, 1], 2, { cart: '2' }));
    expect(desk.hear('a', commit([1, 1], 1, { cart: '1' }))).toEqual(['a: committed s 1.1 seq 1']);
    expect(desk.outputs.writes).toEqual([]);
    expect(desk.machine.counters.commits).toBe(2);
  });

  it('rule 6: a gap is answered with the last seq applied, and nothing of it is applied', () => {
    desk.hear('a', commit([1, 1], 1, { cart: '1' }));
    expect(desk.hear('a', commit([1, 1], 3, { cart: '3' }))).toEqual([
      'a: refused s 1.1 seq 3 gap applied 1',
    ]);
    expect(desk.hear('a', release([1, 1], 3))).toEqual(['a: refused s 1.1 seq 3 gap applied 1']);
    expect(desk.outputs.writes).toEqual([]);
    expect(desk.hear('a', commit([1, 1], 2, { cart: '2' })), 'the grant goes on').toEqual([
      'a: committed s 1.1 seq 2',
    ]);
  });

  it('rule 6: a release applies its changes before the next grant', () => {
    desk.hear('b', acquire(1));
    expect(desk.hear('a', release([1, 1], 1, { cart: '1' }))).toEqual([
      'a: released s 1.1',
      'b: grant s #1 1.2 {cart=1}',
    ]);
    expect(desk.outputs.writes).toMatchObject([
      { record: { grant: { token: [1, 2], holder: 'b' }, ended: [{ token: [1, 1], holder: 'a', seq: 1 }] } },
    ]);
  });

  it('rule 6: repeats of an ended grant get the original answers (race 6)', () => {
    desk.hear('b', acquire(1));
    desk.hear('a', commit([1, 1], 1, { cart: '1' }), release([1, 1], 2, { cart: '2' }));
    desk.hear('b', commit([1, 2], 1, { cart: '3' }));
    expect(desk.hear('a', commit([1, 1], 1, { cart: '1' }), release([1, 1], 2, { cart: '2' }))).toEqual([
      'a: committed s 1.1 seq 1',
      'a: released s 1.1',
    ]);
    expect(desk.outputs.writes).toEqual([]);
  });

  it('rule 6: what an ended grant never applied is refused as ended, with the seq applied through', () => {
    desk.hear('a', commit([1, 1], 1), emptyRelease([1, 1]));
    expect(desk.hear('a', commit([1, 1], 2))).toEqual(['a: refused s 1.1 seq 2 ended applied 1']);
    expect(desk.hear('a', release([1, 1], 2))).toEqual(['a: refused s 1.1 seq 2 ended applied 1']);
  });

  it('rule 6: an ended grant beyond the bound is answered outcome-unknown, never refused as ended', () => {
    desk.hear('a', release([1, 1], 1));
    for (let n = 2; n <= 4; n++) desk.hear('b', acquire(n), release([1, n], 1));
    expect(desk.hear('a', release([1, 1], 1))).toEqual(['a: refused s 1.1 seq 1 outcome-unknown']);
    expect(desk.hear('b', release([1, 2], 1)), 'within the bound').toEqual(['b: released s 1.2']);
  });

  it('rule 12: an empty release of whatever token is answered as released', () => {
    expect(desk.hear('b', emptyRelease([1, 9]))).toEqual(['b: released s 1.9']);
    expect(desk.hear('a', renew(1))).toEqual(['a: renewed 1']);
    expect(desk.hear('a', commit([1, 1], 1)), 'the grant of another is untouched').toEqual([
      'a: committed s 1.1 seq 1',
    ]);
  });

  it('rule 1: a change with another token is refused, a newer one too', () => {
    expect(desk.hear('a', commit([1, 2], 1, { cart: '9' }))).toEqual([
      'a: refused s 1.2 seq 1 outcome-unknown',
    ]);
    expect(desk.hear('a', commit([2, 1], 1, { cart: '9' }))).toEqual([
      'a: refused s 2.1 seq 1 outcome-unknown',
    ]);
    expect(desk.outputs.writes).toEqual([]);
  });

  it('rule 1: a change from another holder is refused though it bears the right token', () => {
    expect(desk.hear('b', commit([1, 1], 1, { cart: '9' }))).toEqual([
      'b: refused s 1.1 seq 1 outcome-unknown',
    ]);
    expect(desk.hear('b', emptyRelease([1, 1]))).toEqual(['b: released s 1.1']);
    expect(desk.hear('a', commit([1, 1], 1)), 'still held').toEqual(['a: committed s 1.1 seq 1']);
  });

  it('a change of a session that the store does not know is answered outcome-unknown', () => {
    expect(desk.hear('a', { ...commit([1, 1], 1), session: 'x' })).toEqual([
      'a: refused x 1.1 seq 1 outcome-unknown',
    ]);
  });

  it('a name that is both deleted and set is set', () => {
    desk.hear('a', commit([1, 1], 1, { cart: '1' }));
    desk.hear('a', commit([1, 1], 2, { cart: '2' }, 'cart'));
    expect(desk.outputs.writes).toMatchObject([{ set: ['cart'], delete: [] }]);
  });

  it('a flush names what changed since the last one: the last of set and delete counts', () => {
    desk.hear('a', commit([1, 1], 1, { a: '1', b: '1' }));
    desk.hear('a', commit([1, 1], 2, { c: '2' }, 'a'), commit([1, 1], 3, { a: '3' }, 'b', 'x'));
    expect(desk.outputs.writes).toMatchObject([{ set: ['c', 'a'], delete: ['b'] }]);
  });

  it('rule 14: destroy leaves a tombstone, which turns everybody away and answers repeats; a late create revives nothing (race 9)', () => {
    const destroy = { kind: 'destroy', session: 's', token: [1, 1], seq: 2 } as const;
    desk.hear('a', commit([1, 1], 1, { cart: '1' }));
    desk.hear('b', acquire(1));
    expect(desk.hear('a', { ...destroy, seq: 3 })).toEqual(['a: refused s 1.1 seq 3 gap applied 1']);
    expect(desk.hear('a', destroy)).toEqual(['a: released s 1.1', 'b: refused s #1 destroyed']);
    expect(desk.outputs.writes).toMatchObject([{ delete: ['cart'], record: { grant: undefined } }]);
    expect(desk.hear('a', destroy)).toEqual(['a: released s 1.1']);
    expect(desk.hear('a', acquire(1, { create: changes({ cart: '1' }).set }))).toEqual([
      'a: refused s #1 destroyed',
    ]);
    expect(desk.hear('a', commit([1, 1], 3, { cart: '2' }))).toEqual([
      'a: refused s 1.1 seq 3 ended applied 2',
    ]);
  });
});

describe('sizes', () => {
  const mebibyte = new Uint8Array(limits.valueBytes);
  const put = (seq: number, names: string[], ...removed: string[]) => ({
    ...commit([1, 1], seq),
    set: new Map(names.map((name) => [name, mebibyte])),
    delete: removed,
  });

  beforeEach(() => {
    desk.hear('a', acquire(1));
    desk.hear('a', put(1, ['a', 'b', 'c', 'd']));
  });

  it('a session that would grow beyond its limit refuses the change', () => {
    expect(desk.hear('a', put(2, ['e']))).toEqual(['a: refused s 1.1 seq 2 too-large applied 1']);
    expect(desk.hear('a', put(2, ['a']))).toEqual(['a: committed s 1.1 seq 2']);
  });

  it('what the same change deletes makes room', () => {
    expect(desk.hear('a', put(2, ['e'], 'a'))).toEqual(['a: committed s 1.1 seq 2']);
    expect(desk.hear('a', put(3, ['b'], 'b')), 'deleted and set: counted once').toEqual([
      'a: committed s 1.1 seq 3',
    ]);
    expect(desk.hear('a', put(4, ['f'], 'x', 'x'))).toEqual(['a: refused s 1.1 seq 4 too-large applied 3']);
  });

  it('the number of attributes is limited too', () => {
    const many = Object.fromEntries(Array.from({ length: limits.attributes - 4 }, (_, i) => [`n${i}`, '']));
    expect(desk.hear('a', commit([1, 1], 2, many))).toEqual(['a: committed s 1.1 seq 2']);
    expect(desk.hear('a', commit([1, 1], 3, { more: '' }))).toEqual([
      'a: refused s 1.1 seq 3 too-large applied 2',
    ]);
    expect(desk.hear('a', commit([1, 1], 3, { more: '' }, 'n0'))).toEqual(['a: committed s 1.1 seq 3']);
  });

  it('the memory for it is counted, and given back', () => {
    const before = desk.machine.snapshot().bytes;
    desk.hear('a', commit([1, 1], 2, {}, 'a', 'b', 'c'));
    expect(before - desk.machine.snapshot().bytes).toBe(3 * limits.valueBytes);
  });
});

describe('memory', () => {
  const hold = (session: string, request: number, token: Token) =>
    desk.hear('a', acquire(request, { session }), { ...release(token, 1, { x: '12345' }), session });

  it('forgets the least recently used sessions first, but never one that somebody waits for', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1));
    hold('t', 2, [1, 2]);
    hold('u', 3, [1, 3]);
    hold('t', 4, [1, 4]);
    const { bytes } = desk.machine.snapshot();
    desk.machine.evict(bytes);
    expect(desk.machine.snapshot().sessions).toBe(3);
    desk.machine.evict(bytes - 1);
    expect(desk.machine.snapshot().sessions).toBe(2);
    const known = (id: string) =>
      desk.machine.missing({ ...frame, messages: [acquire(9, { session: id })] }).length === 0;
    const frame = { version: 1, partition: 0, holder: 'a', queue: 'a.1' } as const;
    expect([known('s'), known('t'), known('u')]).toEqual([true, true, false]);
    desk.machine.evict(0);
    expect([known('s'), known('t')]).toEqual([true, false]);
  });

  it('a session loaded again has its lock, and what its holder was last told is said again', () => {
    const disk = new Map<string, SessionRecord>();
    desk = new Desk({}, disk);
    desk.hear('a', acquire(1));
    disk.set('s', desk.outputs.writes[0]!.record!);
    desk.machine.evict(0);
    expect(desk.machine.snapshot()).toMatchObject({ sessions: 0, bytes: 0 });
    expect(desk.hear('b', acquire(1))).toEqual(['a: recall s 1.1']);
    expect(desk.hear('a', acquire(1)), 'race 5: the grant belongs to its request').toEqual([
      'a: grant s #1 1.1 contended',
    ]);
  });

  it('names what must be loaded, each session once', () => {
    const frame = { version: 1, partition: 0, holder: 'a', queue: 'a.1' } as const;
    expect(desk.machine.missing({ ...frame, messages: [acquire(1), commit([1, 1], 1), renew(1)] })).toEqual([
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
    mark: undefined,
    destroyed: undefined,
    attributes: new Map([
      ['cart', { bytes: changes({ x: '3' }).set.get('x')!, version: [1, 3, 1] }],
      ['user', { bytes: changes({ x: 'u' }).set.get('x')!, version: [1, 1, 1] }],
    ]),
  });

  beforeEach(() => {
    desk = new Desk({}, new Map([['s', record()]]), 2);
  });

  it('a new owner knows who holds the lock, and its tokens are above all earlier ones', () => {
    expect(desk.hear('a', commit([1, 4], 1, { cart: '4' }))).toEqual(['a: committed s 1.4 seq 1']);
    expect(desk.hear('b', acquire(9))).toEqual(['a: recall s 1.4']);
    expect(desk.hear('a', release([1, 4], 2))).toEqual([
      'a: released s 1.4',
      'b: grant s #9 2.1 {cart=4 user=u}',
    ]);
  });

  it('a new owner answers repeats of grants that ended before its time', () => {
    expect(desk.hear('b', release([1, 3], 1, { cart: '3' }))).toEqual(['b: released s 1.3']);
  });

  it('race 7: a copy of an earlier epoch is trusted only where the store remembers the change that it claims', () => {
    desk.hear('a', commit([1, 4], 1, { extra: '1' }), release([1, 4], 2));
    const brings = (known: Version) => {
      const [answer] = desk.hear('b', acquire(9, { known }));
      desk.hear('b', cancel(9));
      return answer!.replace(/^.* 2\.\d+ /, '');
    };
    expect(brings([1, 3, 1]), 'applied').toBe('{extra=1} keep cart user');
    expect(brings([1, 3, 2]), 'never seen here: lost with the power').toBe('{cart=3 user=u extra=1}');
    expect(brings([1, 2, 1]), 'not remembered').toBe('{cart=3 user=u extra=1}');
    expect(brings([1, 4, 1]), 'the version that it has now').toBe('keep cart user extra');
  });
});

describe('what must not come back', () => {
  it('rule 15: a session that expires and is made anew in one batch keeps none of its attributes', () => {
    const desk = new Desk();
    desk.hear('a', acquire(1));
    desk.hear('a', release([1, 1], 1, { cart: '1' }));
    desk.machine.due([{ session: 's', expires: 0 }], { mono: 1, wall: testRules.ttlMs });
    desk.hear('b', acquire(1));
    expect(desk.outputs.writes).toMatchObject([
      { record: { version: [1, 2, 0] }, set: [], delete: ['cart'] },
    ]);
  });

  it('rule 11: a copy with changes that were never applied is not built upon', () => {
    const desk = new Desk();
    desk.hear('a', acquire(1));
    desk.hear('a', release([1, 1], 1, { cart: '1' }));
    desk.hear('b', acquire(1));
    desk.hear('b', release([1, 2], 1, { user: 'u' }));
    expect(desk.hear('a', acquire(2, { known: [1, 1, 2] }))).toEqual(['a: grant s #2 1.3 {cart=1 user=u}']);
  });
});
