/**
 * Race 13 of docs/PROTOCOL.md: one holder has many queued scopes, and another holder waits. The scene is
 * played twice: by the rules, and with the rule against the race switched off, where the harm must show.
 */
import { describe, expect, it } from 'vitest';
import { add, codeOf, run, scene } from './scene.js';

describe('race 13: many queued scopes of one holder, and another one waits', () => {
  async function play(drainBudgetMs: number) {
    const recallTimeoutMs = 10_000;
    const { until, world, one, two } = await scene({
      store: { recallTimeoutMs },
      holder: { maxWaitingScopes: 5_000, waitMs: 60_000, drainBudgetMs },
    });
    await until(add(one, 'first'));
    const queued = Array.from({ length: 2_000 }, () =>
      codeOf(run(one, { write: ['a'] }, () => world.sleep(10))),
    );
    const asked = world.time;
    await until(run(two, { read: ['a'] }, () => {}));
    const waitedMs = world.time - asked;
    const ends = new Set(await until(Promise.all(queued)));
    return { waitedMs, ends: [...ends], revokedAfterMs: recallTimeoutMs };
  }

  it('race 13: another process waits behind 2,000 queued scopes for the drain budget at most', async () => {
    const { waitedMs, ends } = await play(100);
    expect(waitedMs).toBeLessThan(200);
    expect(ends).toEqual(['fulfilled']);
    const off = await play(60_000);
    expect(off.waitedMs, 'rule 5 off: a holder that makes progress loses its lock').toBeGreaterThan(10_000);
    expect(off.ends).toContain('lock-lost');
  });
});
