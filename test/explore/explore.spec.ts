/** The explorer as a test: a share of each configuration without violation, and a transcript that replays. */
import { describe, expect, it } from 'vitest';
import { configurations } from './configurations.js';
import { explore, noRules } from './search.js';
import { canaries } from './canaries.js';
import { transcriptOf } from './transcript.js';

const states = Number(process.env['EXPLORE_STATES'] ?? 2_000);

describe('explorer', () => {
  it.each(configurations)('finds nothing wrong in the first states of: $name', (configuration) => {
    const { found } = explore(configuration, noRules, { states });
    expect(found ? transcriptOf(found) : []).toEqual([]);
  });

  it('rule 17: sees a session that is there beside the one that it has become', () => {
    const configuration = configurations.find(({ name }) => name === 'refused regenerate')!;
    const { found } = explore(configuration, canaries.get('store.wasApplied')!.rules, { states });
    expect(found?.what).toContain('s has become new, and is still there');
  });

  it('tells a counterexample so that a person can follow it, and replays it', () => {
    const configuration = configurations.find(({ name }) => name === 'before recall time-out')!;
    const canary = 'store.isOutOfUse';
    const { found } = explore(configuration, canaries.get(canary)!.rules, { states });
    const lines = transcriptOf({ ...found!, canary });
    expect(lines.at(-1)).toBe(found!.what);
    expect(lines.length).toBeGreaterThan(found!.moves.length);
  });
});
