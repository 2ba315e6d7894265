/** A process closes: its locks, its scopes that run or wait, and the end of a session that is pending. */
import { describe, expect, it } from 'vitest';
import { storeRules, type StoreRules } from '#protocol';
import { add, codeOf, latch, read, run, runNew, scene } from './scene.js';

describe('a process that closes', () => {
  it('refuses scopes that wait for an attribute at once, and lets running ones get the locks that they need', async () => {
    const { deployment, world, until, one } = await scene({ holder: { closeMs: 2_000, waitMs: 6_000 } });
    await until(add(one, 'first'));
    const goOn = latch();
    const holding = codeOf(
      run(one, { write: ['a'] }, async () => {
        await goOn.opened;
        // A nested run of a session that this process does not hold yet.
        await add(one, 'nested', 'zzz');
      }),
    );
    const waiting = codeOf(add(one, 'never'));
    await world.run(() => one.counters().waiting === 1, 1_000);
    const before = world.time;
    const closing = one.close();
    expect(await until(waiting)).toBe('shutting-down');
    expect(world.time - before).toBeLessThan(10);
    goOn.open();
    expect(await until(holding)).toBe('fulfilled');
    await until(closing);
    expect(world.time - before).toBeLessThan(500);
    const two = deployment.holders.get('two')!;
    expect(await until(read(two, 'zzz'))).toEqual(['nested']);
  });

  it('rule 3: does not send its leave while a nested run is inside another session', async () => {
    const { deployment, world, until, one, two } = await scene({ holder: { closeMs: 500, waitMs: 3_000 } });
    await until(add(one, 'first'));
    let inside = 0;
    let maxInside = 0;
    const visit = async (holder: typeof one) =>
      run(
        holder,
        { write: ['a'] },
        async () => {
          maxInside = Math.max(maxInside, ++inside);
          await deployment.process('two').sleep(1_000);
          inside--;
        },
        'zzz',
      );
    const staying = codeOf(
      run(one, { write: ['a'] }, async () => {
        await world.sleep(550);
        await visit(one);
      }),
    );
    await world.run(() => one.counters().scopes === 2, 100);
    const closing = one.close();
    // The answers to the last releases come late. Meanwhile the abandoned scope still runs.
    world.after(480, () => deployment.network.stallHolder('one', 300, 'in'));
    await until(world.sleep(900));
    await until(codeOf(visit(two)));
    expect(maxInside).toBe(1);
    expect(await until(staying)).toBe('shutting-down');
    await until(closing);
  });

  it('ends within its time with 5,000 sessions, loses nothing, and frees every session at once', async () => {
    const { world, until, one, two } = await scene({
      holder: { closeMs: 0, heldSessions: 10_000, writeBackMs: 60_000 },
    });
    const ids = Array.from({ length: 5_000 }, (_, i) => `s${i}`);
    for (const id of ids) await until(read(one, id));
    const made = ids.filter((_, i) => i % 500 === 0);
    for (const id of made) await until(add(one, 'made', id));
    const before = world.time;
    await until(one.close());
    expect(world.time - before).toBeLessThan(1_000);
    const { releases } = one.counters();
    expect(releases).toBeGreaterThanOrEqual(made.length);
    expect(releases).toBeLessThan(3_000);
    const after = world.time;
    for (const id of ids.slice(0, 1_000)) await until(read(two, id));
    expect(world.time - after, 'milliseconds for 1,000 sessions').toBeLessThan(1_000 * 20);
    for (const id of made) expect(await until(read(two, id))).toEqual(['made']);
  });

  it('ends within closeMs with 2,000 used sessions though no store answers, in few frames', async () => {
    const closeMs = 1_000;
    const { world, until, deployment, one } = await scene({ holder: { closeMs, heldSessions: 10_000 } });
    for (let i = 0; i < 2_000; i++) await until(read(one, `s${i}`));
    await until(deployment.stores[0]!.stop());
    const before = { at: world.time, ...one.counters() };
    await until(one.close());
    const after = one.counters();
    expect(world.time - before.at).toBeLessThanOrEqual(closeMs);
    // One step of releases, their repeats, and the last messages to each partition.
    expect(after.releases - before.releases).toBe(1_000);
    expect(after.framesSent - before.framesSent).toBeLessThan(20);
  });

  it('rule 17: leaves one session of two when the old one cannot be destroyed', async () => {
    let refuses = false;
    const currentGrant: StoreRules['currentGrant'] = (session, change, holder) =>
      refuses && session.id === 's' && change.kind === 'destroy'
        ? undefined
        : storeRules.currentGrant(session, change, holder);
    const { world, until, one, two } = await scene({ variant: { store: { currentGrant } } });
    await until(add(one, 'first'));
    refuses = true;
    const goOn = latch();
    let next = '';
    const login = codeOf(
      run(one, {}, async (session) => {
        next = session.regenerate();
        await goOn.opened;
      }),
    );
    await world.run(() => next !== '', 100);
    const closing = one.close();
    goOn.open();
    expect(await until(login)).toBe('outcome-unknown');
    await until(closing);
    expect(await until(codeOf(run(two, { create: false }, () => {}, next)))).toBe('session-destroyed');
    expect(await until(read(two))).toEqual(['first']);
  });

  it('refuses at once a change that a new visitor makes after its time', async () => {
    const { world, until, one } = await scene({ holder: { closeMs: 200, commitWaitMs: 5_000 } });
    const visit = codeOf(
      runNew(
        one,
        {},
        async (session) => {
          await world.sleep(300);
          session.set('a', ['late']);
        },
        'guest',
      ),
    );
    await world.run(() => one.counters().scopes === 1, 100);
    const before = world.time;
    await until(one.close());
    expect(await until(visit)).toBe('shutting-down');
    expect(world.time - before).toBeLessThan(500);
  });

  it('ends a scope that waits for an acknowledgement with outcome-unknown when its time is over', async () => {
    const { until, world, deployment, one } = await scene({ holder: { closeMs: 500, commitWaitMs: 2_000 } });
    await until(add(one, 'first'));
    await until(deployment.stores[0]!.stop());
    const writing = codeOf(add(one, 'second'));
    await world.pass(10);
    await until(one.close());
    expect(await until(writing)).toBe('outcome-unknown');
  });

  it('fails a scope that outlives its time, and frees the lock at once', async () => {
    const { until, world, one, two } = await scene({ holder: { closeMs: 500, commitWaitMs: 2_000 } });
    await until(add(one, 'first'));
    const writing = codeOf(
      run(one, { write: ['a'] }, async (session) => {
        await world.sleep(5_000);
        session.set('a', ['late']);
      }),
    );
    await world.pass(10);
    await until(one.close());
    const closedAt = world.time;
    await until(add(two, 'second'));
    expect(world.time - closedAt).toBeLessThan(100);
    expect(await until(writing)).toBe('shutting-down');
  });

  it('ends a scope that nests another session after its time', async () => {
    const { until, world, one } = await scene({
      holder: { closeMs: 500, commitWaitMs: 2_000, waitMs: 1_000 },
    });
    await until(add(one, 'first'));
    const nesting = codeOf(
      run(one, { write: ['a'] }, async () => {
        await world.sleep(5_000);
        await run(one, {}, () => {}, 'zzz');
      }),
    );
    await world.pass(10);
    await until(one.close());
    expect(['wait-timeout', 'shutting-down']).toContain(await until(nesting));
  });

  it('refuses a run that an ended scope left behind', async () => {
    const { until, one } = await scene();
    const later = latch();
    let late!: Promise<string>;
    await until(run(one, {}, () => void (late = later.opened.then(() => codeOf(run(one, {}, () => {}))))));
    const closing = one.close();
    later.open();
    expect(await until(late)).toBe('shutting-down');
    await until(closing);
  });
});
