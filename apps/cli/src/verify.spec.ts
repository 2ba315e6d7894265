// The command `verify`: its exit codes, what it says, and what it says of wrong use and of files that are no
// traces.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { verify } from './verify.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'locked-session-verify-'));
});
afterAll(() => rm(folder, { recursive: true }));

const head = (role: string, process: string, more = {}) => ({
  kind: 'head',
  version: 1,
  state: 'closed',
  role,
  process,
  machine: 'm',
  at: 0,
  wall: 1_800_000_000_000,
  key: 'k',
  ...more,
});
const store = [head('store', 'store'), { kind: 'claimed', at: 1, partition: 0, epoch: 1, previous: 0 }];
const granted = (at: number, n: number, state: [string, string][]) => ({
  kind: 'granted',
  at,
  session: 's',
  token: [1, n],
  state,
});
const one = [head('holder', 'one'), granted(5, 1, [['x', 'h1']])];

async function file(name: string, lines: readonly (object | string)[]): Promise<string> {
  const path = join(folder, name);
  const text = lines.map((line) => (typeof line === 'string' ? line : `${JSON.stringify(line)}\n`)).join('');
  await writeFile(path, text);
  return path;
}

async function run(...given: string[]) {
  const said = { log: [] as string[], error: [] as string[] };
  const output = {
    log: (text: string) => said.log.push(text),
    error: (text: string) => said.error.push(text),
  };
  return { code: await verify(given, output), log: said.log.join('\n'), error: said.error.join('\n') };
}

it('0: nothing is wrong', async () => {
  const { code, log } = await run(await file('store', store), await file('one', one));
  expect(code).toBe(0);
  expect(log).toMatch(/^Nothing is wrong\.[^]*1 app servers and 1 stores[^]*1 sessions, 1 operations/);
});

it('1: something is wrong, with the evidence, in words and as JSON', async () => {
  const two = [head('holder', 'two'), granted(10, 2, [['x', 'h2']])];
  const files = [await file('store', store), await file('one', one), await file('two', two)];
  const { code, log } = await run(...files);
  expect(code).toBe(1);
  expect(log).toContain("mixed: the grant 1.2 to two saw 'x' as h2, but there was h1");
  const asJson = await run('--json', ...files);
  expect(asJson.code).toBe(1);
  expect(JSON.parse(asJson.log)).toMatchObject({
    verdict: 'violation',
    findings: [{ kind: 'mixed', session: 's' }],
  });
});

it('1: says of traces without an end that their processes may have gone on', async () => {
  const running = [head('holder', 'two', { state: 'open  ' }), granted(10, 2, [['x', 'h2']])];
  const files = [await file('store', store), await file('one', one)];
  const { code, log } = await run(...files, await file('running', running));
  expect(code).toBe(1);
  expect(log).toMatch(/copy the files again when it has ended\.$/);
  const ended = [head('holder', 'two'), ...running.slice(1)];
  expect((await run(...files, await file('ended', ended))).log).not.toContain('copy the files again');
});

it('2: not known, since a trace was cut', async () => {
  const cut = [
    head('holder', 'two', { state: 'cut   ' }),
    { kind: 'cut', at: 3, why: 'maxBytes is reached' },
  ];
  const { code, log } = await run(await file('store', store), await file('one', one), await file('cut', cut));
  expect(code).toBe(2);
  expect(log).toContain('the trace of holder two was cut: maxBytes is reached');
});

it('a last line that was cut off does not count', async () => {
  const killed = await file('one', [head('holder', 'one', { state: 'open  ' }), one[1]!, '{"kind":"grant']);
  expect((await run(await file('store', store), killed)).code).toBe(0);
});

it.each<[what: string, args: string[], told: RegExp]>([
  ['no file', [], /^name the trace files/],
  [
    'a wrong number',
    ['--clock-error', 'soon', 'x'],
    /^--clock-error is 'soon', but must be a number, 0 or more/,
  ],
  [
    'a file where a number was forgotten',
    ['--max-states', 'x'],
    /^--max-states is 'x', but must be a number/,
  ],
  ['an unknown option', ['--fast', 'x'], /^Unknown option '--fast'/],
  ['a file that is not there', ['/nowhere/trace'], /^there is no file '\/nowhere\/trace'/],
])('64: %s', async (_what, args, told) => {
  const { code, error } = await run(...args);
  expect(code).toBe(64);
  expect(error).toMatch(told);
});

it.each<[what: string, lines: (object | string)[], told: RegExp]>([
  ['is empty', [], /is empty: copy it again, or leave it out$/],
  [
    'is something else',
    ['hello\n'],
    /, line 1 does not begin a trace: is the file one, and not compressed\?$/,
  ],
  [
    'is other JSON',
    ['{"at":1}\n', 'null\n'],
    /, line 1 does not begin a trace: is the file one, and not compressed\?$/,
  ],
  ['is of a process that ended in order, without its end', [...one, '{"kind":"gra'], / is not whole: /],
  [
    'is of another version',
    [head('holder', 'one', { version: 2 })],
    /has version 2, but this program reads version 1/,
  ],
  ['is broken in the middle', [one[0]!, '{}\n', one[1]!], /, line 2 is no record of a trace/],
])('64: a file that %s', async (_what, lines, told) => {
  const { code, error } = await run(await file('wrong', lines));
  expect(code).toBe(64);
  expect(error).toMatch(told);
});

it('64: two traces of one process, such as a copy from while it ran, whose changes would count twice', async () => {
  const files = [await file('store', store), await file('one', one), await file('copy', one)];
  const { code, error } = await run(...files);
  expect(code).toBe(64);
  expect(error).toMatch(/one and .*copy are traces of one process, holder one: name the longer one only$/);
});

it('64: one file that is named twice', async () => {
  const path = await file('one', one);
  const { code, error } = await run(await file('store', store), path, join(folder, '.', 'one'));
  expect(code).toBe(64);
  expect(error).toMatch(/one is named twice: name it once$/);
});

it('64: a directory, with the way to name its files', async () => {
  const { code, error } = await run(folder);
  expect(code).toBe(64);
  expect(error).toMatch(/ is a directory: name the files in it, such as .*\/\*\.ndjson$/);
});

it('explains itself', async () => {
  const { code, log } = await run('--help');
  expect(code).toBe(0);
  expect(log).toMatch(/Usage: locked-session verify FILE/);
});
