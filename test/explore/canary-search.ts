/** Looks for the harm of a decision that is switched off, where it shows soonest, within a bound. */
import { canaries } from './canaries.js';
import { configurations } from './configurations.js';
import { explore, type Counterexample } from './search.js';

/** More than any canary needs: the harm shows within 10,000 states. */
const bounds = { states: 20_000 };

/**
 * The shortest way to the harm; undefined when there is none within the bound, or the decision is scripted.
 */
export function harmOf(name: string): Counterexample | undefined {
  const { home, rules } = canaries.get(name)!;
  const configuration = configurations.find((one) => one.name === home);
  return configuration && explore(configuration, rules, bounds).found;
}
