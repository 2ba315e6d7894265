/**
 * Values that cannot be stored, or exceed a limit: the scope fails by name, keeps nothing, and gives its
 * locks back.
 */
import { describe, expect, it } from 'vitest';
import { add, atRest, type Body, fail, type Lists, nothing, read, run, scene } from './scene.js';

describe('a value that cannot be stored', () => {
  it('fails the scope with the path to it, and changes nothing', async () => {
    const { until, one } = await scene();
    await until(add(one, 'before'));
    const failing = run(one, { write: ['a', 'b'] }, (session) => {
      session.draft('a', () => []).push('more');
      session.set('b', { items: [{ at: new Date(0) }] });
    });
    await expect(until(failing)).rejects.toThrow("attribute 'b': items[0].at is a Date");
    expect(await until(read(one))).toEqual(['before']);
  });

  it('fails the scope before anything is sent when it exceeds a limit, and the lock stays', async () => {
    const { until, one } = await scene();
    await until(add(one, 'first'));
    const { commits } = one.counters();
    const attempt = (changes: Body<void>) =>
      until(
        run(one, {}, changes).then(
          () => '',
          (error: Error) => error.message,
        ),
      );
    expect(await attempt((session) => session.set('a', 'x'.repeat(5_000)))).toMatch(
      /'a' would take 5003 bytes.*4096/,
    );
    const some = (session: Lists, count: number, size: number) => {
      for (let i = 0; i < count; i++) session.set(`n${i}`, 'x'.repeat(size));
    };
    expect(await attempt((session) => some(session, 8, 1))).toMatch(/9 attributes.*8/);
    expect(await attempt((session) => some(session, 3, 3_000))).toMatch(/bytes.*8192/);
    expect(await until(read(one))).toEqual(['first']);
    expect(one.counters()).toMatchObject({ commits, held: 1, grants: 1 });
  });

  const trapped = () => new Proxy({}, { ownKeys: fail });

  it.each<[string, (draft: Record<string, unknown>) => void]>([
    ['a proxy that throws', (draft) => (draft['x'] = trapped())],
    ['a getter that throws', (draft) => Object.defineProperty(draft, 'x', { enumerable: true, get: fail })],
    ['a toJSON that throws', (draft) => (draft['x'] = new (class { toJSON = fail })())], // prettier-ignore
    ['itself', (draft) => (draft['x'] = draft)],
  ])('fails the scope with the path to %s, and gives every lock back', async (_what, change) => {
    const { until, one, two } = await scene({ holder: { holdPolicy: 'until-idle' } });
    for (let i = 0; i < 3; i++) {
      const failing = run(one, { write: ['a'] }, async (session) => {
        await run(one, { write: ['b'] }, () => {});
        change(session.draft('a', () => ({}) as never) as never);
      });
      await expect(until(failing)).rejects.toMatchObject({
        code: 'value-not-serializable',
        message: expect.stringContaining("attribute 'a': x") as unknown,
      });
    }
    await until(add(one, 'free'));
    await until(add(two, 'too'));
    expect(await until(read(two))).toEqual(['free', 'too']);
    await until(Promise.all([one.close(), two.close()]));
    expect([atRest(one), atRest(two)]).toEqual([nothing, nothing]);
  });
});
