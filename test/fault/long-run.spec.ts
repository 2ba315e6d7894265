/**
 * Long runs of the fault suite: seeds and layouts take turns, and a report is continued. No process is
 * started here.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { runForHours } from './long-run.js';
import type { RunOptions, RunReport } from './run.js';

describe('npm run fault -- --hours', () => {
  it('takes seeds and layouts in turn, and goes on after the last run of its report', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'locked-session-fault-report-'));
    try {
      const asked: unknown[] = [];
      const runWith = async ({ seed, queues, ms }: RunOptions): Promise<RunReport> => {
        asked.push([seed, queues]);
        await new Promise((resolve) => setTimeout(resolve, ms));
        return {
          seed,
          faults: { kill: { times: 2, longestGapMs: 1 } },
          violations: [],
        } as unknown as RunReport;
      };
      const file = join(directory, 'report.json');
      const run = { hours: 0.05 / 3_600, seed: 3, longestFaultMs: 1, file, log: () => {}, runWith };
      await runForHours(run);
      const { runs, faults } = await runForHours(run);
      expect(asked.slice(0, 2)).toEqual([
        [3, 'partitioned'],
        [4, 'per-session'],
      ]);
      expect(runs.map(({ seed, queues }) => [seed, queues])).toEqual(asked);
      expect(faults).toEqual({ kill: 2 * runs.length });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  });
});
