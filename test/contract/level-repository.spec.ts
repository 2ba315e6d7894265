/** The embedded repository keeps the contract in each of its settings; and its batches, syncs and failed writes. */
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LevelRepository, RepositoryError, type LevelRepositorySettings } from '#repository';
import { repositoryContract } from './repository.contract.js';
import { lastingRepositoryContract } from './repository.lasting.js';
import { deployment, stored, write } from './repository.place.js';

const temporary = () => mkdtemp(join(tmpdir(), 'locked-session-'));

async function opened(directory: string, settings: LevelRepositorySettings = {}): Promise<LevelRepository> {
  const repository = new LevelRepository({ directory, ...settings });
  await repository.open();
  return repository;
}

const inTemporary = (settings: LevelRepositorySettings) => async () => {
  const directory = await temporary();
  let repository = await opened(directory, settings);
  return {
    repository,
    async reopen() {
      await repository.close();
      return (repository = await opened(directory, settings));
    },
    async dispose() {
      await repository.close();
      await rm(directory, { recursive: true });
    },
  };
};

for (const settings of [
  { durability: 'process' },
  { durability: 'disk' },
  { durability: 'process', batchRows: 2, syncEveryMs: 0 },
] as const)
  repositoryContract(`LevelRepository ${JSON.stringify(settings)}`, inTemporary(settings), { runs: 25 });
lastingRepositoryContract('LevelRepository', inTemporary({}));

describe('LevelRepository', () => {
  let parent: string;
  let directory: string;
  let repository: LevelRepository;
  beforeEach(async () => {
    parent = await temporary();
    directory = join(parent, 'made', 'when', 'missing');
    repository = await opened(directory);
  });
  afterEach(async () => {
    vi.useRealTimers();
    vi.restoreAllMocks();
    await repository.close();
    await rm(parent, { recursive: true });
  });

  const claim = async (partition = 0) => (await repository.claim(partition, deployment)).epoch;

  /** Returns a function that takes the batches which LevelDB was given since. */
  const watchBatches = () => {
    const { calls } = vi.spyOn(ClassicLevel.prototype, 'batch').mock;
    return () =>
      (calls.splice(0) as unknown as [rows: unknown[], { sync: boolean }][]).map(([rows, { sync }]) => ({
        rows: rows.length,
        sync,
      }));
  };

  it('writes in one batch what arrives in one turn, as far as a batch goes', async () => {
    const batches = watchBatches();
    const sizes = async (settings: LevelRepositorySettings) => {
      const other = await opened(await mkdtemp(join(parent, 'other-')), settings);
      const { epoch } = await other.claim(0, deployment);
      batches();
      await Promise.all(
        ['a', 'b', 'c', 'd', 'e'].map((id) => other.apply(0, epoch, [write(id, 'x'.repeat(100))])),
      );
      const sizes = batches().map(({ rows }) => rows);
      await other.close();
      return sizes;
    };
    expect(await sizes({})).toEqual([5]);
    expect(await sizes({ batchRows: 2 })).toEqual([2, 2, 1]);
    expect(await sizes({ batchBytes: 300 })).toEqual([3, 2]);
  });

  it('writes a row once that changes often within a batch', async () => {
    const epoch = await claim();
    const batches = watchBatches();
    await Promise.all(['1', '2', '3'].map((n) => repository.apply(0, epoch, [write('s', n, { cart: n })])));
    expect(batches()).toEqual([{ rows: 2, sync: false }]);
  });

  it('syncs every claim, with `disk` every write, and with `process` a second after the first', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const batches = watchBatches();
    const syncs = () => batches().map(({ sync }) => sync);

    const epoch = await claim();
    for (const head of ['1', '2']) await repository.apply(0, epoch, [write('s', head)]);
    vi.advanceTimersByTime(1_000);
    await repository.apply(0, epoch, []); // waits in line behind the sync
    expect(syncs()).toEqual([true, false, false, true]);
    vi.advanceTimersByTime(60_000);
    await repository.apply(0, epoch, [write('s', '3')]);
    await repository.close();
    expect(syncs()).toEqual([false, true]);

    repository = await opened(directory, { durability: 'disk' });
    await repository.apply(0, await claim(), [write('s', '4')]);
    await repository.close();
    expect(syncs()).toEqual([true, true]);
  });

  it('writes nothing behind a failed write before a claim, and nothing of an older owner after it', async () => {
    const [mine, other] = [await claim(0), await claim(1)];
    const full = Object.assign(new Error('no space'), { code: 'LEVEL_IO_ERROR' });
    vi.spyOn(ClassicLevel.prototype, 'batch').mockRejectedValueOnce(full); // then LevelDB would write again
    await expect(repository.apply(0, mine, [write('s', 'fails')])).rejects.toThrow('that the disk has room');
    await expect(repository.apply(1, other, [write('s', 'behind')])).rejects.toThrow('cannot say');
    await claim(1);
    await expect(repository.apply(0, mine, [write('s', 'overtakes')])).rejects.toThrow('claim it anew');
    await repository.apply(0, await claim(), []);
    expect([await stored(repository, 0, ['s']), await stored(repository, 1, ['s'])]).toEqual([{}, {}]);
  });

  it('fails all that is called behind a failed write, and works on once claimed anew', async () => {
    const [mine, other] = [await claim(0), await claim(1)];
    const elsewhere = join(parent, 'elsewhere');
    await rename(directory, elsewhere); // LevelDB can write on in the log that it has open, but begin no new one
    const ids = Array.from({ length: 6 }, (_, i) => `large-${i}`);
    const large = 'x'.repeat(3_000_000);
    const calls = ids.map((id) => repository.apply(0, mine, [write(id, large)]));
    const behind = repository.apply(1, other, [write('behind', 'x')]);
    const outcomes = await Promise.allSettled([...calls, behind]);
    const failed = outcomes.findIndex(({ status }) => status === 'rejected');
    expect(failed).toBeGreaterThan(0);
    for (const { reason } of outcomes.slice(failed) as PromiseRejectedResult[])
      expect(reason).toBeInstanceOf(RepositoryError);
    await expect(behind).rejects.toThrow('cannot say what of the last write is in');
    await expect(repository.load(0, ids)).rejects.toThrow('cannot say what of the last write is in');
    await expect(claim()).rejects.toThrow('cannot open'); // and makes no new directory

    await rename(elsewhere, directory);
    expect(await claim()).toBe(2);
    const kept = Object.keys(await stored(repository, 0, ids)).toSorted();
    expect(kept.slice(0, failed)).toEqual(ids.slice(0, failed));
    await expect(repository.apply(1, other, [write('behind', 'x')])).rejects.toThrow('claim it anew');
    await repository.apply(1, await claim(1), [write('again', 'x')]);
    expect(await stored(repository, 1, ['behind', 'again'])).toEqual({ again: ['x', {}] });
  });
});
