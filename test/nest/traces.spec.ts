/**
 * The setting `trace` of an embedded module: what the process writes down, what the checker says of it, and
 * what is not written.
 */
import 'reflect-metadata';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { expect, it, onTestFinished } from 'vitest';
import { EmbeddedLockedSessionModule, type EmbeddedOptions } from '#embedded';
import { LockedSessions } from '#locked-session';
import { readTraceFile, verifyTraces } from '#trace';
import type { Loose } from './application.js';

const key = 'the key of this deployment';

async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'locked-session-traces-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

async function start(options: Partial<EmbeddedOptions>) {
  @Module({ imports: [EmbeddedLockedSessionModule.forRoot({ resolve: () => 'by id', ...options })] })
  class App {}
  const app = await NestFactory.createApplicationContext(App, { logger: false, abortOnError: false });
  onTestFinished(() => app.close());
  return { app, sessions: app.get(LockedSessions) };
}

/** All that a scope can do, on sessions that many use at once. */
async function play(sessions: LockedSessions): Promise<void> {
  const run = (id: string, options: object, body: (its: Loose) => unknown) =>
    sessions.run(id, options, (handle) => body(handle as unknown as Loose)).catch(() => {});
  const add = (name: string) => (its: Loose) => (its.draft(name, () => []) as number[]).push(1);
  const rounds = Array.from({ length: 40 }, (_, round) => {
    const id = `visitor-${round % 3}`;
    return [
      run(id, { write: ['a'] }, add('a')),
      run(id, { write: ['b'], read: ['a'] }, add('b')),
      run(id, { read: '*' }, (its) => its.get('a')),
      run(id, { write: ['a'] }, async (its) => {
        add('a')(its);
        await its.commit();
        add('a')(its);
        if (round % 2 === 0) throw new Error('on purpose');
      }),
      run(id, { write: ['a'] }, (its) =>
        Promise.all([1, 2].map(() => run(id, { write: ['b'] }, add('b')))).then(() => add('a')(its)),
      ),
      ...(round % 10 === 9 ? [run(id, {}, (its) => its.regenerate())] : []),
      ...(round % 10 === 4 ? [run(id, {}, (its) => its.destroy())] : []),
      ...(round % 10 === 2 ? [run(id, {}, (its) => its.delete('b'))] : []),
    ];
  });
  await Promise.all(rounds.flat());
}

it.each(['write-through', 'write-back'] as const)(
  'a process that traces what it does (%s): nothing is wrong with it, and nothing is missing',
  async (writePolicy) => {
    const directory = await temporaryDirectory();
    const { app, sessions } = await start({
      trace: { directory, key },
      destroyedNoticeMs: 0,
      holdPolicy: 'until-idle',
      writePolicy,
      writeBackMs: 20,
    });
    await play(sessions);
    await app.close();
    const files = (await readdir(directory)).toSorted();
    expect(files).toEqual([
      expect.stringMatching(/^holder-.*\.ndjson$/),
      expect.stringMatching(/^store-.*\.ndjson$/),
    ]);
    const traces = await Promise.all(files.map((name) => readTraceFile(join(directory, name))));
    const { verdict, findings, notKnown, counts } = verifyTraces(traces);
    expect({ verdict, findings, notKnown }).toEqual({ verdict: 'ok', findings: [], notKnown: [] });
    expect(counts).toMatchObject({ holders: 1, stores: 1, open: 0 });
    // The three sessions and their next ids.
    expect(counts.sessions).toBeGreaterThan(3);
    expect(counts.operations).toBeGreaterThan(200);
    expect(traces.map(({ head }) => head.state)).toEqual(['closed', 'closed']);
  },
);

it('a trace has neither ids of sessions nor values nor the key', async () => {
  const directory = await temporaryDirectory();
  const { app, sessions } = await start({ trace: { directory, key } });
  await sessions.run('anna@example.org', { write: ['user'] }, (its) => {
    (its as unknown as Loose).set('user', { name: 'Anna Example' });
  });
  await app.close();
  for (const name of await readdir(directory)) {
    const text = await readFile(join(directory, name), 'utf8');
    expect(text).toContain('"user"');
    expect(text).not.toMatch(/anna|example|the key/i);
  }
});

it('without the setting nothing is written', async () => {
  const directory = await temporaryDirectory();
  const { app, sessions } = await start({ directory: join(directory, 'data') });
  await play(sessions);
  await app.close();
  expect(await readdir(directory)).toEqual(['data']);
});

it('wrong settings stop the start, by name, and do not tell the key', async () => {
  const directory = await temporaryDirectory();
  await writeFile(join(directory, 'file'), '');
  const short = start({ trace: { directory, key: 'short' } });
  await expect(short).rejects.toThrow(/'trace\.key' \(what is set\): (?!.*short)/);
  await expect(start({ trace: { directory: join(directory, 'file'), key } })).rejects.toThrow(
    /'trace\.directory' cannot be written to: E/,
  );
});
