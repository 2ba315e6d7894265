/**
 * `npm run sim -- --seeds 10000 --first 1 [--canary NAME] [--trace] [--digest]`: simulates one deployment for
 * each seed, and prints seeds, steps and violations. It exits 1 on any violation, with the command that
 * replays it, and 2 on wrong use. `--digest` prints one hash of the traces, which a change without effect on
 * behaviour leaves as it is. `--hours N --report FILE` goes on for hours instead: see long-run.ts.
 */
import { createHash } from 'node:crypto';
import {
  numberAboveZero,
  readOptions,
  runProgram,
  wholeNumber,
  WrongUse,
} from '../../scripts/command-line/command-line.js';
import { canaries } from './days/canaries.js';
import type { Variant } from './world/deployment.js';
import { simulate } from './days/scenario.js';
import { longRunText, runLong } from './long-run.js';

const usage = `npm run sim -- [--seeds 1000] [--first 1] [--canary NAME] [--trace] [--digest]
npm run sim -- --hours N [--first 1] [--report sim-report.json]`;

await runProgram(usage, async () => {
  const values = readOptions({
    seeds: { type: 'string', default: '1000' },
    first: { type: 'string', default: '1' },
    canary: { type: 'string' },
    trace: { type: 'boolean', default: false },
    digest: { type: 'boolean', default: false },
    hours: { type: 'string' },
    report: { type: 'string', default: 'sim-report.json' },
    help: { type: 'boolean', default: false },
  });
  if (values.help) {
    console.log(usage);
    console.log(`canaries: ${Object.keys(canaries).join(', ')}`);
    return 0;
  }
  const first = wholeNumber('--first', values.first);
  if (values.hours !== undefined)
    return runForHours(first, numberAboveZero('--hours', values.hours), values.report);
  return run({ ...values, first, seeds: wholeNumber('--seeds', values.seeds) });
});

interface Days {
  readonly first: number;
  readonly seeds: number;
  readonly canary?: string | undefined;
  readonly trace: boolean;
  readonly digest: boolean;
}

async function run({ first, seeds, canary, trace, digest: tellsDigest }: Days): Promise<number> {
  const variant = variantOf(canary);
  const started = performance.now();
  const total = { steps: 0, grants: 0, recalls: 0, revocations: 0, faults: 0, acknowledged: 0, unknown: 0 };
  const digest = createHash('sha256');
  let failed = 0;
  for (let seed = first; seed < first + seeds; seed++) {
    const report = await simulate(seed, variant, trace ? (line) => console.log(line) : undefined);
    for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += report[key];
    digest.update(`${seed}:${report.digest}:${report.steps}\n`);
    const violations = [...report.violations, ...report.traced];
    if (violations.length === 0) continue;
    failed++;
    if (failed > 5) continue;
    console.log(`seed ${seed}:`);
    for (const violation of violations.slice(0, 5)) console.log(`  ${violation}`);
    const same = canary === undefined ? '' : ` --canary ${canary}`;
    console.log(`  replay: npm run sim -- --first ${seed} --seeds 1 --trace${same}`);
  }
  if (tellsDigest) console.log(`digest ${digest.digest('hex')}`);
  const seconds = (performance.now() - started) / 1_000;
  console.log(
    `${seeds} seeds from ${first}, ${total.steps} steps, ${total.faults} faults, ${total.grants} grants, ${total.recalls} recalls, ` +
      `${total.revocations} revocations, ` +
      `${total.acknowledged} changes acknowledged, ${total.unknown} unknown, ` +
      `${failed} seeds with violations, ${seconds.toFixed(1)} s`,
  );
  return failed > 0 ? 1 : 0;
}

/** Ctrl-C ends the run after its seed, and the report has all seeds. */
async function runForHours(first: number, hours: number, file: string): Promise<number> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  const log = (line: string) => console.log(line);
  const report = await runLong({ first, hours, file, log, stop: stop.signal });
  console.log(longRunText(report));
  return report.failures.length > 0 ? 1 : 0;
}

function variantOf(name: string | undefined): Variant {
  if (name === undefined) return {};
  const variant = Object.hasOwn(canaries, name) ? canaries[name] : undefined;
  if (variant) return variant;
  throw new WrongUse(`there is no canary '${name}', but ${Object.keys(canaries).join(', ')}`);
}
