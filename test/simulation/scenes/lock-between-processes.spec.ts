/**
 * The lock that two processes pass to each other: grants, recalls, nested runs, caps and an orderly end.
 */
import { describe, expect, it } from 'vitest';
import { add, codeOf, latch, stay, read, run, scene } from './scene.js';

describe('the lock between processes', () => {
  it('rule 3: sends no message for a read under a held lock, and one commit for a change', async () => {
    const { until, one } = await scene();
    await until(add(one, 'first'));
    const before = one.counters();
    await until(read(one));
    expect(one.counters()).toMatchObject({
      messagesSent: before.messagesSent,
      servedFromHeldLock: 1,
      servedWithoutMessage: 1,
    });
    await until(add(one, 'second'));
    expect(one.counters()).toMatchObject({ commits: before.commits + 1, grants: 1 });
  });

  it('rules 4 and 5: lets running scopes of a recalled holder finish, and puts its new scopes behind the other process', async () => {
    const { until, world, one, two } = await scene();
    const order: string[] = [];
    const inside = latch();
    const goOn = latch();
    const first = run(one, { write: ['a'] }, async () => {
      inside.open();
      await goOn.opened;
      order.push('one');
    });
    await until(inside.opened);
    const other = run(two, {}, () => void order.push('two'));
    await world.run(() => one.counters().recalls === 1, 1_000);
    const newcomer = run(one, { write: ['b'] }, () => void order.push('newcomer'));
    await world.pass(500);
    expect(order).toEqual([]);
    goOn.open();
    await until(Promise.all([first, other, newcomer]));
    expect(order).toEqual(['one', 'two', 'newcomer']);
  });

  it('rule 5: admits a nested run of a running scope while the gate is shut', async () => {
    const { until, world, one, two } = await scene();
    const inside = latch();
    const goOn = latch();
    const first = run(one, { write: ['a'] }, async () => {
      inside.open();
      await goOn.opened;
      return run(one, { write: ['b'] }, (session) => void session.set('b', ['nested']));
    });
    await until(inside.opened);
    const other = run(two, { read: ['b'] }, (session) => session.get('b'));
    await world.run(() => one.counters().recalls === 1, 1_000);
    goOn.open();
    await until(first);
    expect(await until(other)).toEqual(['nested']);
  });

  it('rule 2: keeps the request for later scopes when the deadline of the first scope is over', async () => {
    const { until, world, one, two } = await scene();
    const holding = stay(two);
    await until(holding.inside);
    const impatient = codeOf(run(one, { waitMs: 500 }, () => {}));
    const patient = run(one, { waitMs: 5_000 }, () => 'served');
    expect(await until(impatient)).toBe('wait-timeout');
    await world.pass(2_000);
    holding.leave();
    expect(await until(patient)).toBe('served');
    await until(holding.ended);
    expect(one.counters().grants).toBe(1);
  });

  it('rule 3: gives the lock back under until-idle as soon as no scope is inside', async () => {
    const { until, world, one } = await scene({ holder: { holdPolicy: 'until-idle' } });
    await until(add(one, 'first'));
    await world.run(() => one.counters().held === 0, 1_000);
    expect(one.counters()).toMatchObject({ held: 0, releases: 1, recalls: 0 });
    expect(await until(read(one))).toEqual(['first']);
  });

  it('rule 3: releases the least recently used sessions when a holder has more than heldSessions', async () => {
    const { until, world, one } = await scene({ holder: { heldSessions: 16 } });
    for (let i = 1; i <= 17; i++) await until(add(one, 'x', `s${i}`));
    await world.pass(100);
    expect(one.counters().held).toBe(15);
    const { grants } = one.counters();
    await until(read(one, 's17'));
    expect(one.counters().grants).toBe(grants);
    await until(read(one, 's1'));
    expect(one.counters().grants).toBe(grants + 1);
  });

  it('rule 3: releases a session that no scope used for idleReleaseMs', async () => {
    const { until, world, one } = await scene({ holder: { idleReleaseMs: 1_000 } });
    await until(Promise.all([add(one, 'x', 'used'), add(one, 'x', 'unused')]));
    for (let i = 0; i < 4; i++) {
      await world.pass(600);
      await until(read(one, 'used'));
    }
    expect(one.counters()).toMatchObject({ held: 1, grants: 2, releases: 1, recalls: 0 });
  });

  it('brings only the changed attributes when the lock comes back', async () => {
    const { until, world, one, two } = await scene();
    await until(
      run(one, {}, (session) => (session.set('a', ['1']), session.set('b', ['1']), session.set('c', ['1']))),
    );
    const mine = run(one, { write: ['a'] }, async (session) => {
      await run(one, {}, () => {}, 'other');
      session.set('a', ['2']);
    });
    const theirs = run(two, {}, (session) => (session.set('b', ['3']), session.delete('c')));
    await world.run(() => one.counters().recalls === 1, 1_000);
    const again = run(one, { read: '*' }, (session) =>
      session.names().map((name) => [name, session.get(name)]),
    );
    await until(Promise.all([mine, theirs]));
    expect(new Map((await until(again)) as [string, unknown][])).toEqual(
      new Map([
        ['a', ['2']],
        ['b', ['3']],
      ]),
    );
  });

  it('rule 12: gets a grant back from the queue of a dead connection once the holder has another', async () => {
    const { until, world, deployment, one, two } = await scene();
    const holding = stay(two);
    await until(holding.inside);
    const impatient = codeOf(run(one, { waitMs: 100 }, () => {}));
    await world.run(() => two.counters().recalls === 1, 1_000);
    deployment.network.breakHolder('one', 500);
    holding.leave();
    await until(holding.ended);
    expect(await until(impatient)).toBe('wait-timeout');
    expect(await until(codeOf(run(two, {}, () => {})))).toBe('fulfilled');
  });

  it('releases every lock at an orderly end, and the other process continues at once', async () => {
    const { until, deployment, one, two } = await scene();
    await until(Promise.all([add(one, 'x', 's1'), add(one, 'x', 's2')]));
    await until(one.close());
    expect(await until(codeOf(add(one, 'late')))).toBe('shutting-down');
    const { recalls } = one.counters();
    expect(await until(read(two, 's1'))).toEqual(['x']);
    expect(one.counters().recalls).toBe(recalls);
    await deployment.rest();
    expect(deployment.checkers.violations).toEqual([]);
  });
});
