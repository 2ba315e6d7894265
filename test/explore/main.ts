/**
 * `npm run explore -- [--only NAME,…] [--canary NAME] [--states N] [--deep] [--replay FILE]`: explores the
 * configurations, says of each how many states there are and how deep they lie, and exits 1 with a transcript
 * when something is wrong. Wrong use is exit code 2.
 */
import { writeFileSync } from 'node:fs';
import { readOptions, runProgram, wholeNumber, WrongUse } from '../../scripts/command-line/command-line.js';
import { canaries } from './canaries.js';
import { configurations, type Configuration } from './configurations.js';
import { explore, noRules, type Bounds } from './search.js';
import { fileOf, readReplay, transcriptOf } from './transcript.js';

const usage =
  'npm run explore -- [--only NAME,…] [--canary NAME] [--states N] [--deep] [--replay FILE] [--help]';
const counterexample = 'counterexample.json';
/** Deep: more than ten million states of all configurations together. */
const usualBounds: Bounds = { states: 4_000 };
const deepBounds: Bounds = { states: 300_000, futureOf: 20 };

await runProgram(usage, () => {
  const values = readOptions({
    only: { type: 'string' },
    canary: { type: 'string' },
    states: { type: 'string' },
    deep: { type: 'boolean', default: false },
    replay: { type: 'string' },
    help: { type: 'boolean', default: false },
  });
  if (values.help) {
    console.log(usage);
    console.log(`configurations: ${configurations.map(({ name }) => name).join(', ')}`);
    console.log(`canaries: ${[...canaries.keys()].join(', ')}`);
    return 0;
  }
  if (values.replay !== undefined) {
    console.log(transcriptOf(readReplay(values.replay)).join('\n'));
    return 0;
  }
  const usual = values.deep ? deepBounds : usualBounds;
  const states = values.states === undefined ? usual.states : wholeNumber('--states', values.states);
  return run(chosen(values.only), values.canary, { ...usual, states });
});

function run(all: readonly Configuration[], canary: string | undefined, bounds: Bounds): number {
  const rules = canary === undefined ? noRules : canaries.get(canary)?.rules;
  if (!rules) throw new WrongUse(`there is no canary '${canary}', but ${[...canaries.keys()].join(', ')}`);
  const total = { states: 0, transitions: 0, futures: 0 };
  for (const configuration of all) {
    const started = performance.now();
    const { states, transitions, depth, futures, played, isComplete, found } = explore(
      configuration,
      rules,
      bounds,
    );
    const seconds = ((performance.now() - started) / 1_000).toFixed(1);
    total.states += states;
    total.transitions += transitions;
    total.futures += futures;
    console.log(
      `${configuration.name}: ${isComplete ? 'all' : 'the first'} ${states} states to depth ${depth}, ` +
        `${transitions} transitions, ${futures} futures (${played} played), ${seconds} s`,
    );
    if (!found) continue;
    writeFileSync(counterexample, fileOf(found, canary));
    console.log(transcriptOf({ ...found, canary }).join('\n'));
    console.log(`replay: npm run explore -- --replay ${counterexample}`);
    return 1;
  }
  console.log(
    `${total.states} states, ${total.transitions} transitions, ${total.futures} futures, nothing wrong`,
  );
  return 0;
}

function chosen(names: string | undefined): readonly Configuration[] {
  if (names === undefined) return configurations;
  return names.split(',').map((name) => {
    const configuration = configurations.find((one) => one.name === name);
    if (configuration) return configuration;
    throw new WrongUse(
      `there is no configuration '${name}', but ${configurations.map((one) => one.name).join(', ')}`,
    );
  });
}
