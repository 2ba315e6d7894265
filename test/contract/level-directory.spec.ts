/** The embedded repository and its directory: concurrent processes, a killed one, and damage. */
import { cp, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LevelRepository, RepositoryError, type LevelRepositorySettings } from '#repository';
import { deployment, marks, stored, write } from './repository.fixture.js';
import { startWriter } from './repository.writer.js';

let parent: string;
let directory: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'locked-session-'));
  directory = join(parent, 'data');
});
afterEach(() => rm(parent, { recursive: true }));

const writer = (settings: LevelRepositorySettings) =>
  startWriter('LevelRepository', { directory, ...settings });

async function using<T>(run: (repository: LevelRepository, epoch: number) => Promise<T>): Promise<T> {
  const repository = new LevelRepository({ directory });
  await repository.open();
  try {
    return await run(repository, (await repository.claim(0, deployment)).epoch);
  } finally {
    await repository.close();
  }
}

async function refusal(folder = directory): Promise<string> {
  const error: unknown = await new LevelRepository({ directory: folder })
    .open()
    .catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(RepositoryError);
  return (error as Error).message;
}

it('opens for one repository at a time, in this process and in others', async () => {
  await using(async (repository, epoch) => {
    const link = join(parent, 'link');
    await symlink(directory, link);
    for (const folder of [directory, link])
      expect(await refusal(folder)).toContain('another process has it open');
    // The refusals within the process must not cost it the lock.
    const { stderr } = await writer({ durability: 'process' }).ended;
    expect(stderr).toContain('another process has it open');
    await repository.apply(0, epoch, [write('s', 'x')]);
  });
  await using((repository) => repository.load(0, ['s']));
});

it.each(['process', 'disk'] as const)(
  'keeps acknowledged applies after a SIGKILL, and each other one whole or not at all (%s)',
  async (durability) => {
    const acknowledged = new Map<string, number>();
    for (let round = 1; round <= 3; round += 1) {
      const { child, lines, ended } = writer({ durability });
      let count = 0;
      for await (const line of lines) {
        const [lane, number] = line.split(' ') as [string, string];
        acknowledged.set(lane, Number(number));
        if (++count === 150) child.kill('SIGKILL');
      }
      expect(await ended).toEqual({ signal: 'SIGKILL', stderr: '' });

      await using(async (repository, epoch) => {
        expect(epoch).toBe(2 * round); // the claims of the writer and of this test
        const due = await marks(repository, 0);
        for (const [lane, last] of acknowledged) {
          const sides = [`${lane}-left`, `${lane}-right`];
          const [left, right] = Object.values(await stored(repository, 0, sides));
          const number = Number(left![0]);
          expect(number - last).toBeOneOf([0, 1]); // each lane has one apply under way
          const large = Buffer.alloc(40_000, `${number}`).toString();
          expect(left).toEqual([`${number}`, { small: `${number}`, large }]);
          expect(right).toEqual(left);
          const marked = due.filter(([id]) => sides.includes(id));
          expect(marked).toEqual(sides.map((side) => [side, number])); // LevelDB orders equal marks by id
        }
      });
    }
  },
);

it('refuses a copy of the directory of a store under load, or has each apply whole or not at all', async () => {
  let opened = 0;
  // Each copy may miss a file that LevelDB has removed meanwhile. Another load makes other copies.
  while (opened === 0) for (const copy of await copiesUnderLoad()) if (await isOpenAndWhole(copy)) opened++;
});

async function copiesUnderLoad(): Promise<string[]> {
  const { child, lines, ended } = writer({ durability: 'process' });
  const copies: string[] = [];
  let count = 0;
  for await (const _line of lines) {
    if (++count % 100 !== 0) continue;
    const copy = await mkdtemp(join(parent, 'copy-'));
    await cp(directory, copy, { recursive: true }).then(
      () => copies.push(copy),
      () => {}, // a file was removed meanwhile, and cp reports it
    );
    if (count === 600) child.kill('SIGKILL');
  }
  await ended;
  return copies;
}

/** False when the copy is refused as damaged. */
async function isOpenAndWhole(copy: string): Promise<boolean> {
  const repository = new LevelRepository({ directory: copy, checkEveryMs: 100 });
  const isOpen = await repository.open().then(
    () => true,
    (error: Error) => {
      expect(error.message).toContain('damaged');
      return false;
    },
  );
  if (!isOpen) return false;
  for (let lane = 0; lane < 8; lane += 1) {
    const sides = Object.values(await stored(repository, 0, [`${lane}-left`, `${lane}-right`]));
    expect(sides[0]).toEqual(sides[1]);
  }
  await repository.close();
  return true;
}

describe('names the fault and a remedy', () => {
  const raw = async (key: string, value: string) => {
    const level = new ClassicLevel(directory);
    await level.put(key, value);
    await level.close();
  };
  const aTable = async () => (await readdir(directory)).find((file) => file.endsWith('.ldb'))!;

  it('when the directory cannot be made', async () => {
    await writeFile(directory, '');
    expect(await refusal(join(directory, 'below'))).toMatch(/this process may write.*ENOTDIR/);
  });

  it.each([
    ['the table of contents is garbage', () => writeFile(join(directory, 'CURRENT'), 'garbage')],
    ['the table of contents is gone', () => rm(join(directory, 'CURRENT'))],
    ['a table is gone', async () => rm(join(directory, await aTable()))],
    ['a row is garbage', () => raw('partition 0', '{')],
  ])('when %s', async (_, damage) => {
    for (const head of ['1', '2'])
      await using((repository, epoch) => repository.apply(0, epoch, [write('s', head)]));
    await damage();
    expect(await refusal()).toMatch(/damaged.*restart the app servers/);
    expect(await refusal()).toMatch(/damaged/); // the first attempt has repaired nothing
  });

  it('when a newer program has written', async () => {
    await raw('layout', '{"version":2,"program":"7.8.9"}');
    expect(await refusal()).toContain('run locked-session 7.8.9 or newer');
  });

  it('when another program keeps its data there', async () => {
    await raw('any', 'thing');
    expect(await refusal()).toContain('another program');
  });
});
