/**
 * Rule 20: write-back gives results before their changes are durable, and bounds what a crash may lose.
 */
import { describe, expect, it } from 'vitest';
import { add, addDurably, read, readPatiently, run, scene } from './scene.js';

/** Two processes that write back, and a first change that is durable. */
async function writingBack(writeBackMs: number) {
  const { deployment, world, until, one, two } = await scene({ holder: { writeBackMs } });
  await until(addDurably(one, 'first'));
  return { deployment, world, until, one, two, sent: () => one.counters().messagesSent };
}

describe('rule 20: write-back', () => {
  it('gives the result before anything is sent, and sends all changes in one message within writeBackMs', async () => {
    const { world, one, until, sent } = await writingBack(1_000);
    const [before, since] = [sent(), world.time];
    for (const mark of ['x', 'y', 'z']) await until(add(one, mark));
    expect(world.time - since, 'no round trip').toBeLessThan(1);
    expect(sent()).toBe(before);
    await world.run(() => one.counters().commits > 0 && sent() > before, 2_000);
    expect(world.time - since).toBeLessThanOrEqual(1_500);
  });

  it('sends buffered changes at once when another process asks', async () => {
    const { world, one, two, until } = await writingBack(60_000);
    await until(add(one, 'made'));
    const since = world.time;
    expect(await until(read(two))).toEqual(['first', 'made']);
    expect(world.time - since).toBeLessThan(100);
  });

  it('loses with a killed process only changes that commit() had not acknowledged', async () => {
    const { deployment, one, two, until } = await writingBack(60_000);
    await until(addDurably(one, 'committed'));
    await until(add(one, 'made'));
    deployment.kill('one');
    expect(await until(readPatiently(two))).toEqual(['first', 'committed']);
  });

  it('sends every change to the store at an orderly end', async () => {
    const { one, two, until } = await writingBack(60_000);
    await until(add(one, 'made'));
    await until(one.close());
    expect(await until(read(two))).toEqual(['first', 'made']);
  });

  it('logs changes that it lost, even of a session that the process no longer uses', async () => {
    const { deployment, world, until, one, two } = await scene({
      holder: { writeBackMs: 60_000, holdPolicy: 'until-idle', repeatMs: 200 },
      store: { leaseMs: 1_000 },
    });
    const told: string[] = [];
    world.onTrace = (line) => told.push(line);
    // The change leaves with a release that never arrives. Meanwhile another process gets the session.
    await until(add(one, 'first'));
    const making = run(one, { write: ['a'] }, (session) => {
      session.draft('a', () => []).push('made');
      deployment.network.stallHolder('one', 2_900, 'out');
    });
    await until(making);
    await until(add(two, 'other'));
    await world.run(() => told.some((line) => line.includes('write-back')), 30_000);
    expect(told.join('\n')).toMatch(/one: session s: the lock is lost .*write-back had reported as made/);
    expect(await until(read(two))).toEqual(['first', 'other']);
  });
});
