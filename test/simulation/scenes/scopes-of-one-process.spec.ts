/** Scopes of one process: which attributes they may read and write, and what others see of that. */
import { describe, expect, it } from 'vitest';
import type { RunOptions } from '#locked-session';
import { add, codeOf, latch, read, run, scene } from './scene.js';

describe('scopes of one process', () => {
  it('C6: shares an attribute among readers, gives it to one writer alone, and keeps other attributes free', async () => {
    const { until, world, one } = await scene();
    const log: string[] = [];
    const visit = (name: string, options: RunOptions) =>
      run(one, options, async () => {
        log.push(`+${name}`);
        await world.sleep(10);
        log.push(`-${name}`);
      });
    await until(add(one, 'held'));
    await until(
      Promise.all([
        visit('r1', { read: ['a'] }),
        visit('r2', { read: ['a'] }),
        visit('w', { write: ['a'] }),
        visit('r3', { read: ['a'] }),
        visit('b', { write: ['b'] }),
      ]),
    );
    expect(log).toEqual(['+r1', '+r2', '+b', '-r1', '-r2', '+w', '-b', '-w', '+r3', '-r3']);
  });

  it('keeps of a scope that fails only what it committed before', async () => {
    const { until, one, two } = await scene();
    const failing = run(one, { write: ['a'] }, async (session) => {
      session.draft('a', () => []).push('committed');
      await session.commit();
      session.draft('a', () => []).push('not');
      throw new Error('deliberate');
    });
    await expect(until(failing)).rejects.toThrow('deliberate');
    expect(await until(read(one))).toEqual(['committed']);
    expect(await until(read(two))).toEqual(['committed']);
  });

  it('refuses an attribute that the scope has not locked, and a write of one that it only reads', async () => {
    const { until, one } = await scene();
    await until(
      run(one, { read: ['a'], write: ['b'] }, async (session) => {
        expect(() => session.get('c')).toThrow("has not locked 'c'");
        expect(() => session.set('a', [])).toThrow("has locked 'a' only for reading");
        expect(await codeOf(run(one, { write: ['a'] }, () => {}))).toBe('lock-upgrade');
      }),
    );
  });

  it('refuses the use of a handle after its scope has ended', async () => {
    const { until, one } = await scene();
    const kept = await until(run(one, {}, (session) => session));
    expect(() => kept.get('a')).toThrow('has ended');
  });

  it('freezes what is read, and hides a draft from other scopes until the end', async () => {
    const { until, one } = await scene();
    await until(add(one, 'first'));
    await until(
      run(one, { write: ['a'] }, async (session) => {
        expect(() => (session.get('a') as string[]).push('x')).toThrow('not extensible');
        session.draft('a', () => []).push('second');
        expect(session.get('a')).toEqual(['first', 'second']);
      }),
    );
    expect(await until(read(one))).toEqual(['first', 'second']);
  });

  it('refuses one scope of a deadlock at once, and serves the other', async () => {
    const { until, one } = await scene();
    const both = latch();
    let inside = 0;
    const nest = (first: string, second: string) =>
      run(one, { write: [first], label: `${first} first` }, async () => {
        if (++inside === 2) both.open();
        await both.opened;
        await run(one, { write: [second] }, () => {});
      });
    const results = await until(Promise.all([codeOf(nest('a', 'b')), codeOf(nest('b', 'a'))]));
    expect(results.sort()).toEqual(['deadlock', 'fulfilled']);
  });
});
