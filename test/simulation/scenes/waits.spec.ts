/** Scopes that wait for a lock: each wait ends by its deadline, its signal or the limit of waiters. */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { LockedSessions } from '#locked-session';
import { codeOf, latch, run, scene, stay } from './scene.js';

describe('waits', () => {
  it('end with wait-timeout, aborted or too-many-waiting, and leave nothing behind', async () => {
    const { until, deployment, one, two } = await scene({ holder: { maxWaitingScopes: 3 } });
    const holding = stay(two);
    await until(holding.inside);
    const aborter = new AbortController();
    const waits = [
      run(one, { waitMs: 1_000 }, () => {}),
      run(one, { signal: aborter.signal }, () => {}),
      run(one, {}, () => 'patient'),
      run(one, {}, () => {}),
    ].map(codeOf);
    aborter.abort();
    expect(await until(Promise.all([waits[0], waits[1], waits[3]]))).toEqual([
      'wait-timeout',
      'aborted',
      'too-many-waiting',
    ]);
    holding.leave();
    expect(await until(waits[2]!)).toBe('fulfilled');
    await until(holding.ended);
    await deployment.rest();
    expect(deployment.checkers.violations).toEqual([]);
  });

  it('end by one signal with one listener, which forgets waits that have ended', async () => {
    const { until, one, two } = await scene();
    const [goOn, inside] = [latch(), latch()];
    const aborter = new AbortController();
    const { signal } = aborter;
    const holding = run(one, { write: ['a'] }, () => (inside.open(), goOn.opened));
    await until(inside.opened);
    const waits = [one, two].flatMap((holder) =>
      Array.from({ length: 20 }, () => codeOf(run(holder, { write: ['a'], signal }, () => {}))),
    );
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    for (let i = 0; i < 20; i++) await until(run(one, { write: ['b'], signal }, () => {}, 'other'));
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    aborter.abort();
    expect(new Set(await until(Promise.all(waits)))).toEqual(new Set(['aborted']));
    goOn.open();
    await until(holding);
    expect([one.counters().waiting, two.counters().waiting]).toEqual([0, 0]);
  });

  it('end at their own deadline though the store is gone', async () => {
    const { until, world, deployment, one } = await scene({ holder: { commitWaitMs: 15_000 } });
    const holding = latch();
    const first = codeOf(run(one, { write: ['a'] }, () => holding.opened));
    await world.pass(10);
    const aborter = new AbortController();
    const waits = [
      codeOf(run(one, { write: ['a'], waitMs: 8_000 }, () => {})),
      codeOf(run(one, { write: ['a'], waitMs: 20_000, signal: aborter.signal }, () => {})),
    ];
    const began = world.time;
    await until(deployment.stores[0]!.stop());
    await world.pass(7_000); // the lease is over
    aborter.abort();
    expect(await until(waits[1]!)).toBe('aborted');
    expect(world.time - began).toBeLessThan(7_200);
    expect(await until(waits[0]!)).toBe('wait-timeout');
    expect(world.time - began).toBeLessThan(8_100);
    holding.open();
    await until(first);
  });
});

describe('rule 19: two scopes that nest two sessions in opposite order', () => {
  it('do not wait for each other for long: the one whose nested session has the lower id gives up', async () => {
    const nestedWaitMs = 200;
    const { until, world, one, two } = await scene({ holder: { nestedWaitMs, waitMs: 60_000 } });
    const began = world.time;
    const nest = (holder: LockedSessions, outer: string, inner: string) => {
      const body = async () => {
        await world.sleep(50); // until both hold their outer session
        const code = await codeOf(run(holder, {}, () => {}, inner));
        return { code, ms: world.time - began };
      };
      return run(holder, {}, body, outer);
    };
    const [up, down] = await until(Promise.all([nest(one, 'a', 'b'), nest(two, 'b', 'a')]));
    expect([up.code, down.code]).toEqual(['fulfilled', 'wait-timeout']);
    expect(down.ms).toBeLessThan(2 * nestedWaitMs);
  });
});
