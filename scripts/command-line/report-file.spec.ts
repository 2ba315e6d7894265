// Reports of long runs: one that is there is gone on with, and a file that is something else stays as it is.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { WrongUse } from './command-line.js';
import { openReport, saveReport } from './report-file.js';

const schema = z.looseObject({ next: z.number() });

let folder: string;
beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'locked-session-report-'))));
afterEach(() => rmSync(folder, { recursive: true }));

it('is begun, saved and gone on with', () => {
  const file = join(folder, 'report.json');
  expect(openReport(file, schema, { next: 1 })).toEqual({ next: 1 });
  expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ next: 1 });
  saveReport(file, { next: 5 });
  expect(openReport(file, schema, { next: 1 })).toEqual({ next: 5 });
  expect(readdirSync(folder)).toEqual(['report.json']);
});

it.each([
  ['is something else', '# Notes'],
  ['is cut off', '{"next":1'],
  ['is empty', ''],
  ['is of another version', '{"nextSeed":1}'],
  ['is other JSON', 'null'],
])('a file that %s is refused by name, and stays as it is', (_what, text) => {
  const file = join(folder, 'report.json');
  writeFileSync(file, text);
  expect(() => openReport(file, schema, { next: 1 })).toThrow(WrongUse);
  expect(() => openReport(file, schema, { next: 1 })).toThrow(/report\.json is no whole report .* --report/);
  expect(readFileSync(file, 'utf8')).toBe(text);
});

it('a directory, and a folder that is not there, are told before the run', () => {
  expect(() => openReport(folder, schema, {})).toThrow(/cannot be read: EISDIR/);
  const file = join(folder, 'none', 'report.json');
  expect(() => openReport(file, schema, {})).toThrow(WrongUse);
  expect(() => openReport(file, schema, {})).toThrow(/cannot be written: ENOENT.*none/);
});
