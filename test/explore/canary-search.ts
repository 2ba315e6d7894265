/** Looks for the harm of a decision that is switched off, where it shows soonest, within a bound. */
import { canaries } from './canaries.js';
import { configurations } from './configurations.js';
import { explore, type Counterexample } from './search.js';

/** More than any canary needs: the harm shows within 12,000 states. */
const bounds = { states: 20_000 };
/** Their harm lies far from the start, and is seen in a state itself: no futures are played on the way. */
const seenInState: ReadonlySet<string> = new Set([
  ...['store.isListed', 'store.isReclaimed', 'store.trustsCopy', 'store.mayBeBlocked'],
  ...['holder.isConfirmed', 'holder.believesRevocation', 'holder.mayHideMore'],
]);

/** The shortest way to the harm; undefined when there is none within the bound. */
export function harmOf(name: string): Counterexample | undefined {
  const { home, rules } = canaries.get(name)!;
  const configuration = configurations.find((one) => one.name === home)!;
  const futureOf = seenInState.has(name) ? Infinity : 1;
  return explore(configuration, rules, { ...bounds, futureOf }).found;
}
