#!/usr/bin/env node
/** The store's program: reads its settings from the environment and runs until SIGTERM or SIGINT. */
import 'reflect-metadata';
import { createRequire } from 'node:module';
import { setFlagsFromString } from 'node:v8';
import { Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { AsyncMicroserviceOptions } from '@nestjs/microservices';
import {
  describeStoreSettings,
  FrameServer,
  readStoreSettings,
  Store,
  StoreModule,
  StoreSettingsError,
  type StoreSettings,
} from '#store-service';

const { version } = createRequire(import.meta.url)('locked-session/package.json') as { version: string };

const help = `Locked Session's store: keeps the sessions and gives out their locks, over RabbitMQ.

Usage: locked-session-store [options]

  --help               this
  --version            the version of the package
  --accept-older-data  starts although the newest changes in STORE_DIRECTORY are gone; then restart the app servers
  --rename-deployment  takes over the schema in PostgreSQL of a deployment whose prefix or virtual host was another

Settings, from the environment [default]:
${describeStoreSettings()}

SIGTERM or SIGINT ends it in order: what is under way is finished first.`;

/** How much longer than `STORE_CLOSE_MS` an orderly stop may take, in milliseconds. */
const beyondMs = 1_500;

const known: readonly string[] = ['--help', '-h', '--version', '--accept-older-data', '--rename-deployment'];

/**
 * V8 collects garbage when its heap has grown by this much since the last time, in percent. It would let the
 * heap of a store grow to a multiple of the sessions in memory.
 */
const heapGrowingPercent = 30;

async function main(): Promise<void> {
  setFlagsFromString(`--heap-growing-percent=${heapGrowingPercent}`);
  // A closed log, or a full disk below it, must not end a store.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  const options = process.argv.slice(2);
  const unknown = options.find((option) => !known.includes(option));
  if (unknown !== undefined) return fail(`unknown argument '${unknown}'; see --help`);
  if (options.some((option) => option === '--help' || option === '-h')) return console.log(help);
  if (options.includes('--version')) return console.log(version);

  let settings: StoreSettings;
  try {
    settings = readStoreSettings(process.env);
  } catch (error) {
    if (error instanceof StoreSettingsError) return fail(error.message);
    throw error;
  }

  const renameDeployment = options.includes('--rename-deployment');
  if (renameDeployment && settings.STORE_REPOSITORY !== 'postgres')
    return fail(`--rename-deployment is of no use with STORE_REPOSITORY=${settings.STORE_REPOSITORY}`);

  const log = new Logger('LockedSessionStore');
  const start = {
    acceptOlderData: options.includes('--accept-older-data'),
    renameDeployment,
    failed: () => process.exit(1), // the log has told why
  };
  const app = await NestFactory.createMicroservice<AsyncMicroserviceOptions>(
    StoreModule.forRoot(settings, start),
    {
      useFactory: (store: Store) => ({ strategy: new FrameServer(store) }),
      inject: [Store],
      logger: ['log', 'warn', 'error', 'fatal'],
    },
  );
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) return;
    stopping = true;
    log.log(`${signal}: finishing what is under way`);
    const late = () => fail(`the store did not close within STORE_CLOSE_MS and ${beyondMs} ms`);
    setTimeout(late, settings.STORE_CLOSE_MS + beyondMs).unref();
    app.close().then(
      () => process.exit(0),
      (error: unknown) => fail(`the store did not close in order: ${String(error)}`),
    );
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
  await app.listen();
  // oxlint-disable-next-line typescript/no-unnecessary-condition -- a signal may have come meanwhile
  if (stopping) return;
  log.log(
    `the store is ready: ${settings.STORE_PARTITIONS} partitions, repository ${settings.STORE_REPOSITORY}`,
  );
  if (renameDeployment)
    log.warn('the schema is that of this deployment now: start without --rename-deployment');
}

function fail(message: string): void {
  console.error(message);
  process.exit(1);
}

main().catch((error: unknown) => fail(error instanceof Error ? error.message : String(error)));
