/**
 * Rules 14 and 17: a scope has called destroy() or regenerate(), and the end of the session is pending.
 */
import { describe, expect, it } from 'vitest';
import { codeOf, fail, latch, readAll, run, scene } from './scene.js';

describe('rules 14 and 17: a pending end of the session', () => {
  it('fails a nested scope that outlives destroy() and changes something', async () => {
    const { until, world, one } = await scene();
    const goOn = latch();
    let child!: Promise<string>;
    await until(
      run(one, {}, async (session) => {
        session.set('a', 1);
        child = codeOf(
          run(one, { write: ['a'] }, async (inner) => {
            await goOn.opened;
            inner.set('a', 2);
          }),
        );
        await world.sleep(1);
        session.destroy();
      }),
    );
    goOn.open();
    expect(await until(child)).toBe('session-destroyed');
  });

  it('does not fail a nested scope that outlives destroy() and only reads', async () => {
    const { until, world, one } = await scene();
    const goOn = latch();
    let child!: Promise<string>;
    await until(run(one, {}, (session) => session.set('a', 1)));
    await until(
      run(one, {}, async (session) => {
        child = codeOf(
          run(one, { read: ['a'] }, async (inner) => {
            inner.get('a');
            await goOn.opened;
          }),
        );
        await world.sleep(1);
        session.destroy();
      }),
    );
    goOn.open();
    expect(await until(child)).toBe('fulfilled');
  });

  it('refuses commit() after regenerate(), so that no login becomes durable under the old id', async () => {
    const { until, one, two } = await scene();
    await until(run(one, {}, (session) => session.set('a', 1)));
    const login = run(one, {}, async (session) => {
      session.set('user', 'Ada');
      session.regenerate();
      await session.commit();
    });
    expect(await until(codeOf(login))).toBe('end-pending');
    expect(await until(readAll(two))).toEqual([['a', 1]]);
    const caught = run(one, {}, async (session) => {
      session.set('user', 'Ada');
      session.regenerate();
      await session.commit().catch(() => {});
      fail();
    });
    expect(await until(codeOf(caught))).toBe('deliberate');
    expect(await until(readAll(two))).toEqual([['a', 1]]);
  });
});
