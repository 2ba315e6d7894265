/**
 * The documents and what they name: links lead to files and headings, and quoted titles are those of tests.
 * Each check fails on an example that breaks it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { brokenLinks } from './links.js';
import { listPaths, parse, readSources, root } from './sources.js';
import { missingTitles, quotedTitles } from './titles.js';

const paths = listPaths();
const sources = readSources(paths);

describe('links of documents', () => {
  it('lead to files and headings that are there', () => {
    const documents = paths.filter((path) => path.endsWith('.md'));
    const texts = documents.map((path) => [path, readFileSync(join(root, path), 'utf8')]);
    expect(brokenLinks(Object.fromEntries(texts), paths)).toEqual([]);
  });

  it('that lead nowhere are noticed', () => {
    const documents = {
      'README.md': [
        '# All of it\n## All of it',
        '[a](docs/RULES.md) [b](docs/) [c](docs/RULES.md#rule-1-who-waits)',
        '[d](#all-of-it-1) [e](LICENSE "f") [g](https://example.org/none.md) `[h](none.md)`',
        '```md\n# None\n[i](none.md)\n```\n[j]: docs/RULES.md',
      ].join('\n\n'),
      'docs/RULES.md': [
        '## Rule 1: `who` waits?',
        '[k](../README.md#none) [l](none.md)\n[m]: RULES.md#rule-2',
        '[n](../LICENSE#none) [o](../../README.md)',
      ].join('\n\n'),
    };
    expect(brokenLinks(documents, ['README.md', 'LICENSE', 'docs/', 'docs/RULES.md'])).toEqual([
      'docs/RULES.md links to ../README.md#none, and README.md has no heading for it',
      'docs/RULES.md links to none.md, and there is no docs/none.md',
      'docs/RULES.md links to ../LICENSE#none, and LICENSE has no heading for it',
      'docs/RULES.md links to ../../README.md, and there is no ../README.md',
      'docs/RULES.md links to RULES.md#rule-2, and docs/RULES.md has no heading for it',
    ]);
  });
});

describe('titles of tests in the tables of documents', () => {
  it.each(['docs/FAULT-LEDGER.md', 'docs/PROTOCOL.md'])('are those of tests: %s', (document) => {
    const text = readFileSync(join(root, document), 'utf8');
    expect(quotedTitles(text).length).toBeGreaterThan(20);
    expect(missingTitles(document, text, sources)).toEqual([]);
  });

  it('that no test has are noticed', () => {
    const spec = parse(
      'libs/a/src/a.spec.ts',
      `describe('rule 1: a lock', () => {
        it.each(['a', 'b'])('is granted to %s, in turn', () => {});
        it(\`has \${count} waiters in all\`, () => {});
      });
      it.each(['c'])('%s', () => {});
      const no = 'a lock of no test';`,
    );
    const text = [
      '| "a lock of no table" |\n',
      '| found | reproduced by |\n|---|---|',
      '| "no title" | "rule 1: a lock", "a lock is granted to a, in turn", "is granted … turn" |',
      '| | "has 3 waiters in all", "a lock has …"; a.spec: "… in all" |',
      '| | "is granted", "a lock of no test", "has … waiters", "c" |',
    ].join('\n');
    expect(missingTitles('docs/A.md', text, [spec])).toEqual([
      'docs/A.md names the test "is granted", and there is none',
      'docs/A.md names the test "a lock of no test", and there is none',
      'docs/A.md names the test "has … waiters", and there is none',
      'docs/A.md names the test "c", and there is none',
    ]);
  });
});
