/** Rule 18: nested scopes that outlive a root that ended well become roots of their own. */
import { describe, expect, it } from 'vitest';
import type { LockedSessions } from '#locked-session';
import { add, codeOf, fail, gatesOf, latch, readAll, run, scene } from './scene.js';

/** The names of the attributes that the process knows to be in the store. */
function storedNames(holder: LockedSessions): string[] {
  const gate = gatesOf(holder).get('s') as unknown as {
    held: { grant: { attributes: Map<string, unknown> } };
  };
  return [...gate.held.grant.attributes.keys()];
}

describe('rule 18: a root that ends before its nested scopes', () => {
  it('commits its own changes, and nothing that only a running nested scope has locked', async () => {
    const { until, world, one, two } = await scene();
    const goOn = latch();
    let child!: Promise<void>;
    await until(
      run(one, { write: ['a'] }, async (session) => {
        session.set('a', 1);
        await run(one, { write: ['c'] }, (ended) => ended.set('c', 'of a child that has ended'));
        child = run(one, { write: ['b'] }, async (inner) => {
          const list = inner.draft('b', () => []);
          list.push('first half');
          await goOn.opened;
          list.push('second half');
        });
        await world.sleep(1);
      }),
    );
    const seen = run(two, {}, (session) => session.get('b'));
    await world.pass(20);
    expect(storedNames(one).sort()).toEqual(['a', 'c']);
    goOn.open();
    await until(child);
    expect(await until(seen)).toEqual(['first half', 'second half']);
  });

  it('discards what only the nested scope had locked when that one fails later', async () => {
    const { until, world, one, two } = await scene();
    const goOn = latch();
    let child!: Promise<string>;
    await until(
      run(one, { write: ['a'] }, async (session) => {
        session.set('a', 1);
        child = codeOf(
          run(one, { write: ['b'] }, async (inner) => {
            inner.set('b', 'half');
            await goOn.opened;
            fail();
          }),
        );
        await world.sleep(1);
      }),
    );
    goOn.open();
    expect(await until(child)).toBe('deliberate');
    expect(await until(readAll(two))).toEqual([['a', 1]]);
  });

  it('makes the nested scope a root', async () => {
    const { until, world, one, two } = await scene();
    let child!: Promise<void>;
    await until(
      run(one, { write: ['a'] }, (session) => {
        session.set('a', ['root']);
        child = run(one, { write: ['b'] }, async (inner) => {
          await world.sleep(100);
          inner.set('b', ['child']);
        });
      }),
    );
    const others = run(two, { read: '*' }, (session) => [session.get('a'), session.get('b')]);
    await until(child);
    expect(await until(others)).toEqual([['root'], ['child']]);
  });

  it('makes a grandchild that outlives parent and root a root', async () => {
    const { until, world, one, two } = await scene();
    let late!: Promise<void>;
    await until(
      run(one, { write: ['a'] }, async () => {
        await run(one, { write: ['b'] }, () => {
          late = run(one, { write: ['c'] }, async (inner) => {
            await world.sleep(100);
            inner.set('c', ['late']);
          });
        });
      }),
    );
    const theirs = run(two, { read: '*' }, (session) => session.get('c'));
    await until(late);
    expect(await until(theirs)).toEqual(['late']);
  });

  it('makes a scope that began in the context of an ended child a root', async () => {
    const { until, world, one, two } = await scene();
    let late!: Promise<void>;
    await until(
      run(one, { write: ['a'] }, async () => {
        await run(one, { write: ['b'] }, () => {
          late = world.sleep(5).then(() =>
            run(one, { write: ['c'] }, async (inner) => {
              await world.sleep(100);
              inner.set('c', ['late']);
            }),
          );
        });
        await world.sleep(20);
      }),
    );
    const theirs = run(two, { read: '*' }, (session) => session.get('c'));
    await until(late);
    expect(await until(theirs)).toEqual(['late']);
  });

  it('keeps a draft that a grandchild changes after the end of the root', async () => {
    const { until, world, one, two } = await scene();
    let child!: Promise<void>;
    await until(
      run(one, { write: ['a'] }, () => {
        child = run(one, { write: ['b'] }, () =>
          run(one, { write: ['c'] }, async (inner) => {
            const list = inner.draft('c', () => []);
            await world.sleep(100);
            list.push('late');
          }),
        );
      }),
    );
    await until(child);
    expect(await until(run(two, {}, (session) => session.get('c')))).toEqual(['late']);
  });

  it('lets a nested scope wait for the changes of the root that it saw', async () => {
    const { until, world, deployment, one } = await scene({ holder: { commitWaitMs: 2_000 } });
    await until(add(one, 'first'));
    await until(deployment.stores[0]!.stop());
    let child!: Promise<string>;
    let seen: readonly string[] = [];
    const root = codeOf(
      run(one, { write: ['a'] }, (session) => {
        session.set('a', ['second']);
        child = codeOf(
          run(one, { read: ['a'] }, async (inner) => {
            seen = [...inner.get('a')!];
            await world.sleep(10);
          }),
        );
      }),
    );
    expect(await until(Promise.all([root, child]))).toEqual(['outcome-unknown', 'outcome-unknown']);
    expect(seen).toEqual(['second']);
  });

  it('needs constant memory for a job that starts one scope after the other', async () => {
    const { until, one } = await scene();
    await until(add(one, 'x'));
    let left = 12_000;
    let done!: () => void;
    let failed: unknown;
    const over = new Promise<void>((resolve) => (done = resolve));
    const poll = (): void => {
      run(one, { read: ['a'] }, () => {
        // like a job that schedules its next round
        void new Promise<void>((resolve) => setImmediate(resolve)).then(() => (left-- > 0 ? poll() : done()));
      }).catch((error: unknown) => ((failed = error), done()));
    };
    poll();
    await over;
    expect(failed).toBeUndefined();
  });
});
