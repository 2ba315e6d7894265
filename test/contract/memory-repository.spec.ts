/** The repository in memory keeps the contract, and serves several stores at once. */
import { expect, it } from 'vitest';
import { EpochLostError, MemoryRepository } from '#repository';
import { expiryContract } from './expiry.contract.js';
import { repositoryContract } from './repository.contract.js';
import { deployment, stored, write } from './repository.fixture.js';

const inMemory = async () => {
  const repository = new MemoryRepository();
  await repository.open();
  return { repository, dispose: () => repository.close() };
};

repositoryContract('MemoryRepository', inMemory);
expiryContract('MemoryRepository', inMemory);

it('serves several stores at once, also after one of them has closed', async () => {
  const repository = new MemoryRepository();
  const first = (await repository.claim(0, deployment)).epoch;
  await repository.apply(0, first, [write('s', 'first')]);
  const second = (await repository.claim(0, deployment)).epoch;
  await expect(repository.apply(0, first, [write('s', 'late')])).rejects.toBeInstanceOf(EpochLostError);
  await repository.close();
  await repository.apply(0, second, [write('s', 'second')]);
  expect(await stored(repository, 0, ['s'])).toEqual({ s: ['second', {}] });
});
