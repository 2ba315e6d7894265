/**
 * The embedded mode in a bundled application. Without a directory it needs neither LevelDB nor PostgreSQL's
 * client nor Nest's microservices. These cannot be found here.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { root } from '../../scripts/processes/processes.js';

const foreign = ['classic-level', 'pg', '@nestjs/microservices'];

const hook = `
export function resolve(specifier, context, next) {
  if (${JSON.stringify(foreign)}.includes(specifier)) throw new Error('not in the bundle: ' + specifier);
  return next(specifier, context);
}`;

/** Sessions in an application over the embedded store, with `more` options. */
const application = (more: string) => `
import { register } from 'node:module';
register(${JSON.stringify(`data:text/javascript,${encodeURIComponent(hook)}`)});
await import('reflect-metadata');
const { NestFactory } = await import('@nestjs/core');
const { EmbeddedLockedSessionModule } = await import('locked-session/embedded');
const { LockedSessions } = await import('locked-session');
const sessions = EmbeddedLockedSessionModule.forRoot({ resolve: () => 'one', ${more} });
const app = await NestFactory.createApplicationContext(sessions, { logger: ['error'], abortOnError: false });
await app.get(LockedSessions).run('one', {}, (session) => session.set('visits', 1));
console.log(await app.get(LockedSessions).run('one', {}, (session) => session.get('visits')) + ' visit');
await app.close();
`;

const run = (more: string) =>
  promisify(execFile)(process.execPath, ['--input-type=module', '--eval', application(more)], {
    cwd: root,
    timeout: 30_000,
  });

it('keeps sessions without LevelDB, pg and the microservices', async () => {
  expect((await run('')).stdout).toBe('1 visit\n');
});

it('names the missing package when a directory needs it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'locked-session-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  await expect(run(`directory: ${JSON.stringify(directory)}`)).rejects.toMatchObject({
    stderr: expect.stringContaining('not in the bundle: classic-level') as unknown,
  });
});
