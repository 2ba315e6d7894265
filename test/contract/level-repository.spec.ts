/**
 * The embedded repository keeps the contract in each of its settings. Also its batches, syncs and failed
 * writes.
 */
import { mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { LevelRepository, RepositoryError, type LevelRepositorySettings } from '#repository';
import { expiryContract } from './expiry.contract.js';
import { repositoryContract } from './repository.contract.js';
import { lastingRepositoryContract } from './repository.lasting.js';
import { deployment, stored, write } from './repository.fixture.js';

/** A batch of LevelDB, as the repository writes it. */
interface ChainedBatch {
  readonly length: number;
  write(options: { sync: boolean }): Promise<void>;
}

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
expiryContract('LevelRepository', inTemporary({}));

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

  /** Returns a function that takes the batches that LevelDB was given since. */
  const watchBatches = () => {
    const written: { rows: number; sync: boolean }[] = [];
    const make = ClassicLevel.prototype.batch as (this: unknown, ...of: unknown[]) => ChainedBatch;
    vi.spyOn(ClassicLevel.prototype, 'batch').mockImplementation(function (this: unknown, ...of: unknown[]) {
      const batch = make.apply(this, of);
      if (of.length > 0) return batch as never;
      const write = batch.write.bind(batch);
      batch.write = (options) => {
        written.push({ rows: batch.length, sync: options.sync });
        return write(options);
      };
      return batch as never;
    });
    return () => written.splice(0);
  };

  it('writes the applies of one turn of the event loop in one batch, up to the limit of a batch', async () => {
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

  it('writes a row once when it changes often within a batch', async () => {
    const epoch = await claim();
    const batches = watchBatches();
    await Promise.all(['1', '2', '3'].map((n) => repository.apply(0, epoch, [write('s', n, { cart: n })])));
    expect(batches()).toEqual([{ rows: 2, sync: false }]);
  });

  it('writes many partitions in one batch, in which a lost epoch is not', async () => {
    const [mine, lost, other] = [await claim(0), await claim(1), await claim(2)];
    await claim(1);
    const batches = watchBatches();
    const at = (partition: number, epoch: number) => ({
      partition,
      epoch,
      writes: [write('s', '1', { x: 'x' })],
    });
    await repository.applyAll([at(0, mine), at(1, lost), at(2, other)]);
    expect(batches()).toEqual([{ rows: 4, sync: false }]);
  });

  it('fails all partitions of a batch that fails, and each works again after its claim', async () => {
    const epochs = [await claim(0), await claim(1)];
    const full = Object.assign(new Error('no space'), { code: 'LEVEL_IO_ERROR' });
    const failing = { put: () => {}, write: () => Promise.reject(full) };
    vi.spyOn(ClassicLevel.prototype, 'batch').mockReturnValueOnce(failing as never);
    const all = epochs.map((epoch, partition) => ({ partition, epoch, writes: [write('s', 'lost')] }));
    const errors = await repository.applyAll(all);
    expect(errors).toEqual([expect.any(RepositoryError), expect.any(RepositoryError)]);
    const again = [await claim(0), epochs[1]!].map((epoch, partition) => ({
      partition,
      epoch,
      writes: [write('s', 'again')],
    }));
    expect(await repository.applyAll(again)).toEqual([
      undefined,
      expect.objectContaining({ message: expect.stringContaining('claim it anew') }),
    ]);
    expect(await stored(repository, 0, ['s'])).toEqual({ s: ['again', {}] });
  });

  it('syncs each claim, with `disk` each write, and with `process` a second after the first write', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const batches = watchBatches();
    const syncs = () => batches().map(({ sync }) => sync);

    const epoch = await claim();
    for (const head of ['1', '2']) await repository.apply(0, epoch, [write('s', head)]);
    vi.advanceTimersByTime(1_000);
    await repository.apply(0, epoch, []); // waits behind the sync
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

  it('writes nothing after a failed write before the next claim, and nothing of an older owner after that', async () => {
    const [mine, other] = [await claim(0), await claim(1)];
    const full = Object.assign(new Error('no space'), { code: 'LEVEL_IO_ERROR' });
    const failing = { put: () => {}, write: () => Promise.reject(full) }; // LevelDB would write again
    vi.spyOn(ClassicLevel.prototype, 'batch').mockReturnValueOnce(failing as never);
    await expect(repository.apply(0, mine, [write('s', 'fails')])).rejects.toThrow('that the disk has room');
    await expect(repository.apply(1, other, [write('s', 'behind')])).rejects.toThrow('cannot say');
    await claim(1);
    await expect(repository.apply(0, mine, [write('s', 'overtakes')])).rejects.toThrow('claim it anew');
    await repository.apply(0, await claim(), []);
    expect([await stored(repository, 0, ['s']), await stored(repository, 1, ['s'])]).toEqual([{}, {}]);
  });

  it('fails all calls after a failed write, and works again after a claim', async () => {
    await repository.close();
    // With a shorter time it may notice that its directory is missing.
    repository = await opened(directory, { checkEveryMs: 60_000 });
    const [mine, other] = [await claim(0), await claim(1)];
    const elsewhere = join(parent, 'elsewhere');
    await rename(directory, elsewhere); // LevelDB can still write in its open log, but cannot begin a new one
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
    await expect(claim()).rejects.toThrow('cannot open'); // and it makes no new directory

    await rename(elsewhere, directory);
    expect(await claim()).toBe(2);
    const kept = Object.keys(await stored(repository, 0, ids)).toSorted();
    expect(kept.slice(0, failed)).toEqual(ids.slice(0, failed));
    await expect(repository.apply(1, other, [write('behind', 'x')])).rejects.toThrow('claim it anew');
    await repository.apply(1, await claim(1), [write('again', 'x')]);
    expect(await stored(repository, 1, ['behind', 'again'])).toEqual({ again: ['x', {}] });
  });
});
