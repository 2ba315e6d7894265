/** Rule 16: another process uses the id of a new session before anything is durable. */
import { describe, expect, it } from 'vitest';
import { codeOf, run, runNew, scene } from './scene.js';

describe('rule 16: a new session whose id another process uses before anything is durable', () => {
  it.each(['until-recalled', 'until-idle'] as const)(
    'belongs to the first process, and the other one gets id-taken at once, applies nothing and logs it (%s)',
    async (holdPolicy) => {
      const { until, world, one, two } = await scene({ holder: { holdPolicy } });
      const lines: string[] = [];
      world.onTrace = (line) => void lines.push(line);
      let signal: AbortSignal | undefined;
      const began = world.time;
      const late = codeOf(
        runNew(one, {}, async (session) => {
          signal = session.signal;
          session.set('user', 'anna');
          await run(two, {}, (other) => other.set('user', 'bert'));
        }),
      );
      expect(await until(late)).toBe('id-taken');
      expect(world.time - began).toBeLessThan(1_000);
      expect(signal?.aborted).toBe(true);
      expect(lines.filter((line) => /another process made session s before/.test(line))).toHaveLength(1);
      const seen = await until(run(one, { create: false }, (session) => session.get('user')));
      expect(seen, 'the next scope has the other process’s session').toBe('bert');
      expect([one.counters().waiting, two.counters().waiting]).toEqual([0, 0]);
    },
  );

  it('ends with outcome-unknown when its own grant was lost after the store had made it', async () => {
    const { until, world, deployment, one, two } = await scene();
    await until(run(one, {}, () => {}, 'other')); // a lease runs
    let seen: unknown;
    const late = codeOf(
      runNew(one, {}, (session) => {
        session.set('user', 'anna');
        deployment.network.stallHolder('one', 2_000, 'in');
        world.after(100, () => deployment.network.breakHolder('one', 50));
      }),
    );
    const other = new Promise<void>((resolve, reject) => {
      const read = () => run(two, {}, (session) => void (seen = session.get('user')));
      world.after(50, () => void read().then(resolve, reject));
    });
    await until(other);
    expect(seen).toBe('anna');
    expect(await until(late)).toBe('outcome-unknown');
  });

  it('does not fail a visit that changes nothing', async () => {
    const { until, one, two } = await scene();
    const late = codeOf(
      runNew(one, {}, async (session) => {
        await run(two, {}, (other) => other.set('user', 'bert'));
        return session.get('user');
      }),
    );
    expect(await until(late)).toBe('fulfilled');
  });

  it('leaves the old session when the id is the new one of a regenerate', async () => {
    const { until, one, two } = await scene();
    await until(run(one, {}, (session) => session.set('user', 'anna'), 'old'));
    let next = '';
    const late = codeOf(
      run(
        one,
        {},
        async (session) => {
          session.regenerate();
          next = session.id;
          expect(next).not.toBe('old');
          await run(two, {}, (other) => other.set('user', 'bert'), next);
        },
        'old',
      ),
    );
    expect(await until(late)).toBe('id-taken');
    const user = (id: string) => until(run(two, { create: false }, (session) => session.get('user'), id));
    expect([await user('old'), await user(next)]).toEqual(['anna', 'bert']);
  });
});
