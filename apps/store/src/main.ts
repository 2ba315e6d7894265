#!/usr/bin/env node
/** The store's program: reads its settings from the environment and runs until SIGTERM or SIGINT. */
import 'reflect-metadata';
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
} from '#store';

const help = `Locked Session's store: keeps the sessions and gives out their locks, over RabbitMQ.

Usage: locked-session-store [--help]

Settings, from the environment [default]:
${describeStoreSettings()}

SIGTERM or SIGINT ends it in order: what is under way is finished first.`;

async function main(): Promise<void> {
  const [unknown] = process.argv.slice(2).filter((argument) => argument !== '--help' && argument !== '-h');
  if (unknown !== undefined) return fail(`unknown argument '${unknown}'; see --help`);
  if (process.argv.length > 2) return console.log(help);

  let settings: StoreSettings;
  try {
    settings = readStoreSettings(process.env);
  } catch (error) {
    if (error instanceof StoreSettingsError) return fail(error.message);
    throw error;
  }

  const log = new Logger('LockedSessionStore');
  const app = await NestFactory.createMicroservice<AsyncMicroserviceOptions>(StoreModule.forRoot(settings), {
    useFactory: (store: Store) => ({ strategy: new FrameServer(store) }),
    inject: [Store],
    logger: ['log', 'warn', 'error', 'fatal'],
  });
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) return;
    stopping = true;
    log.log(`${signal}: finishing what is under way`);
    app.close().then(
      () => process.exit(0),
      (error: unknown) => fail(`the store did not close in order: ${String(error)}`),
    );
  };
  process.on('SIGTERM', stop).on('SIGINT', stop);
  // A store that stands by has no connection yet that would keep its process alive.
  const standingBy = setInterval(() => {}, 2 ** 30);
  await app.listen();
  clearInterval(standingBy);
  if (stopping) return;
  log.log(
    `the store is ready: ${settings.STORE_PARTITIONS} partitions, repository ${settings.STORE_REPOSITORY}`,
  );
}

function fail(message: string): void {
  console.error(message);
  process.exit(1);
}

main().catch((error: unknown) => fail(error instanceof Error ? error.message : String(error)));
