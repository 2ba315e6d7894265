/**
 * Race 12 of docs/PROTOCOL.md: two children of one scope take the same attribute. The scene is played twice:
 * by the rules, and with the rule against the race switched off, where the harm must show.
 */
import { describe, expect, it } from 'vitest';
import { read, run, scene, type Lists } from './scene.js';

describe('race 12: two children of one scope take the same attribute', () => {
  /** Rule 18 off: siblings do not wait for each other. */
  const leaveUnlocked = (session: Lists) => {
    const { held } = session as unknown as { held: { locks: object } };
    Object.assign(held.locks, { isHeld: () => false, isAsked: () => false });
  };

  async function play(switchOff: (root: Lists) => void = () => {}) {
    const { until, world, one, two } = await scene();
    const append = (mark: string) =>
      run(one, { write: ['a'] }, async (session) => {
        const list = [...(session.get('a') ?? [])];
        await world.sleep(5);
        session.set('a', [...list, mark]);
      });
    await until(
      run(one, { write: ['b'] }, async (root) => {
        switchOff(root);
        await Promise.all([append('x'), append('y')]);
      }),
    );
    return { commits: one.counters().commits, kept: await until(read(two)) };
  }

  it('race 12: each child sees the working copy that the other one left, and both commit with their root', async () => {
    expect(await play()).toEqual({ commits: 1, kept: ['x', 'y'] });
    expect(await play(leaveUnlocked), 'the change of one is gone').toEqual({ commits: 1, kept: ['y'] });
  });
});
