/** The generation of the embedded repository's data. Missing data stop the start, and nothing else does. */
import { cp, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LevelRepository, type LevelRepositorySettings } from '#repository';
import { deployment, stored, write } from './repository.fixture.js';

let parent: string;
let directory: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'locked-session-'));
  directory = join(parent, 'data');
});
afterEach(() => rm(parent, { recursive: true }));

const file = (name: string) => join(directory, name);

async function using<T>(
  run: (repository: LevelRepository, epoch: number) => Promise<T>,
  settings: LevelRepositorySettings = {},
): Promise<T> {
  const repository = new LevelRepository({ directory, checkEveryMs: 100, ...settings });
  await repository.open();
  try {
    return await run(repository, (await repository.claim(0, deployment)).epoch);
  } finally {
    await repository.close();
  }
}

/** Writes and closes three times, so that there are tables and a log. */
async function write3(): Promise<void> {
  for (const head of ['1', '2', '3'])
    await using((repository, epoch) => repository.apply(0, epoch, [write('s', head)]));
}

async function newestLog(): Promise<string> {
  return file(
    (await readdir(directory))
      .filter((name) => name.endsWith('.log'))
      .toSorted()
      .at(-1)!,
  );
}

it.each([
  ['gone', async () => rm(await newestLog())],
  ['cut', async () => truncate(await newestLog(), Math.floor((await stat(await newestLog())).size / 2))],
])(
  'a log file that is %s stops the start with a remedy, until acceptOlderData has accepted it',
  async (_what, harm) => {
    await write3();
    await harm();
    for (let turn = 0; turn < 2; turn += 1)
      await expect(using(async () => {})).rejects.toThrow(
        /older than what was on disk there \(generation \d+ instead of \d+\).*--accept-older-data.*restart the app servers/,
      );
    await using(async () => {}, { acceptOlderData: true });
    await using((repository, epoch) => repository.apply(0, epoch, [write('s', 'goes on')]));
    expect(await using((repository) => stored(repository, 0, ['s']))).toEqual({ s: ['goes on', {}] });
  },
);

it('each sync writes the file after the row, never before it', async () => {
  const seen: number[] = [];
  await using(
    async (repository, epoch) => {
      for (let n = 0; n < 20; n += 1) {
        await repository.apply(0, epoch, [write('s', `${n}`)]);
        seen.push(Number((await readFile(file('GENERATION'), 'utf8').catch(() => '0')).slice(0, 16)));
      }
    },
    { durability: 'disk' },
  );
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  seen.forEach((generation, n) => expect(generation).toBeLessThanOrEqual(n + 2)); // the claim is the first
  expect(Number((await readFile(file('GENERATION'), 'utf8')).slice(0, 16))).toBe(21);
});

it.each([
  ['lost at a loss of power', () => rm(file('GENERATION'))],
  ['empty after one', () => writeFile(file('GENERATION'), '')],
  ['of zeros after one', () => writeFile(file('GENERATION'), Buffer.alloc(64))],
  ['older than the row', async (old: string) => writeFile(file('GENERATION'), old)],
])('a file that is %s does not stop the start', async (_what, harm) => {
  await using(async () => {});
  const old = await readFile(file('GENERATION'), 'utf8');
  await write3();
  await harm(old);
  expect(await using((repository) => stored(repository, 0, ['s']))).toEqual({ s: ['3', {}] });
});

it('a copy of the directory of a running store can be opened in each order of copying', async () => {
  await using(async (repository, epoch) => {
    await repository.apply(0, epoch, [write('s', 'in the copy')]);
    await cp(directory, join(parent, 'copy'), { recursive: true });
    await repository.claim(0, deployment); // a sync between the copies of the log and of the file
  });
  await cp(file('GENERATION'), join(parent, 'copy', 'GENERATION'));
  directory = join(parent, 'copy');
  expect(await using((repository) => stored(repository, 0, ['s']))).toEqual({ s: ['in the copy', {}] });
});
