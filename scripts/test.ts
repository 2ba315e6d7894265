/**
 * `npm test`: runs the test projects with a RabbitMQ, a PostgreSQL and a pgbouncer for those that need them.
 *
 *   npm test                                 everything but the fault suite, which test:all has
 *   npm test -- --project contract           what Vitest is told
 *   npm test -- --no-install                 installs no package of the system
 *   npm test -- --broker-url amqp://…        on a broker of yours
 *   npm test -- --database-url postgres://…  on a database of yours
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { findBroker } from './services/broker.js';
import { findDatabase } from './services/database.js';
import { takeNoInstall } from './services/debian.js';
import { installPgbouncer } from './services/private-pgbouncer.js';

const log = {
  log: (line: string) => console.log(line),
  warn: (line: string) => console.warn(line),
  error: (line: string) => console.error(line),
};

const vitestArguments = process.argv.slice(2);
takeNoInstall(vitestArguments);
takeUrl('--broker-url', 'AMQP_URL', 'amqp://user:password@host:5672');
takeUrl('--database-url', 'DATABASE_URL', 'postgres://user:password@host:5432/database');

// Ctrl-C reaches Vitest, too. Vitest ends first, then the servers.
process.on('SIGINT', () => {});

const broker = await findBroker({ log, mode: 'test' });
log.log(`Testing with ${broker.origin}.`);
const database = needsDatabase() ? await findDatabase({ log }) : undefined;
if (database) log.log(`Testing with ${database.origin}.`);
if (database) await installPgbouncer(log); // once, before several suites would install it at the same time
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
const run = spawn(process.execPath, [vitest, 'run', ...vitestArguments, ...withoutFaults()], {
  stdio: 'inherit',
  env: { ...process.env, AMQP_URL: broker.url, ...(database && { DATABASE_URL: database.url }) },
});
const [code] = (await once(run, 'exit')) as [number | null];
await Promise.all([broker.stop(), database?.stop()]);
process.exitCode = code ?? 1;

/** Faults take minutes. Who names projects or files gets those. */
function withoutFaults(): readonly string[] {
  return vitestArguments.length === 0 ? ['--project', '!fault'] : [];
}

/** An option of this script, which Vitest does not know. */
function takeUrl(option: string, variable: string, form: string): void {
  const at = vitestArguments.indexOf(option);
  if (at < 0) return;
  const [, url] = vitestArguments.splice(at, 2);
  if (!url) throw new Error(`${option} needs a URL: ${form}`);
  process.env[variable] = url;
}

/** False when the arguments name only projects that need no server. */
function needsDatabase(): boolean {
  const named = vitestArguments.flatMap((argument, i) =>
    argument === '--project' ? [vitestArguments[i + 1]] : (/^--project=(.*)$/.exec(argument)?.[1] ?? []),
  );
  const withDatabase = ['contract', 'e2e', 'bench'];
  return named.length === 0 || named.some((project) => withDatabase.includes(project ?? ''));
}
