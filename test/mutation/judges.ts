/** The last judges of a mutant: a share of what the explorer and the simulator do in CI, as more cases. */
import { configurations } from '../explore/configurations.js';
import { explore, noRules } from '../explore/search.js';
import { simulate } from '../simulation/days/scenario.js';
import type { Case } from './harness.js';

const states = 300;
const seedsOfCase = 5;
const seeds = 60;

export function judges(): Case[] {
  const explored = configurations.map((configuration) => ({
    file: 'test/explore',
    title: configuration.name,
    run: () => {
      const { found } = explore(configuration, noRules, { states });
      if (found) throw new Error(found.what);
    },
  }));
  const firsts = Array.from({ length: seeds / seedsOfCase }, (_, place) => 1 + place * seedsOfCase);
  const simulated = firsts.map((first) => ({
    file: 'test/simulation',
    title: `seeds from ${first}`,
    run: async () => {
      for (let seed = first; seed < first + seedsOfCase; seed++) {
        const { violations, traced } = await simulate(seed);
        if (violations.length + traced.length > 0) throw new Error([...violations, ...traced][0]);
      }
    },
  }));
  return [...explored, ...simulated];
}
