/**
 * Race 8 of docs/PROTOCOL.md: two stores count different numbers of partitions. The scene is played twice: by
 * the rules, and with the rule against the race switched off, where the harm must show.
 */
import { describe, expect, it } from 'vitest';
import type { LockedSessions } from '#locked-session';
import { partitionOf, type HolderRules } from '#protocol';
import { MemoryRepository } from '#repository';
import { CompetingStores } from './competing-stores.js';
import { codeOf, run } from './scene.js';

describe('race 8: two stores count different numbers of partitions', () => {
  /** Rule 13 off: a claim does not compare the number of partitions. */
  class Uncounted extends MemoryRepository {
    override claim(...[partition, deployment]: Parameters<MemoryRepository['claim']>) {
      return super.claim(partition, { ...deployment, partitions: 1 });
    }
  }
  /** Rule 13 off at holders, too: they ignore the store's number. */
  const uncounting: Partial<HolderRules> = { agrees: () => true };

  /** In partition 0 of 1, and in another one of 3. */
  const id = ['s0', 's1', 's2', 's3'].find((name) => partitionOf(name, 3) !== 0)!;

  /** How many were in the session at once, and how their visits ended. */
  async function play(repository: MemoryRepository, rules?: Partial<HolderRules>) {
    const stores = new CompetingStores(repository);
    const { world } = stores;
    // Both start before a claim has recorded a number that could stop one of them.
    await Promise.all([stores.store('counts 1'), stores.store('counts 3', { partitions: 3 })]);
    stores.route(0, 'counts 1');
    stores.route(partitionOf(id, 3), 'counts 3');
    const [one, three] = await Promise.all(
      [1, 3].map((partitions) => stores.holder(`of${partitions}`, partitions, rules)),
    );
    let inside = 0;
    let maxInside = 0;
    const visit = (holder: LockedSessions) =>
      codeOf(
        run(
          holder,
          { waitMs: 5_000 },
          async () => {
            maxInside = Math.max(maxInside, ++inside);
            await world.sleep(1_000);
            inside--;
          },
          id,
        ),
      );
    const ends = await stores.until(Promise.all([visit(one!), visit(three!)]));
    return { maxInside, ends };
  }

  it('race 8: the first claim decides, and the other store serves no holder', async () => {
    expect(await play(new MemoryRepository())).toEqual({ maxInside: 1, ends: ['fulfilled', 'deployment'] });
    expect((await play(new MemoryRepository(), uncounting)).maxInside, 'also by the claim alone').toBe(1);
    expect(await play(new Uncounted(), uncounting), 'two owners of one session').toEqual({
      maxInside: 2,
      ends: ['fulfilled', 'fulfilled'],
    });
  });
});
