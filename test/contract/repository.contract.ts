/**
 * The promises of each adapter of `SessionRepository`, one scenario each, and one random walk beside a simple
 * model. An adapter's spec calls it with a function that makes an open, empty repository.
 */
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  DeploymentMismatchError,
  EpochLostError,
  type SessionRepository,
  type SessionWrite,
} from '#repository';
import { deployment, marks, stored, write, type Fixture } from './repository.fixture.js';
import { manyPartitionsContract } from './repository.partitions.contract.js';
import { walk, walks } from './repository.walk.js';

export function repositoryContract(name: string, make: () => Promise<Fixture>, { runs = 100 } = {}): void {
  describe(`${name} keeps the promises of SessionRepository`, () => {
    let fixture: Fixture;
    let repository: SessionRepository;
    beforeEach(async () => {
      fixture = await make();
      repository = fixture.repository;
    });
    afterEach(() => fixture.dispose());

    const claim = async (partition = 0) => (await repository.claim(partition, deployment)).epoch;

    describe('ownership', () => {
      it('counts the epochs of each partition from 1', async () => {
        expect([await claim(0), await claim(0), await claim(1)]).toEqual([1, 2, 1]);
      });

      it('claims the last epoch + 1, or the floor when that is greater, and returns the one before', async () => {
        const claims: [epoch: number, previous: number][] = [];
        const now = 1_795_000_000_000; // far beyond 32 bits
        for (const floor of [undefined, 0, now, now, now - 1, now + 1, Number.MAX_SAFE_INTEGER - 1]) {
          const { epoch, previous } = await repository.claim(0, deployment, floor);
          claims.push([epoch, previous]);
        }
        expect(claims).toEqual([
          [1, 0],
          [2, 1],
          [now, 2],
          [now + 1, now],
          [now + 2, now + 1],
          [now + 3, now + 2],
          [Number.MAX_SAFE_INTEGER - 1, now + 3],
        ]);
        expect(await repository.claim(1, deployment, now)).toMatchObject({ epoch: now, previous: 0 });
        await repository.apply(1, now, [write('s', 'x')]);
        for (const other of [now - 1, now + 1, 1, 0])
          await expect(repository.apply(1, other, [])).rejects.toBeInstanceOf(EpochLostError);
      });

      it('keeps the longest lease of all claims', async () => {
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
        expect(await repository.claim(0, deployment)).toEqual({
          epoch: 2,
          previous: 1,
          longestLeaseMs: 5_000,
        });
      });

      it('refuses a write that bears an old epoch, and changes nothing', async () => {
        const old = await claim();
        await repository.apply(0, old, [write('s', 'first', { cart: 'apple' })]);
        await claim();
        for (const change of [write('s', 'late', { cart: 'pear' }), write('s', null), write('new', 'late')])
          await expect(repository.apply(0, old, [change])).rejects.toBeInstanceOf(EpochLostError);
        expect(await stored(repository, 0, ['s', 'new'])).toEqual({ s: ['first', { cart: 'apple' }] });
      });

      it('refuses a write to an unclaimed partition', async () => {
        await claim(1);
        await expect(repository.apply(0, 1, [write('s', 'x')])).rejects.toBeInstanceOf(EpochLostError);
        expect(await stored(repository, 0, ['s'])).toEqual({});
      });

      it('checks the epoch of an apply without writes', async () => {
        const old = await claim();
        await repository.apply(0, old, []);
        await claim();
        await expect(repository.apply(0, old, [])).rejects.toBeInstanceOf(EpochLostError);
      });

      it('fails only the applies of a lost epoch within one turn of the event loop', async () => {
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

      it('runs a claim after the applies that were called before it, and before later ones', async () => {
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

    manyPartitionsContract(() => repository);

    describe('sessions', () => {
      it('loads existing sessions, each whole, and only those of the partition', async () => {
        const epoch = await claim();
        await repository.apply(0, epoch, [write('a', 'A', { x: '1', y: '2' }), write('b', 'B')]);
        await repository.apply(1, await claim(1), [write('a', 'other')]);
        const found = await stored(repository, 0, ['a', 'none', 'b']);
        expect(found).toEqual({ a: ['A', { x: '1', y: '2' }], b: ['B', {}] });
      });

      it('changes the attributes that a write names, and leaves the others', async () => {
        const epoch = await claim();
        await repository.apply(0, epoch, [write('s', '1', { kept: 'k', changed: 'old', gone: 'g' })]);
        await repository.apply(0, epoch, [write('s', '2', { changed: 'new', gone: null, never: null })]);
        expect(await stored(repository, 0, ['s'])).toEqual({ s: ['2', { kept: 'k', changed: 'new' }] });
      });

      it('removes a session with all its attributes, also with those just written', async () => {
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

      it('runs applies in the order of their calls when they do not wait for each other', async () => {
        const epoch = await claim();
        const calls = Array.from({ length: 200 }, (_, i) =>
          repository.apply(0, epoch, [write('s', `${i}`, { [`a${i % 3}`]: `${i}` })]),
        );
        await Promise.all(calls);
        expect(await stored(repository, 0, ['s'])).toEqual({
          s: ['199', { a0: '198', a1: '199', a2: '197' }],
        });
      });

      it('shows an apply to a load whole or not at all', async () => {
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

      it('tells all ids and names apart, and returns all bytes unchanged', async () => {
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
        await repository.apply(0, epoch, [{ session: 'a', head: new Uint8Array(), set, removed: [] }]);
        const loaded = (await repository.load(0, ['a'])).get('a')!;
        expect(Array.from(loaded.attributes.get('every')!)).toEqual(Array.from(every));
        expect([loaded.head.length, loaded.attributes.get('none')!.length]).toEqual([0, 0]);
      });

      it('keeps the given bytes, also when the caller changes them later', async () => {
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

      it('names the sessions that are due, the earliest first, up to the limit', async () => {
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

      it('names only those of the partition', async () => {
        for (const partition of [1, 10])
          await repository.apply(partition, await claim(partition), [move(undefined, partition)]);
        for (const partition of [1, 10])
          expect(await marks(repository, partition)).toEqual([['s', partition]]);
        expect(await marks(repository, 0)).toEqual([]);
      });

      it('tells all ids of one mark apart', async () => {
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

      it('moves a mark to and fro, also within one turn of the event loop, and removes it', async () => {
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

      it('runs several moves of one apply in their order', async () => {
        const epoch = await claim();
        await repository.apply(0, epoch, [move(undefined, 1), remove(1), move(undefined, 3), move(3, 2)]);
        expect(await marks(repository, 0)).toEqual([['s', 2]]);
      });

      it('forgets a removed session, also one just marked', async () => {
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

      it('clears a stale entry once a write names it, whether the session exists or not', async () => {
        const epoch = await claim();
        await repository.apply(0, epoch, [move(undefined, 10), move(undefined, 11, 'gone')]);
        // The wrong move: it does not name the old mark.
        await repository.apply(0, epoch, [move(undefined, 20), write('gone', null)]);
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

      it('shows a session exactly once while its mark moves with its head', async () => {
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

  it(`${name} answers like a simple model on random walks`, async () => {
    expect.hasAssertions();
    const property = fc.asyncProperty(walks, async (steps) => {
      const fixture = await make();
      try {
        await walk(fixture, steps);
      } finally {
        await fixture.dispose();
      }
    });
    await fc.assert(property, { numRuns: runs });
  });
}
