/** The table of codes is one table: in the code and in docs/ERRORS.md. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { errorStatus, LockedSessionError } from './errors.js';

it('docs/ERRORS.md has every code with its status, and no other', () => {
  const text = readFileSync(new URL('../../../docs/ERRORS.md', import.meta.url), 'utf8');
  const rows = [...text.matchAll(/^\| `([a-z-]+)` \| (\d+) \|/gm)].map(([, code, status]) => [
    code,
    Number(status),
  ]);
  expect(new Map(rows as [string, number][])).toEqual(new Map(Object.entries(errorStatus)));
  expect(rows.length).toBe(Object.keys(errorStatus).length);
});

it('an error knows its status', () => {
  expect(new LockedSessionError('too-large', 'why').status).toBe(413);
});
