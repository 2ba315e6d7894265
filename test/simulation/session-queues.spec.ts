/** Queues of sessions (rule 21) with real drivers on virtual time: what app servers may count on when queues go, stores die and connections are cut. */
import { describe, expect, it } from 'vitest';
import { PartitionMachine } from '#protocol';
import type { Variant } from './deployment.js';
import { add, codeOf, read, run, scene } from './scopes.js';

const stage = (variant: Variant = {}) =>
  scene({ holder: { queues: 'per-session', waitMs: 4_000 }, stores: 2, variant });

/** One process holds the session until `leave`; another one, and a third, wait for it in this order. */
async function contended(variant?: Variant) {
  const { deployment, world, until, one, two } = await stage(variant);
  const three = await deployment.holder('three');
  await until(add(one, 'first'));
  let leave!: () => void;
  const left = new Promise<void>((resolve) => (leave = resolve));
  let inside = false;
  const staying = run(one, { write: ['a'] }, async () => {
    inside = true;
    await left;
  });
  await world.run(() => inside, 1_000);
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
    leave();
    return until(Promise.all([codeOf(staying), codeOf(second), codeOf(third)]));
  };
  return { deployment, world, until, one, granted, end };
}

describe('queues of sessions', () => {
  it('grant in the order of asking, over the queue alone', async () => {
    const { until, one, granted, end } = await contended();
    await end();
    expect(granted).toEqual(['second', 'third']);
    expect(await until(read(one))).toEqual(['first', 'second', 'third']);
  });

  it('that are deleted while processes wait are made again, and everybody is granted in time', async () => {
    const { deployment, end } = await contended();
    deployment.network.sessions.delete('s');
    expect(await end()).toEqual(['fulfilled', 'fulfilled', 'fulfilled']);
  });

  it('serve the line in its order when the store is killed and another one takes over', async () => {
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

  it('keep the place of a process whose connection is cut while it waits', async () => {
    const { deployment, world, granted, end } = await contended();
    deployment.network.breakHolder('two');
    await world.run(() => false, 1_500);
    await end();
    expect(granted).toEqual(['second', 'third']);
  });

  describe('an acquire that the broker loses', () => {
    class MissesNothing extends PartitionMachine {
      protected override misses(): boolean {
        return false;
      }
    }
    const lose = async (variant?: Variant) => {
      const { deployment, until, one, two } = await stage(variant);
      await until(add(one, 'first'));
      deployment.network.sessions.losing = 1;
      return until(codeOf(add(two, 'second')));
    };

    it('is put into its queue again', async () => {
      expect(await lose()).toBe('fulfilled');
    });

    it('would be waited for in vain if the store did not say that it misses it', async () => {
      expect(await lose({ machine: (...of) => new MissesNothing(...of) })).toBe('wait-timeout');
    });
  });
});
