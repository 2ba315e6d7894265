/** The benchmarks run: each row, and each contestant in one of them, for a moment. No figure is judged. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { root } from '../../scripts/processes/processes.js';
import type { Row } from './cases.js';
import { contestants, type ContestantName } from './contestants/contestants.js';
import type { BenchResult } from './result.js';
import { rows } from './rows.js';

const run = promisify(execFile);
const sorted = (names: readonly string[]) => [...names].sort();

describe('npm run bench', () => {
  it('runs each row and each contestant, and finds every change of those that have a lock', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'locked-session-bench-spec-'));
    try {
      const file = join(directory, 'result.json');
      const args = ['--glance', '--together', '3', '--rounds', '1', '--seconds', '0.2', '--json', file];
      const { stdout } = await run(process.execPath, [join(root, 'dist/test/bench/main.js'), ...args]);
      const { cases } = JSON.parse(await readFile(file, 'utf8')) as BenchResult;
      expect(sorted(cases.map(({ row }) => row))).toEqual(sorted(Object.keys(rows)));
      const measured = cases.flatMap(({ row, rounds }) =>
        Object.entries(rounds).map(([name, [only]]) => ({ row, name: name as ContestantName, ...only! })),
      );
      expect(new Set(measured.map(({ name }) => name))).toEqual(new Set(Object.keys(contestants)));
      expect(measured.filter(({ rate }) => !(rate > 0))).toEqual([]);
      const safe = measured.filter(({ name }) => !contestants[name].loses);
      expect(safe.filter(({ lost }) => lost !== 0)).toEqual([]);
      for (const { row, case: name } of cases) expect(stdout).toContain(`${row}: ${name}`);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });

  it('has a name of its own for each case of a row', () => {
    for (const { cases } of Object.values<Row>(rows))
      expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
  });
});
