/**
 * The owner of the embedded repository's directory, with real processes: its LOCK is removed, it is deleted,
 * its owner is stopped. An owner acknowledges nothing that the next one does not find.
 */
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { LevelRepository, InUseError, type RepositoryEvents } from '#repository';
import { deployment, stored, write } from './repository.fixture.js';
import { startWriter } from './repository.writer.js';

const checkEveryMs = 200;
const settings = { checkEveryMs, durability: 'process' } as const;

let parent: string;
let directory: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'locked-session-'));
  directory = join(parent, 'data');
});
afterEach(async () => {
  await Promise.all(ends.splice(0).map((end) => end()));
  await rm(parent, { recursive: true });
});

/** Each ends a process of the test, which would else write into the directory while it is removed. */
const ends: (() => Promise<unknown>)[] = [];

const file = (name: string) => join(directory, name);

/** A process that writes, and its acknowledged changes in their order. */
function writer({ standBy = false, ...more }: { standBy?: boolean; checkEveryMs?: number } = {}) {
  const given = { directory, ...settings, ...more };
  const { child, lines, ended } = startWriter('LevelRepository', given, { standBy });
  ends.push(() => (child.kill('SIGKILL'), ended));
  const acknowledged: string[] = [];
  const waiting: [count: number, go: () => void][] = [];
  const read = (async () => {
    for await (const line of lines) {
      acknowledged.push(line);
      for (const [count, go] of waiting) if (acknowledged.length >= count) go();
    }
  })();
  return {
    child,
    acknowledged,
    until: (count: number) => new Promise<void>((go) => void waiting.push([count, go])),
    ended: ended.then(async (how) => (await read, how)),
  };
}

/** The last acknowledged number of each lane, of all stores together. */
function lastOf(...lists: readonly string[][]): Map<string, number> {
  const all = lists.flat();
  expect(new Set(all).size).toBe(all.length); // no change is acknowledged twice
  const last = new Map<string, number>();
  for (const line of all) {
    const [lane, number] = line.split(' ') as [string, string];
    last.set(lane, Math.max(Number(number), last.get(lane) ?? 0));
  }
  return last;
}

async function expectNothingLost(acknowledged: Map<string, number>): Promise<void> {
  const repository = new LevelRepository({ directory });
  await repository.open();
  onTestFinished(() => repository.close());
  for (const [lane, last] of acknowledged) {
    const [session] = Object.values(await stored(repository, 0, [`${lane}-left`]));
    expect(Number(session![0]) - last).toBeOneOf([0, 1]);
  }
}

const noted = () => {
  const waits: string[] = [];
  const lost: string[] = [];
  const events: RepositoryEvents = {
    waits: (why) => void waits.push(why),
    lost: ({ message }) => void lost.push(message),
  };
  return { waits, lost, events };
};

async function opened(events?: RepositoryEvents): Promise<LevelRepository> {
  const repository = new LevelRepository({ directory, ...settings });
  onTestFinished(() => repository.close());
  await repository.open(events);
  return repository;
}

describe('two stores on one directory whose LOCK was removed', () => {
  it('lose and double no acknowledged change, since the first one stops before the second one opens', async () => {
    const first = writer();
    await first.until(200);
    await rm(file('LOCK'));
    const second = writer();
    const { stderr } = await first.ended;
    expect(stderr).toMatch(/is no longer this store's: (another store has taken it|its file LOCK was)/);
    await second.until(200);
    second.child.kill('SIGKILL');
    await second.ended;
    await expectNothingLost(lastOf(first.acknowledged, second.acknowledged));
  });

  it('acknowledge nothing more in the first one when it was stopped meanwhile', async () => {
    const first = writer();
    await first.until(200);
    first.child.kill('SIGSTOP');
    await rm(file('LOCK'));
    const second = writer();
    await second.until(200);
    first.child.kill('SIGCONT');
    const { stderr } = await first.ended;
    expect(stderr).toContain('another store has taken it');
    second.child.kill('SIGKILL');
    await second.ended;
    await expectNothingLost(lastOf(first.acknowledged, second.acknowledged));
  });
});

describe('a running store whose directory', () => {
  it.each([
    ['is deleted', () => rm(directory, { recursive: true }), 'deleted, moved away or unmounted'],
    ['is moved away', () => rename(directory, `${directory}-away`), 'deleted, moved away or unmounted'],
    ['loses its CURRENT', () => rm(file('CURRENT')), 'CURRENT was removed'],
    ['loses its OWNER', () => rm(file('OWNER')), 'OWNER was removed'],
    [
      'is replaced by a copy',
      async () => {
        await cp(directory, `${directory}-copy`, { recursive: true });
        await rename(directory, `${directory}-away`);
        await rename(`${directory}-copy`, directory);
      },
      'LOCK was replaced',
    ],
  ])('%s acknowledges nothing after the interval, and reports it once', async (_what, harm, why) => {
    const { lost, events } = noted();
    const repository = await opened(events);
    const { epoch } = await repository.claim(0, deployment);
    await harm();
    await expect.poll(() => lost).toEqual([expect.stringContaining(why)]);
    for (const call of [
      repository.apply(0, epoch, [write('s', 'x')]),
      repository.apply(0, epoch, []),
      repository.claim(0, deployment),
      repository.load(0, ['s']),
    ])
      await expect(call).rejects.toThrow("is no longer this store's");
    expect(lost).toHaveLength(1);
  });
});

describe('a starter', () => {
  it('takes the directory of a killed process at once', async () => {
    const killed = writer();
    await killed.until(20);
    killed.child.kill('SIGKILL');
    await killed.ended;
    const { waits, events } = noted();
    await opened(events);
    expect(waits).toEqual([]);
  });

  it('takes a new directory at once, and one that was closed in order', async () => {
    const { waits, events } = noted();
    for (let turn = 0; turn < 3; turn += 1) await (await opened(events)).close();
    expect(waits).toEqual([]);
  });

  it.each([
    ['of another machine', { kernel: 'another' }, /process 7 on elsewhere may still have it/],
    ['with another LOCK', { lock: '1:1' }, /may still have it/],
    ['of one that waited when it was killed', { lock: null }, /is about to take it/],
  ])('waits for twice the interval when it finds a stamp %s', async (_what, change, why) => {
    await (await opened()).close();
    const left = JSON.parse(await readFile(file('CLOSED'), 'utf8')) as object;
    const stamp = { ...left, owner: 'x', pid: 7, host: 'elsewhere', ...change };
    await rename(file('CLOSED'), file('OWNER'));
    await writeFile(file('OWNER'), JSON.stringify(stamp));
    const { waits, events } = noted();
    const began = performance.now();
    await opened(events);
    expect(performance.now() - began).toBeGreaterThanOrEqual(2 * checkEveryMs);
    expect(waits[0]).toMatch(why);
  });

  it('waits when the stamp of a used directory is missing', async () => {
    await (await opened()).close();
    await rm(file('CLOSED'));
    const { waits, events } = noted();
    await opened(events);
    expect(waits).toEqual([expect.stringContaining('it has no stamp of an owner')]);
  });

  it('that could not be sure moves the files, so that a former owner finds none of them', async () => {
    const unsure = async () => {
      await rm(file('CLOSED'));
      return opened();
    };
    const head = async (repository: LevelRepository) => {
      const { epoch } = await repository.claim(0, deployment);
      const before = Object.keys(await stored(repository, 0, ['s', `${epoch - 1}`])).toSorted();
      await repository.apply(0, epoch, [write('s', `${epoch}`), write(`${epoch}`, 'x')]);
      await repository.close();
      return before;
    };
    const data = async (folder: string) =>
      (await readdir(folder)).filter((name) => /^\d+\.|^CURRENT|^M/.test(name));
    await head(await opened());
    await writeFile(file('000777.ldb'), 'the beginning of a table');
    const first = await unsure();
    expect(await data(directory)).toEqual([]);
    expect(await data(file('files-1'))).not.toContain('000777.ldb');
    expect(await head(first)).toEqual(['1', 's']);
    expect(await head(await opened())).toEqual(['2', 's']); // closed in order, so the files stay
    expect(await head(await unsure())).toEqual(['3', 's']);
    expect((await readdir(directory)).filter((name) => name.startsWith('files-'))).toEqual(['files-2']);

    // The next move was interrupted. Some files are there already, but not CURRENT.
    await mkdir(file('files-3'));
    for (const name of await data(file('files-2')))
      if (name.endsWith('.log')) await rename(file(`files-2/${name}`), file(`files-3/${name}`));
    expect(await head(await unsure())).toEqual(['4', 's']);
  });

  it('stands by, and takes nothing, while another process holds the lock', async () => {
    const owner = writer();
    await owner.until(20);
    // Another machine sees this on a network file system whose locks work.
    const stamp = JSON.parse(await readFile(file('OWNER'), 'utf8')) as object;
    const text = JSON.stringify({ ...stamp, kernel: 'another' });
    await writeFile(file('OWNER'), text);
    await expect(opened()).rejects.toThrow(InUseError);
    expect(await readFile(file('OWNER'), 'utf8')).toBe(text);
  });

  it('gives way to another starter that came while it waited', async () => {
    await (await opened()).close();
    await rm(file('CLOSED'));
    // The other one comes within the call, before the wait can end.
    const waits = () => {
      const stamp = JSON.parse(readFileSync(file('OWNER'), 'utf8')) as object;
      writeFileSync(file('OWNER'), JSON.stringify({ ...stamp, owner: 'another' }));
    };
    await expect(opened({ waits, lost: () => {} })).rejects.toBeInstanceOf(InUseError);
  });

  it.each(['has the directory now', 'has moved the files and was killed'])(
    'gives way to the starter that it waited for when that one %s',
    async (how) => {
      await (await opened()).close();
      const stamp = JSON.parse(await readFile(file('CLOSED'), 'utf8')) as object;
      await rm(file('CLOSED'));
      await writeFile(
        file('OWNER'),
        JSON.stringify({ ...stamp, host: 'elsewhere', owner: 'another', lock: null }),
      );
      const settles = () => writeFileSync(file('OWNER'), JSON.stringify({ ...stamp, owner: 'another' }));
      const moves = () => {
        mkdirSync(file('files-1'));
        for (const name of readdirSync(directory).filter((one) => !/^(OWNER|GENERATION|files-)/.test(one)))
          renameSync(file(name), file(`files-1/${name}`));
      };
      const waits = how.startsWith('has the') ? settles : moves;
      await expect(opened({ waits, lost: () => {} })).rejects.toBeInstanceOf(InUseError);
    },
  );

  it('is stopped by close while it waits', async () => {
    await (await opened()).close();
    await rm(file('CLOSED'));
    const { waits, events } = noted();
    const repository = new LevelRepository({ directory, ...settings, checkEveryMs: 60_000 });
    const opening = repository.open(events).catch((error: unknown) => error);
    await expect.poll(() => waits.length).toBe(1);
    await repository.close();
    expect(await opening).toMatchObject({ message: `${directory} was closed before it was open` });
  });
});

it('one of several unsure starters gets the directory, and another one when that is killed', async () => {
  const first = writer();
  await first.until(50);
  await rm(file('LOCK'));
  // A starter that a busy machine keeps from its stamp for twice this time has lost the directory, and ends.
  const checkEveryMs = 1_000;
  const others = Array.from({ length: 3 }, () => writer({ standBy: true, checkEveryMs }));
  await first.ended;
  const killed = new Set<number>();
  for (let turn = 0; turn < 2; turn += 1) {
    const left = others.filter((_, i) => !killed.has(i));
    const owner = await Promise.race(left.map(async (one) => (await one.until(50), one)));
    expect(left.filter(({ child }) => child.exitCode !== null)).toEqual([]);
    expect(left.filter(({ acknowledged }) => acknowledged.length > 0)).toEqual([owner]);
    owner.child.kill('SIGKILL');
    await owner.ended;
    killed.add(others.indexOf(owner));
  }
  const last = others.find((_, i) => !killed.has(i))!;
  last.child.kill('SIGKILL');
  await last.ended;
  await expectNothingLost(lastOf(first.acknowledged, ...others.map(({ acknowledged }) => acknowledged)));
});
