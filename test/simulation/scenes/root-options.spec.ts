/** Only a root is told whether its session was destroyed or has a fixed id. Its nested scopes keep to it. */
import { describe, expect, it } from 'vitest';
import { codeOf, latch, run, scene } from './scene.js';

describe('what only the root is told of its session', () => {
  it('keeps a nested scope from making a session in place of a destroyed one', async () => {
    const { until, one, two } = await scene();
    const nested = () => run(one, {}, async (inner) => (inner.set('a', 1), inner.commit()));
    const visit = one.visit('s', {}, { isNew: true, readOnly: true }, nested);
    expect(await until(codeOf(visit))).toBe('session-destroyed');
    expect(await until(codeOf(run(two, { create: false }, () => {})))).toBe('unknown-session');
  });

  it('keeps a nested scope that outlives its root from changing an id that the application finds', async () => {
    const { until, one } = await scene();
    const goOn = latch();
    let child!: Promise<string>;
    await until(
      one.visit('s', {}, { fixedId: true }, () => {
        child = codeOf(run(one, {}, async (inner) => (await goOn.opened, inner.regenerate())));
      }),
    );
    goOn.open();
    expect(await until(child)).toBe('fixed-id');
  });
});
