/** What those adapters of `SessionRepository` promise besides whose state outlives their process, a scenario each. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { SessionRepository } from '#repository';
import { deployment, marks, stored, write, type Place } from './repository.place.js';

export function lastingRepositoryContract(name: string, make: () => Promise<Required<Place>>): void {
  describe(`${name} outlives its process`, () => {
    let place: Required<Place>;
    let repository: SessionRepository;
    beforeEach(async () => {
      place = await make();
      repository = place.repository;
    });
    afterEach(() => place.dispose());

    const claim = async (partition = 0) => (await repository.claim(partition, deployment)).epoch;

    it('keeps everything over a restart: sessions, marks, epochs, the longest lease and what the deployment is', async () => {
      expect(await repository.deployment()).toBeUndefined();
      await repository.claim(0, { ...deployment, leaseMs: 9_000 });
      await repository.apply(0, 1, [write('s', 'head', { cart: 'apple' }, { was: undefined, is: 10 })]);
      repository = await place.reopen();
      expect(await repository.deployment()).toEqual({ partitions: 4, hash: 1 });
      expect(await marks(repository, 0)).toEqual([['s', 10]]);
      expect(await stored(repository, 0, ['s'])).toEqual({ s: ['head', { cart: 'apple' }] });
      await expect(repository.claim(0, { ...deployment, partitions: 8 })).rejects.toThrow('4 partitions');
      expect(await repository.claim(0, deployment)).toEqual({ epoch: 2, longestLeaseMs: 9_000 });
    });

    it('takes no write of an owner from before a restart', async () => {
      const epoch = await claim();
      repository = await place.reopen();
      await expect(repository.apply(0, epoch, [write('s', 'x')])).rejects.toThrow('claim it anew');
      expect(await stored(repository, 0, ['s'])).toEqual({});
    });

    it('finishes on close what was called before, and refuses what is called after', async () => {
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
      ];
      for (const { reason } of (await Promise.allSettled(after)) as PromiseRejectedResult[])
        expect(reason).toMatchObject({
          name: 'RepositoryError',
          message: expect.stringContaining('is not open'),
        });
      await Promise.all(before);
      repository = await place.reopen();
      expect(await stored(repository, 0, ['s'])).toEqual({ s: ['1', {}] });
    });
  });
}
