/**
 * The explorer as a test: a share of each configuration without violation, what an owner must do beside the
 * rules, and counterexamples that are the shortest, can be followed, and replay.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { WrongUse } from '../../scripts/command-line/command-line.js';
import { canaries } from './canaries.js';
import { configurations, type Configuration } from './configurations.js';
import { GoodStates, wrongInFuture } from './future.js';
import { wrongWith } from './invariants.js';
import { begin, explore, noRules, outcomeOf } from './search.js';
import { fileOf, readReplay, transcriptOf, type Replayable } from './transcript.js';
import type { Deployment, State } from './deployment.js';
import type { Moves } from './moves.js';

const states = Number(process.env['EXPLORE_STATES'] ?? 500);

function named(name: string): Configuration {
  return configurations.find((one) => one.name === name)!;
}

describe('explorer', () => {
  it.each(configurations)('finds nothing wrong in the first states of: $name', (configuration) => {
    const { found, states: seen, futures } = explore(configuration, noRules, { states });
    expect(found ? transcriptOf(found) : []).toEqual([]);
    expect(futures).toBe(seen - 1);
  });

  it('rule 17: sees a session that is there beside the one that it has become', () => {
    const { rules } = canaries.get('store.wasApplied')!;
    const refused = named('refused regenerate');
    const start = [...refused.start, 'a gives s another id'];
    const { found } = explore({ ...refused, start }, rules, { states });
    expect(found?.what).toContain('s has become new, and is still there');
  });

  it('rule 7: sees what a paused store would do if it did not verify its epoch before it speaks', () => {
    const paused = named('paused store');
    const start = [...paused.start, 'a changes s and leaves', 'a visits s'];
    const careless = { ...noRules, verifies: false };
    const { found } = explore({ ...paused, start, faults: { pause: 1 } }, careless, { states: 4_000 });
    expect(found?.what).toContain('b1 trusts s 1000000.2, but b1 holds it by');
    expect(found?.moves).toContain('the paused store reads');
  });

  it('rule 10: sees a release passed over in a queue that the echo did not come through', () => {
    const own = named('own queue before recall time-out');
    const { found } = explore({ ...own, echoesInPartition: true }, noRules, { states });
    expect(found?.what).toBe('a1 has s taken away (recall-timeout), though it spoke in time');
  });
});

describe('a counterexample', () => {
  const configuration = 'before recall time-out';
  const canary = 'store.isOutOfUse';
  const { rules } = canaries.get(canary)!;
  const found = explore(named(configuration), rules, { states }).found!;

  it('is the shortest', () => {
    const { deployment, moves, first } = begin(named(configuration), rules);
    expect(isAnyWrong(deployment, moves, first, found.moves.length - 1)).toBe(false);
    expect(isAnyWrong(deployment, moves, first, found.moves.length)).toBe(true);
  });

  it('is told so that a person can follow it', () => {
    const lines = transcriptOf({ ...found, canary });
    expect(lines.at(-1)).toBe(found.what);
    for (const move of found.moves) expect(lines.join('\n')).toContain(`ms  ${move}`);
    expect(lines.length).toBeGreaterThan(found.moves.length + 1);
  });

  it('is a file that replays, and that is well without the canary', () => {
    const told = JSON.parse(fileOf(found, canary)) as Replayable & { readonly what: string };
    expect(transcriptOf(told).at(-1)).toBe(told.what);
    expect(transcriptOf({ ...told, canary: undefined }).join('\n')).not.toContain(told.what);
  });

  it.each<[what: string, told: object | string, why: RegExp]>([
    ['is something else', '# Notes', /counterexample\.json is no counterexample of the explorer:/],
    ['is other JSON', {}, /is no counterexample of the explorer:\n.*expected string.*\n.*configuration/],
    ['has no such configuration', { configuration: 'gone', moves: [] }, /no configuration 'gone'/],
    ['has no such canary', { configuration, canary: 'gone', moves: [] }, /no canary 'gone'/],
    ['has no such move', { configuration, moves: ['a flies'] }, /^'a flies' cannot be done here, but /],
  ])('is refused when the file %s', async (_what, told, why) => {
    const folder = await mkdtemp(join(tmpdir(), 'locked-session-explore-'));
    try {
      const file = join(folder, 'counterexample.json');
      await writeFile(file, typeof told === 'string' ? told : JSON.stringify(told));
      expect(() => transcriptOf(readReplay(file))).toThrow(WrongUse);
      expect(() => transcriptOf(readReplay(file))).toThrow(why);
      expect(() => readReplay(join(folder, 'none'))).toThrow(WrongUse);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

/** Tries all ways of so many moves, and remembers nothing. */
function isAnyWrong(deployment: Deployment, moves: Moves, state: State, left: number): boolean {
  const wrong = wrongWith(state) ?? wrongInFuture(deployment, state, ['s'], new GoodStates());
  if (wrong !== undefined) return true;
  if (left === 0) return false;
  return moves(state).some((move) => {
    const [next, thrown] = outcomeOf(move.next);
    return thrown !== undefined || isAnyWrong(deployment, moves, next, left - 1);
  });
}
