/** Every decision of both rules.ts is needed: switched off, it does harm in an explored configuration. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { canaries } from './canaries.js';
import { harmOf } from './canary-search.js';
import { decisions, rowOf } from './canary-table.js';

const rows = readFileSync('docs/PROTOCOL.md', 'utf8').split('\n');

describe('a decision that is switched off', () => {
  it('stands in the list of canaries, whichever it is', () => {
    expect([...canaries.keys()].toSorted()).toEqual([...decisions().keys()].toSorted());
  });

  it.each([...canaries.keys()])(
    'does harm, and docs/PROTOCOL.md tells which (npm run canaries): %s',
    (name) => {
      const harm = harmOf(name);
      expect(harm).toBeDefined();
      expect(rows).toContain(rowOf(name, harm));
    },
  );
});
