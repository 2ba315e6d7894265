/** Rule 16: the session of a new visitor, from its first change to its first commit. */
import { describe, expect, it } from 'vitest';
import { add, codeOf, read, run, runNew, scene } from './scene.js';

describe('rule 16: a new visitor', () => {
  it('needs no message until something is set, and then holds the session', async () => {
    const { until, deployment, one, two } = await scene();
    const before = one.counters();
    await until(runNew(one, {}, (session) => void session.get('a'), 'bot'));
    expect(one.counters()).toMatchObject({ messagesSent: before.messagesSent, grants: 0, held: 0 });
    await until(runNew(one, {}, (session) => session.set('a', ['first']), 'guest'));
    expect(one.counters()).toMatchObject({ grants: 1, commits: 0, held: 1 });
    expect(await until(read(two, 'guest'))).toEqual(['first']);
    await deployment.rest();
    expect(deployment.checkers.violations).toEqual([]);
  });

  it('may commit and continue, with nested scopes', async () => {
    const { until, one, two } = await scene();
    const visit = runNew(
      one,
      {},
      async (session) => {
        session.set('a', ['first']);
        await session.commit();
        await run(one, { write: ['b'] }, (nested) => nested.set('b', ['nested']), 'guest');
        session.draft('a', () => []).push('last');
      },
      'guest',
    );
    await until(visit);
    expect(await until(run(two, {}, (session) => [session.get('a'), session.get('b')], 'guest'))).toEqual([
      ['first', 'last'],
      ['nested'],
    ]);
  });

  it('gets outcome-unknown when no store makes the session, and keeps nothing here', async () => {
    const { until, deployment, one } = await scene({ holder: { commitWaitMs: 1_000 } });
    await until(add(one, 'x'));
    await until(deployment.stores[0]!.stop());
    const visit = runNew(one, {}, (session) => session.set('a', ['first']), 'guest');
    expect(await until(codeOf(visit))).toBe('outcome-unknown');
    expect(one.counters()).toMatchObject({ waiting: 0, held: 1 });
  });

  it('has more time to make the session after a later change', async () => {
    const { until, world, deployment, one } = await scene({ holder: { commitWaitMs: 100, repeatMs: 60 } });
    deployment.network.breakHolder('one');
    const visit = codeOf(
      runNew(
        one,
        {},
        async (session) => {
          session.set('a', ['x']);
          await session.commit().catch(() => {});
          await world.sleep(3_000);
          session.set('b', ['y']);
        },
        'guest',
      ),
    );
    expect(await until(visit)).toBe('fulfilled');
  });

  it('is answered at once when it only deletes an attribute that is not there', async () => {
    const { until, world, one } = await scene();
    const began = world.time;
    await until(runNew(one, {}, (session) => session.delete('never-there')));
    expect(world.time - began).toBeLessThan(1_000);
    const gone = codeOf(run(one, { create: false }, () => {}));
    expect(await until(gone)).toBe('unknown-session');
  });

  it('gets its session by a later commit when the first one found no store in time', async () => {
    const { until, deployment, one, two } = await scene();
    await until(run(one, {}, () => {}, 'other')); // it is connected
    const codes: string[] = [];
    const late = codeOf(
      runNew(one, {}, async (session) => {
        deployment.network.stallHolder('one', 10_000, 'both');
        session.set('user', 'anna');
        codes.push(await codeOf(session.commit()));
        await deployment.world.sleep(8_000);
        session.set('cart', 'full');
        codes.push(await codeOf(session.commit()));
      }),
    );
    expect(await until(late)).toBe('fulfilled');
    expect(codes).toEqual(['outcome-unknown', 'fulfilled']);
    const seen = await until(run(two, { create: false }, (session) => [...session.names()].sort()));
    expect(seen).toEqual(['cart', 'user']);
  });
});
