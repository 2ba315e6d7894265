// A short run of the fault suite under a fixed seed: whatever is killed, paused and cut, nothing is lost and nothing is done twice. Longer ones: `npm run fault`.
import { expect, it } from 'vitest';
import { run } from './run.js';

const seed = 7;

it('loses nothing and does nothing twice while servers, stores and the broker are killed, paused and cut for 40 s', async () => {
  const lines: string[] = [];
  const report = await run({ seed, ms: 40_000, longestFaultMs: 4_000, log: (line) => lines.push(line) });
  const replay = `npm run fault -- --seed ${seed} --minutes ${40 / 60} --longest 4`;
  expect(report.violations, `${lines.join('\n')}\nhistory: ${report.file}\nreplay: ${replay}`).toEqual([]);
  expect(Object.keys(report.faults).length).toBeGreaterThan(5);
  expect(report.acknowledged).toBeGreaterThan(500);
});
