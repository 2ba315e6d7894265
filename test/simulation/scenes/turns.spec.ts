/**
 * Rule 23: a lock that goes from holder to holder. Each scene is played by the rule, and with a decision of
 * it switched off, where the harm must show.
 */
import { describe, expect, it } from 'vitest';
import type { LockedSessions } from '#locked-session';
import type { Variant } from '../world/deployment.js';
import { add, codeOf, run, scene } from './scene.js';

const turnMs = 10;
/** Within about this time all that wait have had a turn, in milliseconds. */
const roundMs = 200;

/** So many scopes at once of each process change one session, each again and again, for `ms` milliseconds. */
async function contend(processes: number, scopes: number, ms: number, variant: Variant = {}) {
  const { deployment, until, world, one, two } = await scene({
    variant,
    store: { turnMs },
    holder: { maxWaitingScopes: 100 },
  });
  const others = ['three', 'four'].slice(0, processes - 2).map((name) => deployment.holder(name));
  const servers = [one, two, ...(await Promise.all(others))];
  await until(add(one, 'first')); // with the claim of the partition
  const end = world.time + ms;
  const changes = servers.map(() => 0);
  const waits: number[] = [];
  const ends = new Set<string>();
  const before = total(servers);
  const scope = async (at: number) => {
    while (world.time < end) {
      const asked = world.time;
      const change = run(servers[at]!, { write: ['a'] }, (session) => {
        waits.push(world.time - asked);
        session.set('a', [`${at} ${changes[at]}`, `${waits.length}`]);
      });
      const code = await codeOf(change);
      ends.add(code);
      if (code === 'fulfilled') changes[at]!++;
    }
  };
  const all = servers.flatMap((_, at) => Array.from({ length: scopes }, () => scope(at)));
  await until(Promise.all(all), 10 * ms);
  const after = total(servers);
  const used = { grants: after.grants - before.grants, frames: after.framesSent - before.framesSent };
  const longestMs = Math.max(...waits, 0);
  return { changes, longestMs, ends: [...ends], recalls: after.recalls - before.recalls, ...used };
}

const total = (servers: readonly LockedSessions[]) => {
  const sum = { grants: 0, recalls: 0, framesSent: 0 };
  for (const server of servers) {
    const counters = server.counters();
    for (const name of Object.keys(sum) as (keyof typeof sum)[]) sum[name] += counters[name];
  }
  return sum;
};
/** The two change the session in turn, until the lock goes from one to the other. */
async function alternate(one: LockedSessions, two: LockedSessions): Promise<void> {
  for (let n = 0; n < 4; n++) {
    await add(one, 'x');
    await add(two, 'x');
  }
}

const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

describe('rule 23: processes that change one session in turn', () => {
  it('rule 23: pass it on without a recall: two frames of a holder for each grant', async () => {
    const { grants, frames, recalls, ends } = await contend(2, 1, 500);
    expect(ends).toEqual(['fulfilled']);
    // The acquire, and the release that bears the change.
    expect(frames / grants).toBeLessThan(2.1);
    expect(recalls / grants).toBeLessThan(0.1);
    const off = await contend(2, 1, 500, { store: { isPassedOn: () => false } });
    expect(off.recalls / off.grants, 'each is asked back').toBeGreaterThan(0.4);
    expect(grants, 'two hops for each grant').toBeGreaterThan(1.3 * off.grants);
    const kept = await contend(2, 1, 500, { holder: { isTurnOver: () => false } });
    expect(kept.grants, 'each keeps the lock for its whole turn').toBeLessThan(0.5 * grants);
  });

  it.each([2, 3, 4])('rule 23: of %i with many scopes each has its share, and none waits long', async (n) => {
    const { changes, longestMs, ends } = await contend(n, 8, 2_000);
    expect(ends).toEqual(['fulfilled']);
    const share = sum(changes) / n;
    for (const count of changes) expect(Math.abs(count - share) / share).toBeLessThan(0.1);
    expect(longestMs).toBeLessThan(roundMs);
  });

  it('rule 23: a turn ends, though newcomers keep coming', async () => {
    const waited = async (variant: Variant = {}) => {
      const { until, world, one, two } = await scene({ variant, store: { turnMs } });
      await until(alternate(one, two));
      let isOver = false;
      const visit = async (name: string) => {
        while (!isOver) await run(one, { write: [name] }, () => world.sleep(7));
      };
      const visits = ['a', 'b', 'c'].map((name, at) => world.sleep(2 * at).then(() => visit(name)));
      await world.pass(20);
      const asked = world.time;
      await until(add(two, 'x'));
      const ms = world.time - asked;
      isOver = true;
      await until(Promise.all(visits));
      return ms;
    };
    expect(await waited()).toBeLessThan(roundMs);
    const off = await waited({ store: { turnMsFor: () => Infinity } });
    expect(off, 'until the waiter repeats its request').toBeGreaterThan(roundMs);
  });

  it('rule 23: when one process alone is left, it keeps the lock again', async () => {
    const alone = async (variant: Variant = {}) => {
      const { until, one, two } = await scene({ variant, store: { turnMs } });
      await until(alternate(one, two));
      const before = two.counters().grants;
      for (let n = 0; n < 20; n++) await until(add(two, 'x'));
      return two.counters().grants - before;
    };
    expect(await alone()).toBeLessThan(5);
    expect(await alone({ store: { passesAfter: () => 4 } }), 'a lock that is always passed on').toBe(20);
  });
});
