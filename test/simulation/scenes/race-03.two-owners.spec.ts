/**
 * Race 3 of docs/PROTOCOL.md: two owners of a partition alternate without learning of it. The scene is played
 * twice: by the rules, and with the rule against the race switched off, where the harm must show.
 */
import { describe, expect, it } from 'vitest';
import { MemoryRepository, type SessionWrite } from '#repository';
import { CompetingStores, competingLeaseMs } from './competing-stores.js';
import { add, read } from './scene.js';

describe('race 3: two owners alternate without learning of it', () => {
  /** Rule 7 off: the epoch is checked only where something is written. */
  class WritesOnly extends MemoryRepository {
    override async apply(
      ...[partition, epoch, writes]: [number, number, readonly SessionWrite[]]
    ): Promise<void> {
      if (writes.length > 0) await super.apply(partition, epoch, writes);
    }
  }

  async function play(repository: MemoryRepository) {
    const stores = new CompetingStores(repository);
    const { world } = stores;
    await stores.store('first');
    await stores.store('second');
    stores.route(0, 'first');
    const [one, two] = [await stores.holder('one'), await stores.holder('two')];
    await stores.until(add(one, 'old'));
    stores.cutOff.add('one');
    stores.route(0, 'second');
    await stores.until(add(two, 'new')); // the second owner has revoked the lock of the silent holder
    stores.cutOff.add('two'); // it would show the second owner's epoch to the first one (rule 13)
    stores.route(0, 'first');
    stores.cutOff.delete('one');
    await world.pass(competingLeaseMs);
    return stores.until(read(one));
  }

  it('race 3: the first owner does not answer a renewal from stale memory', async () => {
    expect(await play(new MemoryRepository())).toEqual(['old', 'new']);
    expect(await play(new WritesOnly()), 'the first owner confirms a revoked lock').toEqual(['old']);
  });
});
