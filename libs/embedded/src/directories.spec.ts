/** Which application of a process has a data directory, and what becomes of those that wait for it. */
import { describe, expect, it } from 'vitest';
import { claimDirectory } from './directories.js';

const directory = '/nowhere/sessions';
const silent = () => {};

describe('the directories of a process', () => {
  it('one that an application keeps, since its start has failed for example, is waited for so long, and then named', async () => {
    const release = await claimDirectory(directory, {}, 10, silent);
    const lines: string[] = [];
    await expect(claimDirectory(directory, {}, 10, (line) => lines.push(line))).rejects.toMatchObject({
      code: 'settings',
      message: expect.stringMatching(/"\/nowhere\/sessions".*start has failed/) as string,
    });
    expect(lines).toEqual([expect.stringMatching(/standing by: another application of this process/)]);
    release();
    (await claimDirectory(directory, {}, 10, silent))();
  });

  it('those that wait get it one after the other', async () => {
    const release = await claimDirectory(directory, {}, 60_000, silent);
    let owners = 0;
    let served = 0;
    const waiter = async (waits: () => void) => {
      const next = await claimDirectory(directory, {}, 60_000, waits);
      owners += 1;
      expect(owners).toBe(1);
      await new Promise(setImmediate);
      owners -= 1;
      served += 1;
      next();
    };
    // Which of two is first depends on the file system's answers, so each says that it waits before the
    // release.
    const ends: Promise<void>[] = [];
    for (let waiting = 0; waiting < 3; waiting += 1)
      await new Promise<void>((waits) => ends.push(waiter(waits)));
    expect(served).toBe(0);
    release();
    await Promise.all(ends);
    expect(served).toBe(3);
  });
});
