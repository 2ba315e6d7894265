/**
 * Races among scopes, of one process and of two, each played twice: by the rules, and with the one rule switched off that stands against it, where the
 * harm must show. The table of all races is in docs/PROTOCOL.md.
 */
import { describe, expect, it } from 'vitest';
import { PartitionMachine } from '#protocol';
import type { Variant } from './deployment.js';
import { add, codeOf, read, run, scene, type Lists } from './scopes.js';

describe('race 10: a commit is refused while others have already seen its effect', () => {
  /** A store that does not know a grant for once, as it may be after a power loss: it refuses that change as `outcome-unknown`. */
  function forgetful() {
    const memory = { lapse: false };
    class Forgetful extends PartitionMachine {
      protected override currentGrant(...of: Parameters<PartitionMachine['currentGrant']>) {
        const { lapse } = memory;
        memory.lapse = false;
        return lapse ? undefined : super.currentGrant(...of);
      }
    }
    const variant: Variant = { machine: (...of) => new Forgetful(...of) };
    return { memory, variant };
  }

  async function play(writeBackMs: number) {
    const { memory, variant } = forgetful();
    const { until, world, one, two } = await scene({ variant, holder: { writeBackMs } });
    await until(add(one, 'first'));
    await world.run(() => false, 2 * writeBackMs);
    memory.lapse = true;
    let seen: string[] = [];
    const reading = async () => void (seen = await read(one));
    const ends = [add(one, 'refused'), reading(), add(one, 'later')].map(codeOf);
    const results = await until(Promise.all(ends));
    return { results, seen, kept: await until(read(two)) };
  }

  it('race 10: everybody who could have seen it fails with it, readers too', async () => {
    const unknown = 'outcome-unknown';
    expect(await play(0)).toEqual({ results: [unknown, unknown, unknown], seen: [], kept: ['first'] });
    // Rule 11 off, as who chooses write-back has it: results leave before what they saw is durable.
    expect(await play(1_000), 'results that tell of what never was').toEqual({
      results: ['fulfilled', 'fulfilled', 'fulfilled'],
      seen: ['first', 'refused'],
      kept: ['first'],
    });
  });
});

describe('race 12: two children of one scope take the same attribute', () => {
  /** Rule 18 off: siblings do not wait for each other. */
  const leaveUnlocked = (session: Lists) => {
    const { held } = session as unknown as { held: { locks: object } };
    Object.assign(held.locks, { isHeld: () => false, isAsked: () => false });
  };

  async function play(switchOff: (root: Lists) => void = () => {}) {
    const { until, world, one, two } = await scene();
    const append = (mark: string) =>
      run(one, { write: ['a'] }, async (session) => {
        const list = [...(session.get('a') ?? [])];
        await world.sleep(5);
        session.set('a', [...list, mark]);
      });
    await until(
      run(one, { write: ['b'] }, async (root) => {
        switchOff(root);
        await Promise.all([append('x'), append('y')]);
      }),
    );
    return { commits: one.counters().commits, kept: await until(read(two)) };
  }

  it('race 12: they take turns, see the working copy that the other left, and commit with their root', async () => {
    expect(await play()).toEqual({ commits: 1, kept: ['x', 'y'] });
    expect(await play(leaveUnlocked), 'the change of one is gone').toEqual({ commits: 1, kept: ['y'] });
  });
});

describe('race 13: many queued scopes of one holder, and another one waits', () => {
  async function play(drainBudgetMs: number) {
    const recallTimeoutMs = 10_000;
    const { until, world, one, two } = await scene({
      store: { recallTimeoutMs },
      holder: { maxWaitingScopes: 5_000, waitMs: 60_000, drainBudgetMs },
    });
    await until(add(one, 'first'));
    const queued = Array.from({ length: 2_000 }, () =>
      codeOf(run(one, { write: ['a'] }, () => world.sleep(10))),
    );
    const asked = world.time;
    await until(run(two, { read: ['a'] }, () => {}));
    const waitedMs = world.time - asked;
    const ends = new Set(await until(Promise.all(queued)));
    return { waitedMs, ends: [...ends], revokedAfterMs: recallTimeoutMs };
  }

  it('race 13: 2,000 queued scopes hold another process up for no longer than the drain budget', async () => {
    const { waitedMs, ends } = await play(100);
    expect(waitedMs).toBeLessThan(200);
    expect(ends).toEqual(['fulfilled']);
    const off = await play(60_000);
    expect(off.waitedMs, 'rule 5 off: the lock is taken from who makes progress').toBeGreaterThan(10_000);
    expect(off.ends).toContain('lock-lost');
  });
});
