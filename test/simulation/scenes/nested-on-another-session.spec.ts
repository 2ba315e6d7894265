/** Rule 19: scopes that nest a scope on another session. */
import { describe, expect, it } from 'vitest';
import type { LockedSessions } from '#locked-session';
import { codeOf, run, scene } from './scene.js';

describe('rule 19: two scopes that nest two sessions in opposite order', () => {
  it('do not wait for each other for long: the one whose nested session has the lower id gives up', async () => {
    const nestedWaitMs = 200;
    const { until, world, one, two } = await scene({ holder: { nestedWaitMs, waitMs: 60_000 } });
    const begun = world.time;
    const nest = (holder: LockedSessions, outer: string, inner: string) =>
      run(
        holder,
        {},
        async () => {
          await world.sleep(50); // until both hold their outer session
          return { code: await codeOf(run(holder, {}, () => {}, inner)), ms: world.time - begun };
        },
        outer,
      );
    const [up, down] = await until(Promise.all([nest(one, 'a', 'b'), nest(two, 'b', 'a')]));
    expect([up.code, down.code]).toEqual(['fulfilled', 'wait-timeout']);
    expect(down.ms).toBeLessThan(2 * nestedWaitMs);
  });
});
