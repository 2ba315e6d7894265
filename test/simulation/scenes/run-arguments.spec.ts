/** What run() refuses before it locks anything, and signals that do not behave. */
import { describe, expect, it } from 'vitest';
import type { RunOptions } from '#locked-session';
import { add, atRest, codeOf, fail, nothing, run, runNew, scene } from './scene.js';

const circular: Record<string, unknown> = {};
circular['self'] = circular;

describe('the arguments of run()', () => {
  const options: readonly (readonly [string, unknown])[] = [
    ['waitMs that is no number', { waitMs: NaN }],
    ['waitMs that is negative', { waitMs: -1 }],
    ['waitMs that is infinite', { waitMs: Infinity }],
    ['waitMs above its limit', { waitMs: 600_001 }],
    ['waitMs far above its limit', { waitMs: 1e12 }],
    ['a signal that is none', { signal: {} }],
    ['an unknown option', { wait: 1 }],
    ['no options', undefined],
    ['null', null],
    ['a list', ['a']],
    ['a name', 'a'],
  ];

  it.each(options)('are refused when they have %s', async (_what, wrong) => {
    const { until, deployment, one } = await scene();
    expect(await until(codeOf(run(one, wrong as RunOptions, () => {})))).toBe('settings');
    await until(add(one, 'after'));
    expect(deployment.checkers.violations).toEqual([]);
  });

  it.each(options)(
    'are refused when they have %s, while another process has the lock',
    async (_what, wrong) => {
      const { until, world, one, two } = await scene();
      const theirs = run(two, {}, () => world.sleep(200));
      await world.pass(20);
      expect(await until(codeOf(run(one, wrong as RunOptions, () => {})))).toBe('settings');
      expect(atRest(one)).toEqual(nothing);
      await until(theirs);
      await until(add(one, 'after'));
    },
  );

  it.each<[string, unknown, string]>([
    ['a number', 7, 'not 7'],
    ['a bigint', 7n, 'not 7n'],
    ['null', null, 'not null'],
    ['undefined', undefined, 'not undefined'],
    ['a symbol', Symbol('s'), 'not a symbol'],
    ['an object that contains itself', circular, 'not an object'],
    ['a list that contains itself', Object.assign([], { self: circular }), 'not an array'],
    ['10,000 characters', 'x'.repeat(10_000), '… (10000 characters)'],
  ])('are refused in few words when the id is %s', async (_what, id, shown) => {
    const { until, one } = await scene();
    const error = (await until(one.run(id as string, {}, () => {}).catch((why: unknown) => why))) as Error;
    expect(error).toMatchObject({
      code: 'session-id',
      message: expect.stringContaining(shown) as unknown,
    });
    expect(error.message.length).toBeLessThan(200);
    expect(atRest(one)).toEqual(nothing);
  });

  it('are refused before anything is locked when there is nothing to run', async () => {
    const { until, one } = await scene();
    expect(await until(codeOf(one.run('s', {}, undefined as never)))).toBe('settings');
    expect(atRest(one)).toEqual(nothing);
  });

  it.each(['another process', 'this process'])(
    'may hold a signal that refuses its listener: each run fails with its error while %s has the lock',
    async (who) => {
      const { until, world, one, two } = await scene();
      const theirs = run(who === 'this process' ? one : two, {}, () => world.sleep(100));
      await world.pass(20);
      const fake = { aborted: false, addEventListener: fail, removeEventListener: fail };
      const signal = fake as unknown as AbortSignal;
      for (let i = 0; i < 2; i++)
        await expect(until(run(one, { signal }, () => {}))).rejects.toThrow('deliberate');
      await until(theirs);
      await until(run(one, {}, () => {}));
      await until(one.close());
      expect(atRest(one)).toEqual(nothing);
    },
  );

  it('may hold a signal that is aborted already: the wait ends at once', async () => {
    const { until, world, one, two } = await scene();
    const theirs = run(two, {}, () => world.sleep(5_000));
    await world.pass(20);
    const began = world.time;
    const late = one.visit('s', {}, { waitSignal: () => AbortSignal.abort() }, () => {});
    expect(await until(codeOf(late))).toBe('aborted');
    expect(world.time - began).toBeLessThan(100);
    await until(theirs);
  });

  it('leave nothing behind when they are refused before the gate', async () => {
    const { until, world, one } = await scene({ holder: { waitMs: 500 } });
    const signal = AbortSignal.abort();
    for (let i = 0; i < 10; i++) {
      expect(await codeOf(runNew(one, { signal }, () => {}, `n${i}`))).toBe('aborted');
      expect(await codeOf(run(one, { write: [''] }, () => {}, `m${i}`))).toBe('attribute-name');
    }
    await world.pass(200_000);
    expect(one.counters().sessions).toBe(0);
    await until(add(one, 'x'));
  });
});
