// The command `audit` without an application: wrong use, and what it says of the counts that it is handed.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { audit, auditText, codeOf } from './audit.js';
import { handOver, handOverFile, takeOver } from './hand-over.js';

async function run(...given: string[]) {
  const said = { log: [] as string[], error: [] as string[] };
  const ended = await audit(given, {
    log: (text) => said.log.push(text),
    error: (text) => said.error.push(text),
  });
  return { ended, log: said.log.join('\n'), error: said.error.join('\n') };
}

it.each<[what: string, args: string[], told: RegExp]>([
  ['no command', [], /^name the command after --/],
  ['no command after --', ['--'], /^name the command after --/],
  ['a command without --', ['node', 'app.js'], /^name the command after --/],
  ['an unknown option', ['--fast', '--', 'node'], /^Unknown option '--fast'/],
  ['no number', ['--max-routes', '', '--', 'node'], /^--max-routes is '', but must be a whole number from 1/],
  ['too many routes', ['--max-routes', '10001', '--', 'node'], /^--max-routes is '10001', but must/],
])('64: %s', async (_what, args, told) => {
  const { ended, error } = await run(...args);
  expect(ended).toBe(64);
  expect(error).toMatch(told);
  expect(error).toContain('Usage: locked-session audit');
});

it('127: a command that is not there', async () => {
  const { ended, error } = await run('--', '/nowhere/program');
  expect(ended).toBe(127);
  expect(error).toMatch(/^cannot start \/nowhere\/program: .*ENOENT/);
});

it('explains itself', async () => {
  const { ended, log } = await run('--help');
  expect(ended).toBe(0);
  expect(log).toMatch(/^Usage: locked-session audit/);
});

it('tells of a signal as a shell does', () => {
  expect([codeOf(3), codeOf('SIGTERM'), codeOf('SIGINT')]).toEqual([3, 143, 130]);
});

it('sums the counts of all processes, and leaves out a file that is not whole', () => {
  const directory = mkdtempSync(join(tmpdir(), 'locked-session-audit-spec-'));
  const order = { directory, maxRoutes: 10 };
  const counts = { saves: 2, lost: 1, same: 0, revived: 0, unknown: 0 };
  const report = { ...counts, routes: [{ route: 'GET /', ...counts }], keys: [{ key: 'n', saves: 1 }] };
  for (const refused of [[], ['It is frozen.']]) {
    handOver(handOverFile(order), { report, stores: 1, refused });
  }
  writeFileSync(handOverFile(order), '{"report":');
  const text = auditText(takeOver(order), 10);
  rmSync(directory, { recursive: true });
  expect(text).toContain('2 of 4 saves wrote over a change that they had not read');
  expect(text).toContain('A store was not counted. It is frozen.');
  expect(JSON.parse(text.split('\n').at(-1)!)).toMatchObject({ lockedSessionAudit: { saves: 4, lost: 2 } });
});

it('says so when it has seen no store', () => {
  expect(auditText([], 10)).toMatch(/^locked-session audit: no session store was seen\.\nIt sees express/);
});
