/** The embedded repository and its directory: other processes at it, a process killed over it, and what can be wrong with it. */
import { mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LevelRepository, RepositoryError, type LevelRepositorySettings } from '#repository';
import { deployment, marks, stored, write } from './repository.place.js';
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

async function refusal(place = directory): Promise<string> {
  const error: unknown = await new LevelRepository({ directory: place })
    .open()
    .catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(RepositoryError);
  return (error as Error).message;
}

it('opens for one at a time, of this process and of all', async () => {
  await using(async (repository, epoch) => {
    const link = join(parent, 'link');
    await symlink(directory, link);
    for (const place of [directory, link])
      expect(await refusal(place)).toContain('another process has it open');
    // After the refusals within the process, which must not cost it the lock.
    const { stderr } = await writer({ durability: 'process' }).ended;
    expect(stderr).toContain('another process has it open');
    await repository.apply(0, epoch, [write('s', 'x')]);
  });
  await using((repository) => repository.load(0, ['s']));
});

it.each(['process', 'disk'] as const)(
  'keeps what it acknowledged before a SIGKILL, each apply whole or absent (%s)',
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
        expect(epoch).toBe(2 * round); // the writer's claims, and these
        const due = await marks(repository, 0);
        for (const [lane, last] of acknowledged) {
          const sides = [`${lane}-left`, `${lane}-right`];
          const [left, right] = Object.values(await stored(repository, 0, sides));
          const number = Number(left![0]);
          expect(number - last).toBeOneOf([0, 1]); // a lane has one apply under way
          const large = Buffer.alloc(40_000, `${number}`).toString();
          expect(left).toEqual([`${number}`, { small: `${number}`, large }]);
          expect(right).toEqual(left);
          const marked = due.filter(([id]) => sides.includes(id));
          expect(marked).toEqual(sides.map((side) => [side, number])); // by id within a mark, as LevelDB's keys are
        }
      });
    }
  },
);

describe('says what is wrong, and what to do', () => {
  const raw = async (key: string, value: string) => {
    const level = new ClassicLevel(directory);
    await level.put(key, value);
    await level.close();
  };
  const aTable = async () => (await readdir(directory)).find((file) => file.endsWith('.ldb'))!;

  it('where the directory cannot be made', async () => {
    await writeFile(directory, '');
    expect(await refusal(join(directory, 'below'))).toMatch(/this process may write.*ENOTDIR/);
  });

  it.each([
    ['the table of contents is garbage', () => writeFile(join(directory, 'CURRENT'), 'garbage')],
    ['the table of contents is gone', () => rm(join(directory, 'CURRENT'))],
    ['a table is gone', async () => rm(join(directory, await aTable()))],
    ['a row is garbage', () => raw('partition 0', '{')],
  ])('where %s', async (_, damage) => {
    for (const head of ['1', '2'])
      await using((repository, epoch) => repository.apply(0, epoch, [write('s', head)]));
    await damage();
    expect(await refusal()).toMatch(/damaged.*restart the app servers/);
    expect(await refusal()).toMatch(/damaged/); // the first attempt has made nothing anew
  });

  it('where a newer program has written', async () => {
    await raw('layout', '{"version":2,"program":"7.8.9"}');
    expect(await refusal()).toContain('run locked-session 7.8.9 or newer');
  });

  it('where another program keeps its data', async () => {
    await raw('any', 'thing');
    expect(await refusal()).toContain('another program');
  });
});
