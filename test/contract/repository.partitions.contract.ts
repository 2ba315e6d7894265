/** The promises of a transaction of many partitions, of each adapter of `SessionRepository`. */
import { describe, expect, it } from 'vitest';
import type { SessionRepository } from '#repository';
import { deployment, stored, write } from './repository.fixture.js';

/** `current` is the repository of the test that runs. */
export function manyPartitionsContract(current: () => SessionRepository): void {
  const claim = async (partition = 0) => (await current().claim(partition, deployment)).epoch;

  describe('a transaction of many partitions', () => {
    const kinds = (errors: readonly unknown[]) => errors.map((error) => (error as Error | undefined)?.name);

    it('fails a lost epoch alone: the others take effect', async () => {
      const [mine, lost, other] = [await claim(0), await claim(1), await claim(2)];
      await claim(1);
      const errors = await current().applyAll([
        { partition: 2, epoch: other, writes: [write('c', '1', { cart: 'apple' })] },
        { partition: 1, epoch: lost, writes: [write('b', '1')] },
        { partition: 0, epoch: mine, writes: [write('a', '1')] },
      ]);
      expect(kinds(errors)).toEqual([undefined, 'EpochLostError', undefined]);
      expect(await stored(current(), 0, ['a'])).toEqual({ a: ['1', {}] });
      expect(await stored(current(), 1, ['b'])).toEqual({});
      expect(await stored(current(), 2, ['c'])).toEqual({ c: ['1', { cart: 'apple' }] });
    });

    it('has its place among other calls, and its own order', async () => {
      const epoch = await claim();
      const one = (head: string, attributes?: Record<string, string>) => ({
        partition: 0,
        epoch,
        writes: [write('s', head, attributes)],
      });
      await Promise.all([
        current().apply(0, epoch, [write('s', '1', { first: '1' })]),
        current().applyAll([one('2', { cart: '2' }), one('3', { cart: '3' })]),
        current().apply(0, epoch, [write('s', '4')]),
      ]);
      expect(await stored(current(), 0, ['s'])).toEqual({ s: ['4', { first: '1', cart: '3' }] });
    });

    it('verifies each epoch, also where nothing is written', async () => {
      const [mine, lost] = [await claim(0), await claim(1)];
      await claim(1);
      const asked = [
        { partition: 0, epoch: mine, writes: [] },
        { partition: 1, epoch: lost, writes: [] },
        { partition: 2, epoch: 1, writes: [] },
      ];
      expect(kinds(await current().applyAll(asked))).toEqual([undefined, 'EpochLostError', 'EpochLostError']);
      expect(await current().applyAll([])).toEqual([]);
    });

    it('runs before a claim that was called after it, and fails only that partition after it', async () => {
      const [mine, other] = [await claim(0), await claim(1)];
      const of = (head: string) => [
        { partition: 0, epoch: mine, writes: [write('s', head)] },
        { partition: 1, epoch: other, writes: [write('s', head)] },
      ];
      const [before, , after] = await Promise.all([
        current().applyAll(of('before')),
        current().claim(1, deployment),
        current().applyAll(of('after')),
      ]);
      expect(kinds(before)).toEqual([undefined, undefined]);
      expect(kinds(after)).toEqual([undefined, 'EpochLostError']);
      expect(await stored(current(), 0, ['s'])).toEqual({ s: ['after', {}] });
      expect(await stored(current(), 1, ['s'])).toEqual({ s: ['before', {}] });
    });
  });
}
