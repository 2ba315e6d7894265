/** Scenes for what a review of races found: scopes that outlive others, grants that end early, and the end of a process. */
import { describe, expect, it } from 'vitest';
import type { LockedSessions, RunOptions } from '#locked-session';
import { PartitionMachine, partitionOf } from '#protocol';
import { Deployment, type DeploymentOptions } from './deployment.js';

interface Lists {
  readonly signal: AbortSignal;
  get(name: string): readonly string[] | undefined;
  draft(name: string, initial: () => string[]): string[];
  set(name: string, value: unknown): void;
  delete(name: string): void;
  names(): string[];
  commit(): Promise<void>;
}
type Body<T> = (session: Lists) => T | Promise<T>;
const run = <T>(holder: LockedSessions, options: RunOptions, body: Body<T>, id = 's') =>
  holder.run(id, options, (session) => body(session as unknown as Lists));
const add = (holder: LockedSessions, mark: string, id = 's') =>
  run(holder, { write: ['a'] }, (session) => void session.draft('a', () => []).push(mark), id);
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'fulfilled',
    (error: Error & { code?: string }) => error.code ?? error.message,
  );
async function scene(options: DeploymentOptions = {}) {
  const deployment = new Deployment(options);
  await deployment.start();
  const { world } = deployment;
  const until = <T>(promise: Promise<T>) => deployment.until(promise);
  const [one, two] = [await deployment.holder('one'), await deployment.holder('two')];
  return { deployment, world, until, one, two };
}
function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, opened };
}
/** A store that has forgotten the grants of some sessions (memory repository restarted, power loss, remembered-bound). */
const forgetful = (forgotten: Set<string>) => ({
  machine: (...of: ConstructorParameters<typeof PartitionMachine>) =>
    new (class extends PartitionMachine {
      protected override currentGrant(...args: Parameters<PartitionMachine['currentGrant']>) {
        if (forgotten.has(args[0].id)) {
          forgotten.delete(args[0].id);
          if (args[0].record) args[0].record.grant = undefined as never;
        }
        return super.currentGrant(...args);
      }
    })(...of),
});
const gatesOf = (h: LockedSessions) => (h as unknown as { gates: Map<string, unknown> }).gates;

describe('scopes at the edges of their time', () => {
  it('a scope that outlives its lost grant does not take the next gate with it', async () => {
    const forgotten = new Set<string>();
    const { until, world, one, two } = await scene({ variant: forgetful(forgotten) });
    await until(add(one, 'first'));
    const goOn = gate();
    const old = codeOf(run(one, { read: ['b'] }, () => goOn.opened)); // any scope inside when the lock is lost
    await world.run(() => false, 10);
    forgotten.add('s');
    expect(await until(codeOf(add(one, 'lost')))).toBe('outcome-unknown');
    await until(add(one, 'second')); // a new gate, a new grant
    goOn.open();
    await until(old); // takes the new gate out of the map
    const mine = codeOf(run(one, { waitMs: 1_000 }, () => {}));
    const theirs = codeOf(run(two, { waitMs: 3_000 }, () => {}));
    expect([await until(mine), await until(theirs)]).toEqual(['fulfilled', 'fulfilled']);
  });

  it('waits at the gate that was dropped end', async () => {
    const forgotten = new Set<string>();
    const { until, world, one, two } = await scene({ variant: forgetful(forgotten) });
    await until(add(one, 'first'));
    const goOn = gate();
    const old = codeOf(run(one, { read: ['b'] }, () => goOn.opened));
    await world.run(() => false, 10);
    forgotten.add('s');
    expect(await until(codeOf(add(one, 'lost')))).toBe('outcome-unknown');
    const theirs = run(two, {}, () => world.sleep(3_000));
    await world.run(() => false, 50);
    const waiting = codeOf(run(one, { waitMs: 1_000 }, () => {})); // waits at the new gate
    await world.run(() => false, 10);
    goOn.open();
    await until(old);
    expect(await until(waiting)).toBe('wait-timeout');
    await until(theirs);
  });

  it('a grandchild that outlives its parent and then the root is a root of its own', async () => {
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

  it('a scope begun in the context of a child that has ended', async () => {
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

  it('a draft within a promoted child is kept', async () => {
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

  it('a promoted child waits for what it saw of its root', async () => {
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

  it('names() is a look too', async () => {
    const { until, world, deployment, one } = await scene({ holder: { commitWaitMs: 2_000 } });
    await until(add(one, 'first'));
    await until(deployment.stores[0]!.stop());
    const writing = codeOf(run(one, { write: ['b'] }, (session) => session.set('b', ['new'])));
    await world.run(() => false, 10);
    let names: string[] = [];
    const reading = codeOf(run(one, { read: ['a', 'b'] }, (session) => void (names = session.names())));
    expect(await until(Promise.all([writing, reading]))).toEqual(['outcome-unknown', 'outcome-unknown']);
    expect(names).toEqual(['a', 'b']);
  });

  it('a result that waits at the end of close() is told something', async () => {
    const { until, world, deployment, one } = await scene({ holder: { closeMs: 500, commitWaitMs: 2_000 } });
    await until(add(one, 'first'));
    await until(deployment.stores[0]!.stop());
    const writing = codeOf(add(one, 'second'));
    await world.run(() => false, 10);
    await until(one.close());
    expect(await until(writing)).toBe('outcome-unknown');
  });

  it('a scope that outlives close() fails, and its lock is free for others at once', async () => {
    const { until, world, one, two } = await scene({ holder: { closeMs: 500, commitWaitMs: 2_000 } });
    await until(add(one, 'first'));
    const writing = codeOf(
      run(one, { write: ['a'] }, async (session) => {
        await world.sleep(5_000);
        session.set('a', ['late']);
      }),
    );
    await world.run(() => false, 10);
    await until(one.close());
    const closedAt = world.time;
    await until(add(two, 'second'));
    expect(world.time - closedAt).toBeLessThan(100);
    expect(await until(writing)).toBe('shutting-down');
  });

  it('a scope that nests another session after close() ends', async () => {
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
    await world.run(() => false, 10);
    await until(one.close());
    expect(['wait-timeout', 'shutting-down']).toContain(await until(nesting));
  });

  it('a grant and a loss in one frame: the cap does not release what is lost', async () => {
    const forgotten = new Set<string>();
    const { until, world, one, deployment } = await scene({
      variant: forgetful(forgotten),
      holder: { heldSessions: 1, commitWaitMs: 2_000, waitMs: 2_000 },
    });
    const [first, second] = ['s0', 's1', 's2', 's3', 's4'].filter(
      (id) => partitionOf(id, 2) === partitionOf('s0', 2),
    );
    await until(add(one, 'x', first));
    await world.run(() => false, 100);
    forgotten.add(first!);
    const both = [codeOf(add(one, 'z', second)), codeOf(add(one, 'y', first))];
    const result = await until(Promise.all(both));
    expect(result).toEqual(['fulfilled', 'outcome-unknown']);
    expect(await until(codeOf(add(one, 'again', first)))).toBe('fulfilled');
    await deployment.rest();
    expect(deployment.checkers.violations).toEqual([]);
  });

  it('scopes that are refused before the gate leave nothing', async () => {
    const { until, world, one } = await scene({ holder: { waitMs: 500 } });
    const signal = AbortSignal.abort();
    for (let i = 0; i < 10; i++) {
      expect(await codeOf(run(one, { isNew: true, signal }, () => {}, `n${i}`))).toBe('aborted');
      expect(await codeOf(run(one, { write: [''] }, () => {}, `m${i}`))).toBe('attribute-name');
    }
    await world.run(() => false, 200_000);
    expect(gatesOf(one).size).toBe(0);
    await until(add(one, 'x'));
  });

  it('what outlives a scope and runs others for ever, does so in constant space', async () => {
    const { until, one } = await scene();
    await until(add(one, 'x'));
    let left = 12_000;
    let done!: () => void;
    let failed: unknown;
    const over = new Promise<void>((resolve) => (done = resolve));
    const poll = (): void => {
      run(one, { read: ['a'] }, () => {
        // as a job that schedules its own next round would
        void new Promise<void>((resolve) => setImmediate(resolve)).then(() => (left-- > 0 ? poll() : done()));
      }).catch((error: unknown) => ((failed = error), done()));
    };
    poll();
    await over;
    expect(failed).toBeUndefined();
  });

  it('after close began, what an ended scope left behind is turned away', async () => {
    const { until, one } = await scene();
    const later = gate();
    let late!: Promise<string>;
    await until(run(one, {}, () => void (late = later.opened.then(() => codeOf(run(one, {}, () => {}))))));
    one.turnAway();
    later.open();
    expect(await until(late)).toBe('shutting-down');
  });

  it('a later change asks for longer that the session be made', async () => {
    const { until, world, deployment, one } = await scene({ holder: { commitWaitMs: 100, repeatMs: 60 } });
    deployment.network.breakHolder('one');
    const visit = codeOf(
      run(
        one,
        { isNew: true },
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
});
