/** The store's machine alone, told what holders say: what it answers, writes and settles. */
import { beforeEach, describe, expect, it } from 'vitest';
import { limits } from './limits.js';
import type { Acquire, HolderMessage } from './messages.js';
import type { Token, Version } from './order.js';
import { changes, shown, testRules } from './pair.harness.js';
import { PartitionMachine, type StoreOutputs, type StoreRules } from './partition-machine.js';
import type { SessionRecord } from './record.js';
import { partitionOf } from './session-id.js';

/** A machine at a desk: the test says something as a holder and gets the answers, as text. */
class Desk {
  readonly machine: PartitionMachine;
  time = 0;
  /** Of the last flush. */
  outputs: StoreOutputs = { writes: [], messages: new Map(), settled: [] };
  private deliveries = 0;

  constructor(
    rules: Partial<StoreRules> = {},
    private readonly disk: ReadonlyMap<string, SessionRecord> = new Map(),
    epoch = 1,
  ) {
    this.machine = new PartitionMachine(0, epoch, { ...testRules, ...rules });
  }

  /** One frame. Answers look like `a: grant s #1 1.1`. */
  hear(holder: string, ...messages: HolderMessage[]): string[] {
    return this.hearOn(`${holder}.1`, holder, ...messages);
  }

  hearOn(queue: string, holder: string, ...messages: HolderMessage[]): string[] {
    const frame = { version: 1, partition: 0, holder, queue, messages } as const;
    for (const id of this.machine.missing(frame)) this.machine.load(id, this.disk.get(id));
    this.machine.receive(frame, ++this.deliveries, { mono: this.time, wall: 0 });
    return this.flush();
  }

  /** Time passes, and the machine looks at its deadlines. */
  wait(ms: number): string[] {
    this.time += ms;
    this.machine.tick({ mono: this.time, wall: 0 });
    return this.flush();
  }

  get settled(): readonly number[] {
    return this.outputs.settled;
  }

  private flush(): string[] {
    this.outputs = this.machine.flush();
    return [...this.outputs.messages].flatMap(([queue, list]) =>
      list.map((message) => `${queue.replace(/\.1$/, '')}: ${shown(message)}`),
    );
  }
}

const acquire = (request: number, more: Partial<Acquire> = {}): Acquire => ({
  kind: 'acquire',
  session: 's',
  request,
  mode: 'exclusive',
  create: new Map(),
  waitMs: 1_000,
  ...more,
});
const cancel = (request: number) => ({ kind: 'cancel', session: 's', request }) as const;
const change = <K extends 'commit' | 'release'>(
  kind: K,
  token: Token,
  seq: number,
  set = {},
  removed: string[] = [],
) => ({
  kind,
  session: 's',
  token,
  seq,
  ...changes(set, removed),
});
const commit = (token: Token, seq: number, set = {}, ...removed: string[]) =>
  change('commit', token, seq, set, removed);
const release = (token: Token, seq: number, set = {}, ...removed: string[]) =>
  change('release', token, seq, set, removed);
const emptyRelease = (token: Token) => release(token, 0);
const renew = (n: number) => ({ kind: 'renew', n }) as const;

let desk: Desk;
beforeEach(() => {
  desk = new Desk();
});

describe('granting', () => {
  it('rule 2: a free lock is granted at once, with the first token of the epoch', () => {
    expect(desk.hear('a', acquire(1))).toEqual(['a: grant s #1 1.1']);
    expect(desk.settled).toEqual([1]);
  });

  it('rule 2: grants in the order of asking', () => {
    desk.hear('a', acquire(1));
    expect(desk.hear('b', acquire(7))).toEqual(['a: recall s 1.1']);
    expect(desk.hear('c', acquire(4))).toEqual([]);
    expect(desk.hear('a', release([1, 1], 1))).toEqual(['a: released s 1.1', 'b: grant s #7 1.2 contended']);
    expect(desk.hear('b', release([1, 2], 1))).toEqual(['b: released s 1.2', 'c: grant s #4 1.3']);
  });

  it('rule 2: a holder that asks again while it waits has one place in the line, the newer one', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1));
    desk.hear('c', acquire(1));
    desk.hear('b', acquire(2));
    expect(desk.settled, 'the older request is settled').toEqual([2]);
    expect(desk.hear('a', release([1, 1], 1))).toContain('c: grant s #1 1.2 contended');
    expect(desk.hear('c', release([1, 2], 1))).toContain('b: grant s #2 1.3');
  });

  it('rule 2: a late duplicate of an older request takes no place from the newer one', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1), cancel(1));
    desk.hear('b', acquire(2));
    desk.hear('c', acquire(1));
    expect(desk.hear('b', acquire(1))).toEqual([]);
    expect(desk.settled).toEqual([5]);
    expect(desk.hear('a', release([1, 1], 1))).toContain('b: grant s #2 1.2 contended');
  });

  it('rule 4: a late duplicate of an older request recalls nothing from its own holder', () => {
    desk.hear('a', acquire(1));
    desk.hear('a', release([1, 1], 1));
    desk.hear('a', acquire(2));
    expect(desk.hear('a', acquire(1))).toEqual([]);
    expect(desk.settled).toEqual([4]);
    expect(desk.machine.snapshot().waiting).toBe(0);
  });

  it('rule 4: a grant made while others wait says contended, and is itself the recall', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1));
    desk.hear('c', acquire(1));
    const answers = desk.hear('a', release([1, 1], 1));
    expect(answers).toEqual(['a: released s 1.1', 'b: grant s #1 1.2 contended']);
    expect(desk.hear('d', acquire(1)), 'no second recall').toEqual([]);
  });

  it('rule 4: one recall per grant, however many come', () => {
    desk.hear('a', acquire(1));
    expect(desk.hear('b', acquire(1))).toEqual(['a: recall s 1.1']);
    expect(desk.hear('c', acquire(1))).toEqual([]);
    expect(desk.machine.counters.recalls).toBe(1);
  });

  it('rule 4: a waiter that repeats its request has the recall said again', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1));
    expect(desk.hear('b', acquire(1))).toEqual(['a: recall s 1.1']);
    expect(desk.machine.counters).toMatchObject({ recalls: 1, repeats: 1 });
  });

  it('rule 4: every renewal of the holder is told which of its locks are recalled', () => {
    desk.hear('a', acquire(1));
    expect(desk.hear('a', renew(1))).toEqual(['a: renewed 1']);
    desk.hear('b', acquire(1));
    expect(desk.hear('a', renew(2))).toEqual(['a: renewed 2 recalled s 1.1']);
    expect(desk.hear('b', renew(1))).toEqual(['b: renewed 1']);
  });

  it('rule 4: a recall follows the holder to its new queue', () => {
    desk.hear('a', acquire(1));
    desk.hearOn('a.2', 'a', renew(1));
    expect(desk.hear('b', acquire(1))).toEqual(['a.2: recall s 1.1']);
  });

  it('rule 12: a repeated request gets the same grant again, at the queue that it names', () => {
    desk.hear('a', acquire(1));
    expect(desk.hearOn('a.2', 'a', acquire(1))).toEqual(['a.2: grant s #1 1.1']);
    expect(desk.machine.counters).toMatchObject({ grants: 1, repeats: 1 });
  });

  it('rule 12: a grant is sent again for no other request than its own', () => {
    desk.hear('a', acquire(1));
    expect(desk.hear('a', acquire(2)), 'the holder knows nothing of 1.1').toEqual(['a: recall s 1.1']);
    expect(desk.hear('a', emptyRelease([1, 1]))).toEqual(['a: released s 1.1', 'a: grant s #2 1.2']);
  });

  it('rule 2: a repeat brings the queue, the deadline and the known copy up to date', () => {
    desk.hear('a', acquire(1), commit([1, 1], 1, { cart: '1' }));
    desk.hear('b', acquire(1, { known: [1, 1, 1] }));
    desk.time = 900;
    desk.hearOn('b.2', 'b', acquire(1));
    desk.wait(900);
    expect(desk.hear('a', release([1, 1], 2))).toContain('b.2: grant s #1 1.2 {cart=1}');
  });
});

describe('what a grant brings', () => {
  const two: Version = [1, 1, 2];

  beforeEach(() => {
    desk.hear('a', acquire(1));
    desk.hear('a', commit([1, 1], 1, { cart: '1', user: 'u' }), commit([1, 1], 2, { cart: '2' }));
  });

  const grantTo = (known: Version | undefined) => {
    desk.hear('a', release([1, 1], 3));
    return desk.hear('b', acquire(1, { known }));
  };

  it('all attributes, for who knows nothing', () => {
    expect(grantTo(undefined)).toEqual(['b: grant s #1 1.2 {cart=2 user=u}']);
  });

  it('what changed since the version that the holder still has', () => {
    expect(grantTo([1, 1, 1])).toEqual(['b: grant s #1 1.2 {cart=2} keep user']);
  });

  it('no attribute for who has them all', () => {
    expect(grantTo(two)).toEqual(['b: grant s #1 1.2 keep cart user']);
  });

  it('a deleted attribute is in neither list', () => {
    desk.hear('a', commit([1, 1], 3, {}, 'user'), release([1, 1], 4));
    expect(desk.hear('b', acquire(1, { known: two }))).toEqual(['b: grant s #1 1.2 keep cart']);
  });

  it('everything, when the holder claims to know a version that was never reached', () => {
    expect(grantTo([1, 1, 9])).toEqual(['b: grant s #1 1.2 {cart=2 user=u}']);
  });

  it('the version of the last change, not of the last grant', () => {
    grantTo(undefined);
    const [grant] = desk.outputs.messages.get('b.1')!;
    expect(grant).toMatchObject({ version: two, seq: 0 });
  });
});

describe('making sessions', () => {
  it('rule 14: a session that is unknown and may not be made is refused', () => {
    expect(desk.hear('a', acquire(1, { create: undefined }))).toEqual(['a: refused s #1 unknown-session']);
    expect(desk.outputs.writes).toEqual([]);
    expect(desk.settled).toEqual([1]);
  });

  it('rule 16: what a request makes is applied once, as seq 1', () => {
    const { set: create } = changes({ cart: '1' });
    expect(desk.hear('a', acquire(1, { create }))).toEqual(['a: grant s #1 1.1 seq 1 {cart=1}']);
    expect(desk.outputs.writes).toMatchObject([
      { session: 's', set: ['cart'], record: { version: [1, 1, 1] } },
    ]);
    expect(desk.hear('a', acquire(1, { create })), 'a repeat').toEqual(['a: grant s #1 1.1 seq 1 {cart=1}']);
    expect(desk.outputs.writes).toEqual([]);
  });

  it('rule 16: a request delivered again after its grant has ended makes nothing anew', () => {
    const { set: create } = changes({ cart: '1' });
    desk.hear('a', acquire(1, { create }), release([1, 1], 2, { cart: '2' }));
    expect(desk.hear('a', acquire(1, { create }))).toEqual(['a: grant s #1 1.2 {cart=2}']);
  });

  it('a session made with nothing in it is known from then on', () => {
    desk.hear('a', acquire(1), release([1, 1], 1));
    expect(desk.hear('b', acquire(1, { create: undefined }))).toEqual(['b: grant s #1 1.2']);
  });
});

describe('waiting', () => {
  it('rule 2: who waits too long is skipped, and is told nothing', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1, { waitMs: 100 }));
    desk.hear('c', acquire(1, { waitMs: 500 }));
    expect(desk.machine.nextDeadline).toBe(100);
    expect(desk.wait(100)).toEqual([]);
    expect(desk.settled).toEqual([2]);
    expect(desk.machine.nextDeadline).toBe(500);
    expect(desk.hear('a', release([1, 1], 1))).toEqual(['a: released s 1.1', 'c: grant s #1 1.2']);
  });

  it('rule 2: a waiter whose time is over is skipped even before the machine looked at its deadlines', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1, { waitMs: 100 }));
    desk.time = 100;
    expect(desk.hear('a', release([1, 1], 1))).toEqual(['a: released s 1.1']);
    expect(desk.settled).toEqual([2, 3]);
  });

  it('rule 2: a repeat extends the wait, and keeps the place (race 14)', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1, { waitMs: 100 }));
    desk.hear('c', acquire(1, { waitMs: 9_000 }));
    desk.time = 90;
    desk.hear('b', acquire(1, { waitMs: 500 }));
    desk.wait(400);
    expect(desk.hear('a', release([1, 1], 1))).toContain('b: grant s #1 1.2 contended');
  });

  it('nobody waits: there is no deadline', () => {
    expect(desk.machine.nextDeadline).toBe(Infinity);
    desk.hear('a', acquire(1));
    expect(desk.machine.nextDeadline).toBe(Infinity);
    desk.hear('b', acquire(1));
    desk.wait(1_000);
    expect(desk.machine.nextDeadline).toBe(Infinity);
  });

  it('rule 2: a cancelled waiter is skipped', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1));
    desk.hear('c', acquire(1));
    desk.hear('b', cancel(1));
    expect(desk.settled).toEqual([2, 4]);
    expect(desk.hear('a', release([1, 1], 1))).toContain('c: grant s #1 1.2');
  });

  it('a cancel of a granted request gives the lock to the next', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1));
    expect(desk.hear('a', cancel(1))).toEqual(['b: grant s #1 1.2']);
    expect(desk.hear('a', emptyRelease([1, 1])), 'the grant that crossed the cancel comes back').toEqual([
      'a: released s 1.1',
    ]);
  });

  it('a cancel of anything else changes nothing', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1));
    for (const [holder, request] of [
      ['a', 2],
      ['b', 2],
      ['c', 1],
    ] as const) {
      expect(desk.hear(holder, cancel(request))).toEqual([]);
    }
    expect(desk.machine.snapshot().waiting).toBe(1);
  });

  it('at most so many wait for one session', () => {
    desk.hear('a', acquire(1));
    for (const holder of ['b', 'c', 'd', 'e']) expect(desk.hear(holder, acquire(1))).not.toContain('refused');
    expect(desk.hear('f', acquire(1))).toEqual(['f: refused s #1 too-many-waiters']);
    expect(desk.settled).toEqual([6]);
    expect(desk.hear('b', acquire(2)), 'who waits already takes no other place').toEqual([]);
  });

  it('at most so many wait in one partition; a free lock needs no place in a line', () => {
    desk.hear('a', acquire(1), acquire(2, { session: 't' }));
    for (const holder of ['b', 'c', 'd']) desk.hear(holder, acquire(1), acquire(2, { session: 't' }));
    expect(desk.machine.snapshot()).toMatchObject({ waiting: 6, contended: 2 });
    expect(desk.hear('e', acquire(1))).toEqual(['e: refused s #1 too-many-waiters']);
    expect(desk.hear('e', acquire(2, { session: 'u' }))).toEqual(['e: grant u #2 1.3']);
  });
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

  it('a message of a later version of the rules is refused, not ignored', () => {
    expect(desk.hear('a', { kind: 'destroy', session: 's', token: [1, 1], seq: 1 })).toEqual([
      'a: refused s 1.1 seq 1 unsupported',
    ]);
    expect(desk.hear('a', { kind: 'knock', session: 's', request: 3 })).toEqual([
      'a: refused s #3 unsupported',
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

describe('deliveries', () => {
  it('a frame is settled when all its requests are: granted, refused, cancelled or lapsed', () => {
    desk.hear('a', acquire(1), acquire(2, { session: 't' }), acquire(3, { session: 'u' }));
    expect(desk.settled).toEqual([1]);
    desk.hear(
      'b',
      acquire(1),
      acquire(2, { session: 't' }),
      acquire(3, { session: 'u', waitMs: 50 }),
      acquire(4, { session: 'v', create: undefined }),
    );
    expect(desk.settled).toEqual([]);
    desk.hear('a', release([1, 1], 1));
    expect(desk.settled).toEqual([3]);
    desk.hear('b', { ...cancel(2), session: 't' });
    expect(desk.settled).toEqual([4]);
    desk.wait(50);
    expect(desk.settled).toEqual([2]);
  });

  it('a repeat is settled at once, while the first one stays', () => {
    desk.hear('a', acquire(1));
    desk.hear('b', acquire(1));
    desk.hear('b', acquire(1));
    expect(desk.settled).toEqual([3]);
    desk.hear('a', release([1, 1], 1));
    expect(desk.settled).toEqual([2, 4]);
  });
});

describe('partitions', () => {
  it('rule 13: a session of another partition is refused, naming the number of partitions', () => {
    const other = ['p', 'q', 'r', 't', 'v'].find((id) => partitionOf(id, 2) === 1)!;
    const two = new Desk({ partitions: 2 });
    expect(two.hear('a', acquire(1, { session: other }))).toEqual([`a: refused ${other} #1 wrong-partition`]);
    expect(two.outputs.messages.get('a.1')).toMatchObject([{ detail: 'this deployment has 2 partitions' }]);
    expect(two.hear('a', { ...commit([1, 1], 1), session: other })).toEqual([
      `a: refused ${other} 1.1 seq 1 wrong-partition`,
    ]);
    expect(two.machine.snapshot().sessions, 'not even loaded').toBe(0);
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
    disk.set('s', desk.outputs.writes[0]!.record);
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
    grant: { token: [1, 4], holder: 'a', request: 8, queue: 'a.1', seq: 0 },
    ended: [{ token: [1, 3], holder: 'b', seq: 1 }],
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
