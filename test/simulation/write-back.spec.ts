/** What the write policies promise (rule 20), at a crash above all: real drivers on virtual time. */
import { describe, expect, it } from 'vitest';
import type { LockedSessions } from '#locked-session';
import { Deployment } from './deployment.js';

interface Lists {
  get(name: string): readonly string[] | undefined;
  draft(name: string, initial: () => string[]): string[];
  commit(): Promise<void>;
}

const append = (holder: LockedSessions, mark: string, commits = false) =>
  holder.run('s', { write: ['a'] }, async (session) => {
    const lists = session as unknown as Lists;
    lists.draft('a', () => []).push(mark);
    if (commits) await lists.commit();
  });
const read = (holder: LockedSessions) =>
  holder.run('s', { read: ['a'], waitMs: 30_000 }, (session) => (session as unknown as Lists).get('a'));

async function scene(writeBackMs: number) {
  const deployment = new Deployment({ holder: { writeBackMs } });
  await deployment.start();
  const [one, two] = [await deployment.holder('one'), await deployment.holder('two')];
  const until = <T>(promise: Promise<T>) => deployment.until(promise);
  await until(append(one, 'first', true));
  const commits = () => one.counters().messagesSent;
  return { deployment, world: deployment.world, one, two, until, commits };
}

describe('write-back', () => {
  it('gives the result before anything is sent, and sends all changes in one within writeBackMs', async () => {
    const { world, one, until, commits } = await scene(1_000);
    const [before, since] = [commits(), world.time];
    for (const mark of ['x', 'y', 'z']) await until(append(one, mark));
    expect(world.time - since, 'no round trip').toBeLessThan(1);
    expect(commits()).toBe(before);
    await world.run(() => one.counters().commits > 0 && commits() > before, 2_000);
    expect(world.time - since).toBeLessThanOrEqual(1_500);
  });

  it('sends what it holds back at once when another process asks', async () => {
    const { world, one, two, until } = await scene(60_000);
    await until(append(one, 'made'));
    const since = world.time;
    expect(await until(read(two))).toEqual(['first', 'made']);
    expect(world.time - since).toBeLessThan(100);
  });

  it('loses with a killed process what was only made, whole, and nothing that commit() acknowledged', async () => {
    const { deployment, one, two, until } = await scene(60_000);
    await until(append(one, 'committed', true));
    await until(append(one, 'made'));
    deployment.kill('one');
    expect(await until(read(two))).toEqual(['first', 'committed']);
  });

  it('an orderly end gives everything to the store', async () => {
    const { one, two, until } = await scene(60_000);
    await until(append(one, 'made'));
    await until(one.close());
    expect(await until(read(two))).toEqual(['first', 'made']);
  });
});

describe('write-through', () => {
  it('loses nothing with a killed process whose result was given', async () => {
    const { deployment, one, two, until } = await scene(0);
    await until(append(one, 'acknowledged'));
    deployment.kill('one');
    expect(await until(read(two))).toEqual(['first', 'acknowledged']);
  });
});
