/**
 * Race 17 of docs/PROTOCOL.md: an older copy of the data is put back, on a machine whose clock is behind.
 * The scene is played twice: by the rules, and with the rule against the race switched off, where the harm
 * must show.
 */
import { expect, it } from 'vitest';
import type { Clock } from '#broker';
import type { StoreRules } from '#protocol';
import { MemoryRepository } from '#repository';
import { CompetingStores, competingLeaseMs } from './competing-stores.js';
import { add, codeOf, read } from './scene.js';

const behindMs = 3_600_000;

/** Rule 13 off: the epochs that holders show count for nothing. */
const blind: Partial<StoreRules> = {
  isBelievable: () => false,
  judgeShownEpoch: () => 'known',
  mustClaimAbove: () => false,
};

async function play(rules?: Partial<StoreRules>) {
  const stage = new CompetingStores(new MemoryRepository());
  const { world } = stage;
  await stage.store('first');
  stage.route(0, 'first');
  const holder = await stage.holder('one');
  await stage.until(add(holder, 'old'));

  const clock: Clock = {
    ...world.clock,
    now: () => ({ mono: world.time, wall: world.clock.now().wall - behindMs }),
  };
  await stage.store('second', {}, { repository: new MemoryRepository(), clock, rules });
  stage.route(0, 'second');
  stage.closeQueue('first');
  await world.run(() => false, 2 * competingLeaseMs);
  const outcome = await stage.until(codeOf(add(holder, 'new')));
  return { outcome, kept: outcome === 'fulfilled' ? await stage.until(read(holder)) : undefined };
}

it('race 17: a store below the epochs that holders know claims above them, and serves what it has', async () => {
  expect(await play()).toEqual({ outcome: 'fulfilled', kept: ['new'] });
  expect(await play(blind), 'holders drop what it says').toEqual({
    outcome: 'wait-timeout',
    kept: undefined,
  });
});
