/** Rule 21: queues of sessions when they are deleted, stores die and connections are cut. */
import { describe, expect, it } from 'vitest';
import type { Variant } from '../world/deployment.js';
import { add, codeOf, latch, read, run, scene } from './scene.js';

const perSession = (variant: Variant = {}) =>
  scene({ holder: { queues: 'per-session', waitMs: 4_000 }, stores: 2, variant });

/** One process holds the session until `end`. Another one and a third one wait for it in this order. */
async function contended(variant?: Variant) {
  const { deployment, world, until, one, two } = await perSession(variant);
  const three = await deployment.holder('three');
  await until(add(one, 'first'));
  const [inside, goOn] = [latch(), latch()];
  const staying = run(one, { write: ['a'] }, () => (inside.open(), goOn.opened));
  await until(inside.opened);
  const granted: string[] = [];
  const wait = async (name: string, holder: typeof one) => {
    await add(holder, name);
    granted.push(name);
  };
  const isWaiting = () => deployment.stores.flatMap((store) => store.snapshot().partitions);
  const second = wait('second', two);
  await world.run(() => isWaiting().some(({ waiting }) => waiting === 1), 1_000);
  const third = wait('third', three);
  await world.run(() => isWaiting().some(({ waiting }) => waiting === 2), 1_000);
  const end = async () => {
    goOn.open();
    return until(Promise.all([codeOf(staying), codeOf(second), codeOf(third)]));
  };
  return { deployment, world, until, one, granted, end };
}

describe('rule 21: queues of sessions', () => {
  it('grant in the order of the requests', async () => {
    const { until, one, granted, end } = await contended();
    await end();
    expect(granted).toEqual(['second', 'third']);
    expect(await until(read(one))).toEqual(['first', 'second', 'third']);
  });

  it('are made again when they are deleted while processes wait, and each waiter is granted in time', async () => {
    const { deployment, end } = await contended();
    deployment.network.sessions.delete('s');
    expect(await end()).toEqual(['fulfilled', 'fulfilled', 'fulfilled']);
  });

  it('keep the order of waiters when the store is killed and another one takes over', async () => {
    const { deployment, world, granted, end } = await contended();
    const [owner] = deployment.storeNames;
    deployment.kill(owner!);
    await world.run(
      () => deployment.stores[0]!.snapshot().partitions.some(({ waiting }) => waiting === 2),
      900,
    );
    expect(deployment.stores[0]!.snapshot().partitions).toContainEqual(
      expect.objectContaining({ waiting: 2, queues: 1 }),
    );
    await end();
    expect(granted).toEqual(['second', 'third']);
  });

  it('keep the place of a waiter whose connection is cut', async () => {
    const { deployment, world, granted, end } = await contended();
    deployment.network.breakHolder('two');
    await world.pass(1_500);
    await end();
    expect(granted).toEqual(['second', 'third']);
  });

  it('do not keep a release from the store when both layouts have as many waiters as they may', async () => {
    const { deployment, world, until, one, two } = await scene({
      store: { partitions: 1, waitersPerPartition: 4, waitersPerSession: 4, window: 2 },
      holder: { partitions: 1, waitMs: 4_000 },
    });
    const queued = await deployment.holder('queued', { queues: 'per-session' });
    await until(add(one, 'first'));
    // The store consumes as many queues of sessions as it may. Each keeps a knock.
    for (let i = 0; i < 4; i++) await until(add(queued, 'mark', `q${i}`));
    const goOn = latch();
    const staying = codeOf(run(one, { write: ['a'] }, () => goOn.opened));
    // As many requests wait as the limit allows.
    const names = ['three', 'four', 'five'];
    const others = [two, ...(await Promise.all(names.map((name) => deployment.holder(name))))];
    const waiting = others.map((holder) => codeOf(add(holder, 'mark')));
    const isFull = () => deployment.stores[0]!.snapshot().partitions[0]?.waiting === 4;
    await world.run(isFull, 1_000);
    goOn.open();
    const before = world.time;
    await until(staying);
    expect(await until(Promise.all(waiting))).toEqual(waiting.map(() => 'fulfilled'));
    expect(world.time - before).toBeLessThan(500);
  });
});

describe('rule 21: an acquire that the broker loses', () => {
  const lose = async (variant?: Variant) => {
    const { deployment, until, one, two } = await perSession(variant);
    await until(add(one, 'first'));
    deployment.network.sessions.losing = 1;
    return until(codeOf(add(two, 'second')));
  };

  it('is put into its queue again', async () => {
    expect(await lose()).toBe('fulfilled');
  });

  it('is never granted if the store does not report it as missing', async () => {
    expect(await lose({ store: { mustPutAgain: () => false } })).toBe('wait-timeout');
  });
});
