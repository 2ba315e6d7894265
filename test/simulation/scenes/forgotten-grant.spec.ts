/**
 * A store forgets a grant, as after a power loss: scopes that run under it, and scopes that come after it.
 */
import { describe, expect, it } from 'vitest';
import { partitionOf, storeRules } from '#protocol';
import type { Variant } from '../world/deployment.js';
import { add, codeOf, latch, run, scene } from './scene.js';

/** A store that has forgotten the grants of these sessions. */
const forgetful = (forgotten: Set<string>): Variant => ({
  store: {
    currentGrant: (session, change, holder) => {
      if (forgotten.delete(session.id) && session.record) session.record.grant = undefined;
      return storeRules.currentGrant(session, change, holder);
    },
  },
});

describe('a grant that the store has forgotten', () => {
  it('leaves the next gate in place when a scope outlives it', async () => {
    const forgotten = new Set<string>();
    const { until, world, one, two } = await scene({ variant: forgetful(forgotten) });
    await until(add(one, 'first'));
    const goOn = latch();
    const old = codeOf(run(one, { read: ['b'] }, () => goOn.opened)); // is inside when the lock is lost
    await world.pass(10);
    forgotten.add('s');
    expect(await until(codeOf(add(one, 'lost')))).toBe('outcome-unknown');
    await until(add(one, 'second')); // a new gate, a new grant
    goOn.open();
    await until(old); // must leave the new gate in the map
    const mine = codeOf(run(one, { waitMs: 1_000 }, () => {}));
    const theirs = codeOf(run(two, { waitMs: 3_000 }, () => {}));
    expect([await until(mine), await until(theirs)]).toEqual(['fulfilled', 'fulfilled']);
  });

  it('leaves waits at the next gate their deadline when a scope outlives it', async () => {
    const forgotten = new Set<string>();
    const { until, world, one, two } = await scene({ variant: forgetful(forgotten) });
    await until(add(one, 'first'));
    const goOn = latch();
    const old = codeOf(run(one, { read: ['b'] }, () => goOn.opened));
    await world.pass(10);
    forgotten.add('s');
    expect(await until(codeOf(add(one, 'lost')))).toBe('outcome-unknown');
    const theirs = run(two, {}, () => world.sleep(3_000));
    await world.pass(50);
    const waiting = codeOf(run(one, { waitMs: 1_000 }, () => {})); // waits at the new gate
    await world.pass(10);
    goOn.open();
    await until(old);
    expect(await until(waiting)).toBe('wait-timeout');
    await until(theirs);
  });

  it('is not released by the cap when its loss and another grant come in one frame', async () => {
    const forgotten = new Set<string>();
    const { until, world, one, deployment } = await scene({
      variant: forgetful(forgotten),
      holder: { heldSessions: 1, commitWaitMs: 2_000, waitMs: 2_000 },
    });
    const [first, second] = ['s0', 's1', 's2', 's3', 's4'].filter(
      (id) => partitionOf(id, 2) === partitionOf('s0', 2),
    );
    await until(add(one, 'x', first));
    await world.pass(100);
    forgotten.add(first!);
    const both = [codeOf(add(one, 'z', second)), codeOf(add(one, 'y', first))];
    const result = await until(Promise.all(both));
    expect(result).toEqual(['fulfilled', 'outcome-unknown']);
    expect(await until(codeOf(add(one, 'again', first)))).toBe('fulfilled');
    await deployment.rest();
    expect(deployment.checkers.violations).toEqual([]);
  });
});
