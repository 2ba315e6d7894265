/**
 * What every adapter of `SessionRepository` promises, a scenario each, and one random walk beside a trivial model.
 * An adapter's own spec calls it with a way to make an open, empty repository.
 */
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  DeploymentMismatchError,
  EpochLostError,
  type SessionRepository,
  type SessionWrite,
} from '#repository';
import { deployment, marks, stored, write, type Place } from './repository.place.js';
import { walk, walks } from './repository.walk.js';

export function repositoryContract(name: string, make: () => Promise<Place>, { runs = 100 } = {}): void {
  describe(`${name} keeps the promises of SessionRepository`, () => {
    let place: Place;
    let repository: SessionRepository;
    beforeEach(async () => {
      place = await make();
      repository = place.repository;
    });
    afterEach(() => place.dispose());

    const claim = async (partition = 0) => (await repository.claim(partition, deployment)).epoch;

    describe('ownership', () => {
      it('counts the epochs of each partition from 1', async () => {
        expect([await claim(0), await claim(0), await claim(1)]).toEqual([1, 2, 1]);
      });

      it('keeps the longest lease ever claimed with', async () => {
        const leases: number[] = [];
        for (const leaseMs of [5_000, 9_000, 1_000])
          leases.push((await repository.claim(0, { ...deployment, leaseMs })).longestLeaseMs);
        expect(leases).toEqual([5_000, 9_000, 9_000]);
      });

      it('refuses a claim with another number of partitions or another hash, and changes nothing', async () => {
        const epoch = await claim();
        for (const other of [{ partitions: 8 }, { hash: 2 }])
          await expect(
            repository.claim(0, { ...deployment, ...other, leaseMs: 60_000 }),
          ).rejects.toBeInstanceOf(DeploymentMismatchError);
        await repository.apply(0, epoch, []);
        expect(await repository.claim(0, deployment)).toEqual({ epoch: 2, longestLeaseMs: 5_000 });
      });

      it('refuses a write that bears an old epoch, and changes nothing', async () => {
        const old = await claim();
        await repository.apply(0, old, [write('s', 'first', { cart: 'apple' })]);
        await claim();
        for (const change of [write('s', 'late', { cart: 'pear' }), write('s', null), write('new', 'late')])
          await expect(repository.apply(0, old, [change])).rejects.toBeInstanceOf(EpochLostError);
        expect(await stored(repository, 0, ['s', 'new'])).toEqual({ s: ['first', { cart: 'apple' }] });
      });

      it('refuses a write to a partition that nobody has claimed', async () => {
        await claim(1);
        await expect(repository.apply(0, 1, [write('s', 'x')])).rejects.toBeInstanceOf(EpochLostError);
        expect(await stored(repository, 0, ['s'])).toEqual({});
      });

      it('verifies the epoch of an apply without writes', async () => {
        const old = await claim();
        await repository.apply(0, old, []);
        await claim();
        await expect(repository.apply(0, old, [])).rejects.toBeInstanceOf(EpochLostError);
      });

      it('lets a lost epoch fail alone among the applies of one turn', async () => {
        const [mine, lost] = [await claim(0), await claim(1)];
        await claim(1);
        const outcomes = await Promise.allSettled([
          repository.apply(0, mine, [write('a', '1')]),
          repository.apply(1, lost, [write('b', '1')]),
          repository.apply(0, mine, [write('c', '1')]),
        ]);
        expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
        expect(await stored(repository, 0, ['a', 'c'])).toEqual({ a: ['1', {}], c: ['1', {}] });
        expect(await stored(repository, 1, ['b'])).toEqual({});
      });

      it('orders a claim behind the applies called before it and ahead of those called after', async () => {
        const epoch = await claim();
        const outcomes = await Promise.allSettled([
          repository.apply(0, epoch, [write('s', 'before')]),
          repository.claim(0, deployment),
          repository.apply(0, epoch, [write('s', 'after')]),
        ]);
        expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
        expect(await stored(repository, 0, ['s'])).toEqual({ s: ['before', {}] });
      });
    });

    describe('sessions', () => {
      it('loads those that exist, each whole, and those of the partition alone', async () => {
        const epoch = await claim();
        await repository.apply(0, epoch, [write('a', 'A', { x: '1', y: '2' }), write('b', 'B')]);
        await repository.apply(1, await claim(1), [write('a', 'other')]);
        const found = await stored(repository, 0, ['a', 'none', 'b']);
        expect(found).toEqual({ a: ['A', { x: '1', y: '2' }], b: ['B', {}] });
      });

      it('changes the attributes that a write names and leaves the others', async () => {
        const epoch = await claim();
        await repository.apply(0, epoch, [write('s', '1', { kept: 'k', changed: 'old', gone: 'g' })]);
        await repository.apply(0, epoch, [write('s', '2', { changed: 'new', gone: null, never: null })]);
        expect(await stored(repository, 0, ['s'])).toEqual({ s: ['2', { kept: 'k', changed: 'new' }] });
      });

      it('removes a session with all its attributes, those just written too', async () => {
        const epoch = await claim();
        await repository.apply(0, epoch, [write('s', '1', { old: 'o' })]);
        await Promise.all([
          repository.apply(0, epoch, [write('s', '2', { fresh: 'f' })]),
          repository.apply(0, epoch, [write('s', null, { ignored: 'i' })]),
          repository.apply(0, epoch, [write('s', '3', { reborn: 'r' })]),
        ]);
        expect(await stored(repository, 0, ['s'])).toEqual({ s: ['3', { reborn: 'r' }] });
        await repository.apply(0, epoch, [write('s', null)]);
        expect(await stored(repository, 0, ['s'])).toEqual({});
      });

      it('lets applies that do not wait for each other take effect in the order of calling', async () => {
        const epoch = await claim();
        const calls = Array.from({ length: 200 }, (_, i) =>
          repository.apply(0, epoch, [write('s', `${i}`, { [`a${i % 3}`]: `${i}` })]),
        );
        await Promise.all(calls);
        expect(await stored(repository, 0, ['s'])).toEqual({
          s: ['199', { a0: '198', a1: '199', a2: '197' }],
        });
      });

      it('never shows half of an apply to a load', async () => {
        const epoch = await claim();
        const names = Array.from({ length: 20 }, (_, i) => `attribute-${i}`);
        const change = (i: number) => write('s', `${i}`, Object.fromEntries(names.map((n) => [n, `${i}`])));
        const calls: Promise<unknown>[] = [];
        for (let i = 0; i < 50; i += 1) {
          calls.push(repository.apply(0, epoch, [change(i)]));
          const loaded = await stored(repository, 0, ['s']);
          const [head, attributes] = loaded['s'] ?? ['none', {}];
          expect(new Set([head, ...Object.values(attributes)]).size).toBe(1);
        }
        await Promise.all(calls);
      });

      it('tells any ids and names apart, and returns any bytes as they were', async () => {
        const epoch = await claim();
        const ids = ['a', 'a!', 'a~', 'aa', '0', 'head', '/', 'x'.repeat(128)];
        const names = [
          'head',
          'attribute',
          'attribute head',
          ' ',
          '!',
          '😀',
          'é',
          'e\u0301',
          'x'.repeat(128),
        ];
        const values = Object.fromEntries(names.map((name) => [name, name]));
        await repository.apply(
          0,
          epoch,
          ids.map((id) => write(id, id, values)),
        );
        await repository.apply(0, epoch, [write('a', null)]);
        const expected = ids.slice(1).map((id) => [id, [id, values]]);
        expect(await stored(repository, 0, ids)).toEqual(Object.fromEntries(expected));

        const every = Uint8Array.from({ length: 256 }, (_, i) => i);
        const set = new Map([
          ['every', every],
          ['none', new Uint8Array()],
        ]);
        await repository.apply(0, epoch, [{ session: 'a', head: new Uint8Array(), set, delete: [] }]);
        const loaded = (await repository.load(0, ['a'])).get('a')!;
        expect(Array.from(loaded.attributes.get('every')!)).toEqual(Array.from(every));
        expect([loaded.head.length, loaded.attributes.get('none')!.length]).toEqual([0, 0]);
      });

      it('keeps what it was given, whatever becomes of those bytes', async () => {
        const epoch = await claim();
        const given = write('s', 'head', { cart: 'apple' });
        await repository.apply(0, epoch, [given]);
        const loaded = (await repository.load(0, ['s'])).get('s')!;
        for (const bytes of [
          given.head!,
          given.set.get('cart')!,
          loaded.head,
          loaded.attributes.get('cart')!,
        ])
          bytes.fill(0);
        loaded.attributes.clear();
        expect(await stored(repository, 0, ['s'])).toEqual({ s: ['head', { cart: 'apple' }] });
      });
    });

    describe('expiry', () => {
      /** Writes `s`, or another session, and moves its mark. */
      const move = (was: number | undefined, is: number | undefined, session = 's') =>
        write(session, 'head', {}, { was, is });
      const remove = (was: number | undefined, session = 's') =>
        write(session, null, {}, { was, is: undefined });

      it('names what is due by then, the earliest first, up to the limit', async () => {
        const epoch = await claim();
        const at = { z: 0, y: 9, x: 10, w: 100, v: 1_795_000_000_000, u: Number.MAX_SAFE_INTEGER };
        const entries = Object.entries(at);
        const writes = entries.toReversed().map(([id, expires]) => move(undefined, expires, id));
        await repository.apply(0, epoch, [...writes, write('unmarked', 'head')]);
        expect(await marks(repository, 0)).toEqual(entries);
        expect(await marks(repository, 0, { before: 9 })).toEqual(entries.slice(0, 2));
        expect(await marks(repository, 0, { before: 99 })).toEqual(entries.slice(0, 3));
        expect(await marks(repository, 0, { limit: 4 })).toEqual(entries.slice(0, 4));
        expect(await marks(repository, 0, { before: 10, limit: 1 })).toEqual(entries.slice(0, 1));
        expect(await marks(repository, 0, { limit: 0 })).toEqual([]);
      });

      it('names those of the partition alone', async () => {
        for (const partition of [1, 10])
          await repository.apply(partition, await claim(partition), [move(undefined, partition)]);
        for (const partition of [1, 10])
          expect(await marks(repository, partition)).toEqual([['s', partition]]);
        expect(await marks(repository, 0)).toEqual([]);
      });

      it('tells any ids of one mark apart', async () => {
        const epoch = await claim();
        const ids = ['!', '/', '0', 'a', 'a!', 'aa', 'head', 'x'.repeat(128)];
        await repository.apply(
          0,
          epoch,
          ids.map((id) => move(undefined, 5, id)),
        );
        await repository.apply(0, epoch, [remove(5, 'a')]);
        const named = (await marks(repository, 0, { before: 5 })).map(([id]) => id);
        expect(named.toSorted()).toEqual(ids.filter((id) => id !== 'a'));
      });

      it('moves a mark to and fro, within one turn too, and takes it away', async () => {
        const epoch = await claim();
        const after = async (...writes: SessionWrite[]) => {
          await Promise.all(writes.map((change) => repository.apply(0, epoch, [change])));
          return marks(repository, 0);
        };
        expect(await after(move(undefined, 10))).toEqual([['s', 10]]);
        expect(await after(move(10, 20))).toEqual([['s', 20]]);
        expect(await after(move(20, 20))).toEqual([['s', 20]]);
        expect(await after(write('s', 'unchanged'))).toEqual([['s', 20]]);
        expect(await after(move(20, 30), move(30, 20), move(20, 30))).toEqual([['s', 30]]);
        expect(await after(move(30, 40), move(40, 50), write('s', 'unchanged'))).toEqual([['s', 50]]);
        expect(await after(move(50, undefined))).toEqual([]);
        expect(await after(move(undefined, 60), move(60, undefined))).toEqual([]);
      });

      it('takes several moves of one apply in their order', async () => {
        const epoch = await claim();
        await repository.apply(0, epoch, [move(undefined, 1), remove(1), move(undefined, 3), move(3, 2)]);
        expect(await marks(repository, 0)).toEqual([['s', 2]]);
      });

      it('forgets a removed session, one just marked too', async () => {
        const epoch = await claim();
        await repository.apply(0, epoch, [move(undefined, 10), move(undefined, 15, 'other')]);
        await repository.apply(0, epoch, [write('s', null, {}, { was: 10, is: 99 })]);
        expect(await marks(repository, 0)).toEqual([['other', 15]]);
        await Promise.all([
          repository.apply(0, epoch, [move(undefined, 20)]),
          repository.apply(0, epoch, [remove(20)]),
        ]);
        expect(await marks(repository, 0)).toEqual([['other', 15]]);
        await Promise.all([
          repository.apply(0, epoch, [move(undefined, 30)]),
          repository.apply(0, epoch, [remove(30)]),
          repository.apply(0, epoch, [move(undefined, 40)]),
        ]);
        expect(await marks(repository, 0)).toEqual([
          ['other', 15],
          ['s', 40],
        ]);
      });

      it('clears an entry left behind once a write names it, whether the session is there or not', async () => {
        const epoch = await claim();
        await repository.apply(0, epoch, [move(undefined, 10), move(undefined, 11, 'gone')]);
        await repository.apply(0, epoch, [move(undefined, 20), write('gone', null)]); // wrongly, without what was
        await repository.apply(0, epoch, [move(10, 20), remove(11, 'gone')]);
        expect(await marks(repository, 0)).toEqual([['s', 20]]);
      });

      it('moves no mark by a write that bears an old epoch', async () => {
        const old = await claim();
        await repository.apply(0, old, [move(undefined, 10)]);
        await claim();
        for (const change of [move(10, 20), move(10, undefined), remove(10), move(undefined, 5, 'new')])
          await expect(repository.apply(0, old, [change])).rejects.toBeInstanceOf(EpochLostError);
        expect(await marks(repository, 0)).toEqual([['s', 10]]);
      });

      it('never shows a session twice, or not at all, while its mark moves with its head', async () => {
        const epoch = await claim();
        const change = (i: number) => write('s', `${i}`, {}, { was: i > 0 ? i - 1 : undefined, is: i });
        await repository.apply(0, epoch, [change(0)]);
        const calls: Promise<unknown>[] = [];
        for (let i = 1; i < 50; i += 1) {
          calls.push(repository.apply(0, epoch, [change(i)]));
          const before = Number((await stored(repository, 0, ['s']))['s']![0]);
          const found = await marks(repository, 0);
          const after = Number((await stored(repository, 0, ['s']))['s']![0]);
          expect(found).toEqual([['s', expect.toSatisfy((mark) => before <= mark && mark <= after)]]);
        }
        await Promise.all(calls);
      });
    });
  });

  it(`${name} answers as a trivial model does on random walks`, async () => {
    expect.hasAssertions();
    const property = fc.asyncProperty(walks, async (steps) => {
      const place = await make();
      try {
        await walk(place, steps);
      } finally {
        await place.dispose();
      }
    });
    await fc.assert(property, { numRuns: runs });
  });
}
