/** Changes that no store acknowledges in time, and scopes that saw them. */
import { describe, expect, it } from 'vitest';
import { add, codeOf, run, scene } from './scene.js';

describe('changes that no store acknowledges', () => {
  it('end their scope with outcome-unknown', async () => {
    const { until, deployment, one } = await scene({ holder: { commitWaitMs: 2_000 } });
    await until(add(one, 'first'));
    await until(deployment.stores[0]!.stop());
    expect(await until(codeOf(add(one, 'second')))).toBe('outcome-unknown');
  });

  it('end a reader that saw them with outcome-unknown', async () => {
    const { until, world, deployment, one } = await scene({ holder: { commitWaitMs: 2_000 } });
    await until(add(one, 'first'));
    await until(deployment.stores[0]!.stop());
    const writing = codeOf(add(one, 'second'));
    let seen: readonly string[] = [];
    const reading = codeOf(run(one, { read: ['a'] }, (session) => void (seen = session.get('a')!)));
    await world.run(() => seen.length > 0, 100);
    expect(seen).toEqual(['first', 'second']);
    expect(await until(Promise.all([writing, reading]))).toEqual(['outcome-unknown', 'outcome-unknown']);
  });

  it('end a reader that saw them by names() with outcome-unknown', async () => {
    const { until, world, deployment, one } = await scene({ holder: { commitWaitMs: 2_000 } });
    await until(add(one, 'first'));
    await until(deployment.stores[0]!.stop());
    const writing = codeOf(run(one, { write: ['b'] }, (session) => session.set('b', ['new'])));
    await world.pass(10);
    let names: string[] = [];
    const reading = codeOf(run(one, { read: ['a', 'b'] }, (session) => void (names = session.names())));
    expect(await until(Promise.all([writing, reading]))).toEqual(['outcome-unknown', 'outcome-unknown']);
    expect(names).toEqual(['a', 'b']);
  });
});
