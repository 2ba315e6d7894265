/** The table of codes is one table: in the code and in docs/ERRORS.md. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { clientTexts, errorStatus, LockedSessionError } from './errors.js';

it('docs/ERRORS.md has every code with its status, and no other', () => {
  const text = readFileSync(new URL('../../../docs/ERRORS.md', import.meta.url), 'utf8');
  const rows = [...text.matchAll(/^\| `([a-z-]+)` \| (\d+) \|/gm)].map(([, code, status]) => [
    code,
    Number(status),
  ]);
  expect(new Map(rows as [string, number][])).toEqual(new Map(Object.entries(errorStatus)));
  expect(rows.length).toBe(Object.keys(errorStatus).length);
});

it('every code that clients meet has a text for them, and the mistakes of an application have none', () => {
  const met = Object.entries(errorStatus).filter(([, status]) => status !== 500);
  expect(Object.keys(clientTexts).sort()).toEqual(met.map(([code]) => code).sort());
});

it('an error knows its status', () => {
  expect(new LockedSessionError('too-large', 'why').status).toBe(413);
});
