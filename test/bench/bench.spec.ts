/** The benchmarks run: each contestant of each row does its load. No figure is judged. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { root } from '../../scripts/processes/processes.js';
import type { BenchResult } from './main.js';
import { rows, type Row } from './rows.js';

const run = promisify(execFile);

describe('npm run bench', () => {
  it('runs all contestants of each row, and finds every change of those that have a lock', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'locked-session-bench-spec-'));
    try {
      const file = join(directory, 'result.json');
      const args = ['--first', '--rounds', '1', '--seconds', '0.3', '--json', file];
      const { stdout } = await run(process.execPath, [join(root, 'dist/test/bench/main.js'), ...args]);
      const { cases } = JSON.parse(await readFile(file, 'utf8')) as BenchResult;
      const wanted = Object.entries<Row>(rows).map(
        ([
          row,
          {
            cases: [first],
          },
        ]) => [row, first!.name, first!.contestants],
      );
      expect(cases.map((one) => [one.row, one.case, Object.keys(one.rounds)])).toEqual(wanted);
      const measured = cases.flatMap(({ row, rounds }) =>
        Object.entries(rounds).map(([name, [only]]) => ({ row, contestant: name, ...only! })),
      );
      expect(measured.filter(({ rate }) => !(rate > 0))).toEqual([]);
      expect(measured.filter(({ lost, contestant }) => lost !== 0 && contestant !== 'redis')).toEqual([]);
      for (const [row, name] of wanted) expect(stdout).toContain(`${String(row)}: ${String(name)}`);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
