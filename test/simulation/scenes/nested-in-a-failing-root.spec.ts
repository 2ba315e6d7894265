/** Rule 18: what becomes of nested scopes when their root fails. */
import { describe, expect, it } from 'vitest';
import { codeOf, fail, latch, type Lists, readAll, run, scene } from './scene.js';

describe('rule 18: a root that fails', () => {
  it('changes nothing, though a nested scope outlives it', async () => {
    const { until, one, two } = await scene();
    const goOn = latch();
    let child!: Promise<string>;
    const root = run(one, { write: ['a'] }, (session) => {
      session.set('a', 'of the root');
      child = codeOf(
        run(one, { write: ['a', 'b'] }, async (inner) => {
          inner.set('b', 'of the child');
          await goOn.opened;
        }),
      );
      fail();
    });
    await expect(until(root)).rejects.toThrow('deliberate');
    goOn.open();
    expect(await until(child)).toBe('scope-ended');
    expect(await until(readAll(two))).toEqual([]);
  });

  it.each([
    ['get', (session: Lists) => session.get('a')],
    ['draft', (session: Lists) => session.draft('a', () => [])],
    ['commit', (session: Lists) => session.commit()],
  ])('ends the use of the session in its nested scopes: %s', async (_call, use) => {
    const { until, world, one } = await scene();
    const goOn = latch();
    let child!: Promise<string>;
    const root = run(one, { write: ['a'] }, async () => {
      child = codeOf(
        run(one, { write: ['a'] }, async (inner) => {
          await goOn.opened;
          await use(inner);
        }),
      );
      await world.sleep(1);
      fail();
    });
    await expect(until(root)).rejects.toThrow('deliberate');
    goOn.open();
    expect(await until(child)).toBe('scope-ended');
    const { held, waiting } = one.counters();
    expect({ held, waiting }).toEqual({ held: 1, waiting: 0 });
  });

  it('ends deeper nested scopes too, also through another session', async () => {
    const { until, world, one, two } = await scene();
    const goOn = latch();
    let deep!: Promise<string>;
    const root = run(one, { write: ['a'] }, async (session) => {
      session.set('a', 'of the root');
      const between = run(
        one,
        {},
        async (other) => {
          other.set('x', 'of another session');
          deep = codeOf(
            run(one, { write: ['a'] }, async () => {
              await goOn.opened;
              await run(one, { write: ['c'] }, (inner) => inner.set('c', 'deep'));
            }),
          );
          await world.sleep(1);
        },
        'z',
      );
      await between;
      fail();
    });
    await expect(until(root)).rejects.toThrow('deliberate');
    goOn.open();
    expect(await until(deep)).toBe('scope-ended');
    expect(await until(readAll(two))).toEqual([]);
    // The other session's scope had a root of its own, which ended well.
    expect(await until(readAll(two, 'z'))).toEqual([['x', 'of another session']]);
  });

  it('does not start nested scopes that still wait for a lock', async () => {
    const { until, world, one } = await scene();
    const holding = latch();
    const first = run(one, { write: ['b'] }, () => holding.opened);
    let begun = false;
    let child!: Promise<string>;
    const root = run(one, { write: ['a'] }, async () => {
      child = codeOf(run(one, { write: ['b'] }, () => void (begun = true)));
      await world.sleep(1);
      fail();
    });
    await expect(until(root)).rejects.toThrow('deliberate');
    holding.open();
    await until(first);
    expect([await until(child), begun]).toEqual(['scope-ended', false]);
    await until(one.close());
    const { held, waiting, sessions } = one.counters();
    expect({ held, waiting, sessions }).toEqual({ held: 0, waiting: 0, sessions: 0 });
  });
});
