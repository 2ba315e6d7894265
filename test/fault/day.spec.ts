/** A short run of the fault suite under a fixed seed. `npm run fault` has longer ones. */
import { expect, it } from 'vitest';
import { run } from './run.js';

const seed = 7;

it.each(['partitioned', 'per-session'] as const)(
  'queues %s: no change is lost or doubled while servers, stores and the broker are killed, paused and cut for 25 s',
  async (queues) => {
    const lines: string[] = [];
    const log = (line: string) => lines.push(line);
    const report = await run({ seed, queues, ms: 25_000, longestFaultMs: 4_000, log });
    const replay = `npm run fault -- --seed ${seed} --minutes ${25 / 60} --longest 4 --queues ${queues}`;
    expect(report.violations, `${lines.join('\n')}\nhistory: ${report.file}\nreplay: ${replay}`).toEqual([]);
    expect(Object.keys(report.faults).length).toBeGreaterThan(4);
    expect(report.acknowledged).toBeGreaterThan(300);
  },
);
