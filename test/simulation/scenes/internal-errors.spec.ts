/**
 * An error inside the library: it is logged, the scopes of that session fail, its lock is given back, and
 * other sessions continue.
 */
import { describe, expect, it } from 'vitest';
import { holderRules, type HolderRules } from '#protocol';
import { add, codeOf, fail, gatesOf, stay, read, run, scene } from './scene.js';

describe('an internal error', () => {
  it('at a grant fails the scopes that wait for that session, and gives its lock to the next', async () => {
    const { until, world, one, two } = await scene();
    const theirs = run(two, {}, () => world.sleep(100));
    await world.pass(20);
    const waits = [codeOf(add(one, 'x')), codeOf(add(one, 'y'))];
    const other = codeOf(add(one, 'z', 'another'));
    await world.pass(20);
    gatesOf(one).get('s').entrants['admitQueue'] = fail;
    await until(theirs);
    expect(await until(Promise.all([...waits, other]))).toEqual(['internal', 'internal', 'fulfilled']);
    await until(add(two, 'free'));
    await until(add(one, 'again'));
    expect(await until(read(two))).toEqual(['free', 'again']);
  });

  it('at a recall aborts the scopes inside, and gives the lock back', async () => {
    const { until, world, one, two } = await scene();
    let signal!: AbortSignal;
    const inside = codeOf(
      run(one, { write: ['a'] }, async (session) => {
        ({ signal } = session);
        session.set('a', ['lost']);
        await world.sleep(1_000);
      }),
    );
    await world.pass(20);
    gatesOf(one).get('s')['recalled'] = fail;
    const began = world.time;
    expect(await until(read(two))).toEqual([]);
    expect(world.time - began).toBeLessThan(100);
    expect(signal.aborted).toBe(true);
    expect(await until(inside)).toBe('internal');
  });

  it('at a time-out leaves other waits their deadline', async () => {
    const { until, world, one, two } = await scene();
    const theirs = ['s', 't'].map((id) => run(two, {}, () => world.sleep(3_000), id));
    await world.pass(20);
    const [failing, timely] = ['s', 't'].map((id) => codeOf(run(one, { waitMs: 500 }, () => {}, id)));
    gatesOf(one).get('s')['expire'] = fail;
    expect(await until(Promise.all([failing, timely]))).toEqual(['internal', 'wait-timeout']);
    await until(Promise.all(theirs));
    await until(add(one, 'again'));
  });

  it('at the end of the drain budget gives the lock back', async () => {
    const { until, world, one, two } = await scene();
    const inside = codeOf(run(one, { write: ['a'] }, () => world.sleep(1_000)));
    await world.pass(20);
    gatesOf(one).get('s').entrants['sendBack'] = fail;
    const began = world.time;
    expect(await until(read(two))).toEqual([]);
    expect(world.time - began).toBeLessThan(200);
    expect(await until(inside)).toBe('internal');
  });

  it('at a tick does not stop renewals and repeats', async () => {
    let failures = 0;
    const isTouchDue: HolderRules['isTouchDue'] = (...of) => {
      if (failures > 0 && failures-- > 0) fail();
      return holderRules.isTouchDue(...of);
    };
    const holder = { isTouchDue };
    const { until, world, one, two, deployment } = await scene({ variant: { holder } });
    await until(add(one, 'x'));
    failures = 3;
    await world.pass(20_000);
    expect(failures).toBe(0);
    const inside = run(one, { write: ['a'] }, (session) => {
      expect(session.signal.aborted).toBe(false);
    });
    await until(inside);
    await until(add(two, 'y'));
    expect(deployment.checkers.violations).toHaveLength(3); // each failure is logged
  });

  it('in a timer is logged, and other sessions continue', async () => {
    const { until, deployment, world, one, two } = await scene();
    await until(add(one, 'x'));
    const holding = stay(two, {}, 'other');
    await until(holding.inside);
    gatesOf(one).get('s')['expire'] = fail;
    expect(await until(codeOf(run(one, { waitMs: 200 }, () => {}, 'other')))).toBe('wait-timeout');
    holding.leave();
    await until(holding.ended);
    await world.pass(1_000);
    expect(deployment.checkers.violations).toEqual([expect.stringContaining('deliberate')]);
  });
});
