/**
 * The further promises of adapters of `SessionRepository` whose state outlives their process, one scenario
 * each.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SessionRepository } from '#repository';
import { deployment, marks, stored, write, type Fixture } from './repository.fixture.js';

export function lastingRepositoryContract(name: string, make: () => Promise<Required<Fixture>>): void {
  describe(`${name} outlives its process`, () => {
    let fixture: Required<Fixture>;
    let repository: SessionRepository;
    beforeEach(async () => {
      fixture = await make();
      repository = fixture.repository;
    });
    afterEach(() => fixture.dispose());

    const claim = async (partition = 0) => (await repository.claim(partition, deployment)).epoch;

    it('keeps sessions, marks, epochs, the longest lease and the deployment over a restart', async () => {
      expect(await repository.deployment()).toBeUndefined();
      await repository.claim(0, { ...deployment, leaseMs: 9_000 });
      await repository.apply(0, 1, [write('s', 'head', { cart: 'apple' }, { was: undefined, is: 10 })]);
      repository = await fixture.reopen();
      expect(await repository.deployment()).toEqual({ partitions: 4, hash: 1 });
      expect(await marks(repository, 0)).toEqual([['s', 10]]);
      expect(await stored(repository, 0, ['s'])).toEqual({ s: ['head', { cart: 'apple' }] });
      await expect(repository.claim(0, { ...deployment, partitions: 8 })).rejects.toThrow('4 partitions');
      expect(await repository.claim(0, deployment)).toEqual({ epoch: 2, previous: 1, longestLeaseMs: 9_000 });
    });

    it('keeps epochs that are times over a restart, and counts on from them when the clock is behind', async () => {
      const now = 1_795_000_000_000;
      await repository.claim(0, deployment, now);
      repository = await fixture.reopen();
      const claim = await repository.claim(0, deployment, now - 3_600_000);
      expect(claim).toMatchObject({ epoch: now + 1, previous: now });
    });

    it('refuses writes of an owner from before a restart', async () => {
      const epoch = await claim();
      repository = await fixture.reopen();
      await expect(repository.apply(0, epoch, [write('s', 'x')])).rejects.toThrow('claim it anew');
      expect(await stored(repository, 0, ['s'])).toEqual({});
    });

    it('finishes at close() all earlier calls, and refuses later ones', async () => {
      const epoch = await claim();
      const before = [
        repository.apply(0, epoch, [write('s', '1')]),
        repository.load(0, ['s']),
        repository.due(0, 0, 1),
        repository.close(),
      ];
      const after = [
        repository.apply(0, epoch, []),
        repository.load(0, ['s']),
        repository.due(0, 0, 1),
        repository.claim(0, deployment),
        repository.applyAll([{ partition: 0, epoch, writes: [] }]).then(([error]) => Promise.reject(error)),
      ];
      for (const { reason } of (await Promise.allSettled(after)) as PromiseRejectedResult[])
        expect(reason).toMatchObject({
          name: 'RepositoryError',
          message: expect.stringContaining('is not open'),
        });
      await Promise.all(before);
      repository = await fixture.reopen();
      expect(await stored(repository, 0, ['s'])).toEqual({ s: ['1', {}] });
    });
  });
}
