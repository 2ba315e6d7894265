/**
 * Race 10 of docs/PROTOCOL.md: a commit is refused after other scopes have seen its effect. The scene is
 * played twice: by the rules, and with the rule against the race switched off, where the harm must show.
 */
import { describe, expect, it } from 'vitest';
import { storeRules, type StoreRules } from '#protocol';
import type { Variant } from '../world/deployment.js';
import { add, codeOf, read, scene } from './scene.js';

describe('race 10: a commit is refused after others have seen its effect', () => {
  /**
   * A store that forgets a grant once, as after a power loss. It refuses that change as `outcome-unknown`.
   */
  function forgetful() {
    const memory = { lapse: false };
    const currentGrant: StoreRules['currentGrant'] = (...of) => {
      const { lapse } = memory;
      memory.lapse = false;
      return lapse ? undefined : storeRules.currentGrant(...of);
    };
    const variant: Variant = { store: { currentGrant } };
    return { memory, variant };
  }

  async function play(writeBackMs: number) {
    const { memory, variant } = forgetful();
    const { until, world, one, two } = await scene({ variant, holder: { writeBackMs } });
    await until(add(one, 'first'));
    await world.pass(2 * writeBackMs);
    memory.lapse = true;
    let seen: string[] = [];
    const reading = async () => void (seen = await read(one));
    const ends = [add(one, 'refused'), reading(), add(one, 'later')].map(codeOf);
    const results = await until(Promise.all(ends));
    return { results, seen, kept: await until(read(two)) };
  }

  it('race 10: fails every scope that could have seen the refused change, readers too', async () => {
    const unknown = 'outcome-unknown';
    expect(await play(0)).toEqual({ results: [unknown, unknown, unknown], seen: [], kept: ['first'] });
    // Write-back switches rule 11 off: results leave before the changes that they saw are durable.
    expect(await play(1_000), 'results from a change that was lost').toEqual({
      results: ['fulfilled', 'fulfilled', 'fulfilled'],
      seen: ['first', 'refused'],
      kept: ['first'],
    });
  });
});
