/** The repository in memory keeps the contract, and serves several stores at once. */
import { expect, it } from 'vitest';
import { EpochLostError, MemoryRepository } from '#repository';
import { repositoryContract } from './repository.contract.js';
import { deployment, stored, write } from './repository.place.js';

repositoryContract('MemoryRepository', async () => {
  const repository = new MemoryRepository();
  await repository.open();
  return { repository, dispose: () => repository.close() };
});

it('serves several stores at once, and outlives the close of one', async () => {
  const repository = new MemoryRepository();
  const first = (await repository.claim(0, deployment)).epoch;
  await repository.apply(0, first, [write('s', 'first')]);
  const second = (await repository.claim(0, deployment)).epoch;
  await expect(repository.apply(0, first, [write('s', 'late')])).rejects.toBeInstanceOf(EpochLostError);
  await repository.close();
  await repository.apply(0, second, [write('s', 'second')]);
  expect(await stored(repository, 0, ['s'])).toEqual({ s: ['second', {}] });
});
