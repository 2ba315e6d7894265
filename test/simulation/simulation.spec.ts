/**
 * The simulator as a test: a first share of seeds without violation, the same trace for the same seed, and
 * every canary caught.
 */
import { describe, expect, it } from 'vitest';
import { canaries } from './days/canaries.js';
import { simulate } from './days/scenario.js';

const seeds = Number(process.env['SIM_SEEDS'] ?? 2_000);

describe('simulation', () => {
  it(`finds no violation in ${seeds} seeds`, async () => {
    for (let seed = 1; seed <= seeds; seed++) {
      const { violations, traced } = await simulate(seed);
      expect([...violations, ...traced], `replay: npm run sim -- --first ${seed} --seeds 1 --trace`).toEqual(
        [],
      );
    }
  });

  it('gives the same trace for the same seed, and another for another', async () => {
    const [one, again, other] = [await simulate(7), await simulate(7), await simulate(8)];
    expect([again.digest, again.steps]).toEqual([one.digest, one.steps]);
    expect(other.digest).not.toBe(one.digest);
  });

  it('rule 1: the traces alone tell of a fence that lets everybody through', async () => {
    for (let seed = 1; seed <= 100; seed++) {
      if ((await simulate(seed, canaries['no-token-check'])).traced.length > 0) return;
    }
    expect.fail('100 seeds with the rule switched off, and the traces told nothing');
  });

  it.each(Object.entries(canaries))('catches the canary %s', async (_name, variant) => {
    for (let seed = 1; seed <= 2_000; seed++) {
      if ((await simulate(seed, variant)).violations.length > 0) return;
    }
    expect.fail('2,000 seeds with the rule switched off, and no checker noticed');
  });
});
