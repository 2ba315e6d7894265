/** Long runs: they go on where they were, and say what was exercised. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { counted, emptyCoverage, unexercised } from './coverage.js';
import { simulate } from './days/scenario.js';
import { longRunText, runLong, type LongRunReport } from './long-run.js';

let directory: string;
beforeAll(async () => (directory = await mkdtemp(join(tmpdir(), 'locked-session-long-run-'))));
afterAll(() => rm(directory, { recursive: true, force: true }));

describe('npm run sim -- --hours', () => {
  it('goes on after the last seed of the report, and adds to its figures', async () => {
    const file = join(directory, 'report.json');
    const run = { first: 5, hours: 0.2 / 3_600, file, log: () => {} };
    const one = await runLong(run);
    expect(one.next).toBeGreaterThan(5);
    const [next, steps] = [one.next, one.steps];
    const two = await runLong(run);
    expect(two.next).toBeGreaterThan(next);
    expect(two.steps).toBeGreaterThan(steps);
    expect(two.failures).toEqual([]);
    expect(JSON.parse(await readFile(file, 'utf8')) as LongRunReport).toEqual(two);
    expect(longRunText(two)).toMatch(/^\d+ seeds from 5, \d+ steps, 0\.00 hours\nfaults:\n/);
  });

  it('ends after its seed when it is stopped, and goes on with the one after it', async () => {
    const file = join(directory, 'stopped.json');
    const stop = new AbortController();
    const lines: string[] = [];
    const run = { first: 5, hours: 1, file, log: (line: string) => lines.push(line), stop: stop.signal };
    setImmediate(() => stop.abort());
    const one = await runLong(run);
    expect(one.next).toBeGreaterThan(5);
    expect(JSON.parse(await readFile(file, 'utf8')) as LongRunReport).toEqual(one);
    const { next } = await runLong(run);
    expect(next).toBe(one.next);
    expect(lines).toEqual([`${file} has seeds up to ${one.next - 1}: going on after them`]);
  });

  it('refuses a report of another program, which stays as it is', async () => {
    const file = join(directory, 'other.json');
    await writeFile(file, '{"runs":[],"faults":{}}');
    const run = { first: 5, hours: 1, file, log: () => {} };
    await expect(runLong(run)).rejects.toThrow(/other\.json is no whole report of this version/);
    expect(await readFile(file, 'utf8')).toBe('{"runs":[],"faults":{}}');
  });
});

describe('coverage', () => {
  it('counts the answers of each decision and changes none of them', async () => {
    const coverage = emptyCoverage();
    const [plain, measured] = [await simulate(7), await simulate(7, counted(coverage))];
    expect(measured.digest).toBe(plain.digest);
    expect(coverage.decisions['holder.acceptsGrant']!['true']).toBeGreaterThan(0);
  });

  it('names decisions that were never asked for, or always gave one answer of two', () => {
    const decisions = {
      a: {},
      b: { true: 3 },
      c: { true: 3, false: 1 },
      d: { number: 9 },
      e: { undefined: 2 },
    };
    expect(unexercised({ faults: {}, decisions })).toEqual(['a: never asked for', 'b: always true']);
  });
});
