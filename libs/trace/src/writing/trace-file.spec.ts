// A trace's file: what is in it, what it does not tell, how large it gets, and what becomes of it when the
// disk is full.
import { closeSync, constants, openSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { readTrace } from '../reader.js';
import type { TraceFact } from '../records.js';
import { openTrace } from './trace-file.js';

const disk = vi.hoisted(() => ({ leftBytes: Infinity }));
vi.mock(import('node:fs'), async (original) => {
  const fs = await original();
  /** As a full disk does: takes the bytes that still fit, and those that overwrite others. */
  const writeSync = (file: number, bytes: Uint8Array | string, ...rest: number[]) => {
    if (typeof bytes === 'string') return fs.writeSync(file, bytes, ...rest);
    const [from = 0, length = bytes.length, position = 0] = rest;
    const isThere = fs.fstatSync(file).size - position;
    const fits = Math.min(length, isThere + disk.leftBytes);
    if (fits === 0) throw new Error('ENOSPC: no space left on device, write');
    disk.leftBytes -= Math.max(0, fits - isThere);
    return fs.writeSync(file, bytes, from, fits, position);
  };
  const ftruncateSync = (file: number, bytes: number) => {
    disk.leftBytes += fs.fstatSync(file).size - bytes;
    fs.ftruncateSync(file, bytes);
  };
  return { ...fs, writeSync: writeSync as typeof fs.writeSync, ftruncateSync: ftruncateSync as never };
});

const warnings: string[] = [];
const timers: (() => void)[] = [];
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'locked-session-trace-'));
  disk.leftBytes = Infinity;
  warnings.length = 0;
  timers.length = 0;
});
afterEach(() => rm(directory, { recursive: true }));

const path = () => join(directory, 'holder-one.ndjson');
const read = () => readTrace('one', readFileSync(path(), 'utf8').split('\n'));
const open = ({ maxBytes = 1_000_000, key = 'k'.repeat(32), process = 'one' } = {}) =>
  openTrace(
    { directory, maxBytes, key },
    {
      role: 'holder',
      process,
      warn: (line) => warnings.push(line),
      after: (_ms, task) => {
        timers.push(task);
        return () => timers.splice(timers.indexOf(task), 1);
      },
    },
  );
const fact = (session: string): TraceFact => ({ kind: 'asked', session });

it('is open, and closed when its process ends in order', async () => {
  const trace = open();
  trace.record(fact('s'));
  expect((await read()).records).toEqual([]);
  trace.flush();
  expect(await read()).toMatchObject({
    head: { state: 'open', role: 'holder', process: 'one' },
    records: [{ kind: 'asked', session: 's' }],
  });
  trace.close();
  expect((await read()).head.state).toBe('closed');
  expect(warnings).toEqual([]);
});

it('what no message flushes is written a little later, by one timer', async () => {
  const trace = open();
  trace.record(fact('a'));
  trace.record(fact('b'));
  expect(timers).toHaveLength(1);
  timers[0]!();
  expect((await read()).records).toHaveLength(2);
  expect(timers).toEqual([]);
});

it('times are of the clock that all processes share', async () => {
  const before = Number(process.hrtime.bigint()) / 1e6;
  const trace = open();
  trace.record(fact('s'));
  trace.close();
  const { head, records } = await read();
  expect(records[0]!.at).toBeGreaterThanOrEqual(before - 0.001);
  expect(records[0]!.at - head.at).toBeLessThan(1_000);
});

it("has the right times when an application's tests have replaced the clocks", () => {
  const { bigint } = process.hrtime;
  const before = Number(bigint()) / 1e6;
  vi.useFakeTimers({ toFake: ['hrtime', 'performance'] });
  try {
    expect(open().now()).toBeGreaterThanOrEqual(before - 0.001);
  } finally {
    vi.useRealTimers();
  }
});

it('is never larger than maxBytes, and says that it was cut', async () => {
  const trace = open({ maxBytes: 4_096 });
  for (let n = 0; n < 1_000; n++) {
    trace.record(fact(`session ${n}`));
    trace.flush();
  }
  trace.close();
  expect(statSync(path()).size).toBeLessThanOrEqual(4_096);
  const { head, records } = await read();
  expect(head.state).toBe('cut');
  expect(records.at(-1)).toMatchObject({ kind: 'cut', why: 'maxBytes is reached (4096)' });
  expect(records.length).toBeGreaterThan(10);
  expect(warnings).toEqual([expect.stringContaining('is cut: maxBytes is reached')]);
});

it('a full disk cuts it, and nobody is disturbed', async () => {
  const trace = open();
  trace.record(fact('first'));
  trace.flush();
  disk.leftBytes = 20;
  trace.record(fact('second'));
  trace.flush();
  trace.record(fact('third'));
  trace.flush();
  trace.close();
  const { head, records } = await read();
  expect(head.state).toBe('cut');
  expect(records).toMatchObject([{ session: 'first' }]);
  expect(warnings).toEqual([expect.stringContaining('ENOSPC')]);
});

it('can be read when the disk was full in the middle of several records', async () => {
  const trace = open();
  trace.record(fact('first'));
  trace.flush();
  for (const session of ['second', 'third', 'fourth']) trace.record(fact(session));
  disk.leftBytes = 130;
  trace.flush();
  const { head, records } = await read();
  expect(head.state).toBe('cut');
  expect(records).toMatchObject([{ session: 'first' }, { kind: 'cut' }]);
});

it('cannot be made: the error says where', () => {
  closeSync(openSync(join(directory, 'file'), constants.O_CREAT));
  directory = join(directory, 'file', 'below');
  expect(() => open()).toThrow(/ENOTDIR.*below/);
  directory = join(directory, '..', '..');
});

it('cannot be begun, since the disk is full: the error names the file, and none is left', () => {
  disk.leftBytes = 0;
  expect(() => open()).toThrow(/ENOSPC.*'.*holder-one\.ndjson'/);
  expect(readdirSync(directory)).toEqual([]);
});

it('is for its owner alone', () => {
  open().close();
  expect(statSync(path()).mode & 0o077).toBe(0);
});

it('tells neither sessions nor values nor the key, but whether they are the same', () => {
  const [one, same, other] = [
    open(),
    open({ process: 'two' }),
    open({ process: 'three', key: 'o'.repeat(32) }),
  ];
  const bytes = new TextEncoder().encode('a secret');
  const hash = one.value('s', 'cart', bytes);
  expect(hash).toMatch(/^[\w-]{22}$/);
  expect(one.value('s', 'cart', bytes)).toBe(hash);
  expect(same.value('s', 'cart', new TextEncoder().encode('a secret'))).toBe(hash);
  // The same array may become the value of another session, by regenerate.
  expect(one.value('t', 'cart', bytes)).not.toBe(hash);
  expect(one.value('s', 'user', bytes)).not.toBe(hash);
  expect(other.value('s', 'cart', bytes)).not.toBe(hash);
  expect(one.session('s')).toBe(same.session('s'));
  expect(one.session('s')).not.toBe(other.session('s'));
  for (const trace of [one, same, other]) trace.close();
  const files = readdirSync(directory).map((name) => readFileSync(join(directory, name), 'utf8'));
  const keys = files.map((text) => (JSON.parse(text.split('\n')[0]!) as { key: string }).key);
  expect(new Set(keys).size).toBe(2);
  expect(files.join()).not.toMatch(/kkkk|oooo/);
});
