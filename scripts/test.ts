/**
 * `npm test`: runs the test projects with a RabbitMQ for those that need one.
 *
 *   npm test                                 everything
 *   npm test -- --project contract           what Vitest is told
 *   npm test -- --broker-url amqp://…        on a broker of yours
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { findBroker } from './broker.js';

const log = {
  log: (line: string) => console.log(line),
  warn: (line: string) => console.warn(line),
  error: (line: string) => console.error(line),
};

const vitestArguments = process.argv.slice(2);
const option = vitestArguments.indexOf('--broker-url');
if (option >= 0) {
  const [, url] = vitestArguments.splice(option, 2);
  if (!url) throw new Error('--broker-url needs a URL: amqp://user:password@host:5672');
  process.env.AMQP_URL = url;
}

// Ctrl-C reaches Vitest as well: it ends first, then the broker.
process.on('SIGINT', () => {});

const broker = await findBroker({ log, mode: 'test' });
log.log(`Testing with ${broker.origin}.`);
const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
const run = spawn(process.execPath, [vitest, 'run', ...vitestArguments], {
  stdio: 'inherit',
  env: { ...process.env, AMQP_URL: broker.url },
});
const [code] = (await once(run, 'exit')) as [number | null];
await broker.stop();
process.exitCode = code ?? 1;
