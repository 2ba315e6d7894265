/**
 * `npm run sim -- --seeds 10000 --first 1 [--canary NAME] [--trace] [--digest]`: simulates one deployment for
 * each seed, and prints seeds, steps and violations. It exits 1 on any violation, with the command that
 * replays it. `--digest` prints one hash of the traces, which a change without effect on behaviour leaves as
 * it is. `--hours N --report FILE` goes on for hours instead: see long-run.ts.
 */
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { canaries } from './days/canaries.js';
import type { Variant } from './world/deployment.js';
import { simulate } from './days/scenario.js';
import { longRunText, runLong } from './long-run.js';

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1000' },
    first: { type: 'string', default: '1' },
    canary: { type: 'string' },
    trace: { type: 'boolean', default: false },
    digest: { type: 'boolean', default: false },
    hours: { type: 'string' },
    report: { type: 'string', default: 'sim-report.json' },
    help: { type: 'boolean', default: false },
  },
});

if (values.help) {
  console.log('npm run sim -- [--seeds 1000] [--first 1] [--canary NAME] [--trace] [--digest]');
  console.log('npm run sim -- --hours N [--first 1] [--report sim-report.json]');
  console.log(`canaries: ${Object.keys(canaries).join(', ')}`);
  process.exit(0);
}

process.exitCode = values.hours === undefined ? await run() : await runForHours(Number(values.hours));

async function run(): Promise<number> {
  const seeds = wholeNumber('seeds', values.seeds);
  const first = wholeNumber('first', values.first);
  const variant = variantOf(values.canary);
  const started = performance.now();
  const total = { steps: 0, grants: 0, recalls: 0, revocations: 0, faults: 0, acknowledged: 0, unknown: 0 };
  const digest = createHash('sha256');
  let failed = 0;
  for (let seed = first; seed < first + seeds; seed++) {
    const report = await simulate(seed, variant, values.trace ? (line) => console.log(line) : undefined);
    for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += report[key];
    digest.update(`${seed}:${report.digest}:${report.steps}\n`);
    const violations = [...report.violations, ...report.traced];
    if (violations.length === 0) continue;
    failed++;
    if (failed > 5) continue;
    console.log(`seed ${seed}:`);
    for (const violation of violations.slice(0, 5)) console.log(`  ${violation}`);
    const canary = values.canary === undefined ? '' : ` --canary ${values.canary}`;
    console.log(`  replay: npm run sim -- --first ${seed} --seeds 1 --trace${canary}`);
  }
  if (values.digest) console.log(`digest ${digest.digest('hex')}`);
  const seconds = (performance.now() - started) / 1_000;
  console.log(
    `${seeds} seeds from ${first}, ${total.steps} steps, ${total.faults} faults, ${total.grants} grants, ${total.recalls} recalls, ` +
      `${total.revocations} revocations, ` +
      `${total.acknowledged} changes acknowledged, ${total.unknown} unknown, ` +
      `${failed} seeds with violations, ${seconds.toFixed(1)} s`,
  );
  return failed > 0 ? 1 : 0;
}

async function runForHours(hours: number): Promise<number> {
  if (!(hours > 0)) {
    console.error(`--hours must be a number above 0, not '${values.hours}'`);
    return 2;
  }
  const first = wholeNumber('first', values.first);
  const report = await runLong({ first, hours, file: values.report, log: (line) => console.log(line) });
  console.log(longRunText(report));
  return report.failures.length > 0 ? 1 : 0;
}

function variantOf(name: string | undefined): Variant {
  if (name === undefined) return {};
  const variant = canaries[name];
  if (variant) return variant;
  console.error(`there is no canary '${name}': ${Object.keys(canaries).join(', ')}`);
  process.exit(2);
}

function wholeNumber(name: string, text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number) && number > 0) return number;
  console.error(`--${name} must be a whole number above 0, not '${text}'`);
  process.exit(2);
}
