/**
 * `npm run canaries`: writes the table of decisions into docs/PROTOCOL.md: of each its rule, where it is
 * explored switched off, and how soon the harm shows. The test of the canaries compares each row with what it
 * finds.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { decisionsOf } from '../../scripts/rules.js';
import { canaries } from './canaries.js';
import { harmOf } from './canary-search.js';
import type { Counterexample } from './search.js';

const document = 'docs/PROTOCOL.md';
const [begin, end] = ['<!-- canaries: npm run canaries -->', '<!-- end of canaries -->'];

/** The decisions of both rules.ts as they stand there, with their rules' numbers. */
export function decisions(): ReadonlyMap<string, readonly number[]> {
  const sides = ['store', 'holder'].flatMap((side) =>
    decisionsOf(readFileSync(`libs/protocol/src/${side}/rules.ts`, 'utf8')).map(
      ({ name, rules }) => [`${side}.${name}`, rules] as const,
    ),
  );
  return new Map(sides);
}

/** One row. `harm` is what was found with the decision switched off. */
export function rowOf(name: string, harm: Counterexample | undefined): string {
  const head = `| ${decisions().get(name)!.join(', ')} | \`${name}\` |`;
  if (!harm) return `${head} ${canaries.get(name)!.home} | | nothing found |`;
  return `${head} ${harm.configuration} | ${harm.moves.length} | ${harm.what} |`;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const rows = [...canaries.keys()].map((name) => rowOf(name, harmOf(name)));
  const head = ['| rule | decision | explored from | moves | what is seen |', '|---|---|---|---|---|'];
  const text = readFileSync(document, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < 0) throw new Error(`${document} must have ${begin} and ${end}`);
  const table = [...head, ...rows].join('\n');
  writeFileSync(document, `${text.slice(0, from)}${begin}\n\n${table}\n\n${text.slice(to)}`);
  console.log(`${document} has the table of canaries`);
}
