/** Plays what is given by name: the start of a configuration, and a counterexample that is replayed. */
import { WrongUse } from '../../scripts/command-line/command-line.js';
import { deliverAll } from './deliveries.js';
import type { Deployment, State } from './deployment.js';
import { letters } from './folding.js';
import { calm } from './future.js';
import type { Moves } from './moves.js';
import { passTime } from './time.js';

/**
 * A move by its name. `quiet`: everything that is on its way arrives. `calm for 500 ms`: so much time passes,
 * and all timers fire; `but for a`: app server `a` stands still meanwhile.
 */
export function play(deployment: Deployment, moves: Moves, state: State, name: string): State {
  if (name === 'quiet') return deliverAll(deployment, state);
  const [, calmMs, silent] = /^calm for (\d+) ms(?: but for (.))?$/.exec(name) ?? [];
  if (calmMs !== undefined)
    return calm(
      deployment,
      state,
      Number(calmMs),
      silent === undefined ? undefined : letters.indexOf(silent),
    );
  const passedMs = /^(\d+) ms pass$/.exec(name)?.[1];
  if (passedMs !== undefined) return passTime(deployment, state, Number(passedMs));
  const move = moves(state).find((one) => one.name === name);
  if (!move)
    throw new WrongUse(
      `'${name}' cannot be done here, but ${moves(state)
        .map((one) => one.name)
        .join(', ')}`,
    );
  return move.next();
}
