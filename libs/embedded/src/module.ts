/**
 * Store and broker inside the application's own process: for development, for servers that run alone, and for
 * tests. It is the same code as with RabbitMQ and a store beside it, over the in-memory broker. With a data
 * directory it is durable.
 */
import {
  ConfigurableModuleBuilder,
  Inject,
  Logger,
  Module,
  type DynamicModule,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import { calmLog, MemoryBroker, MemoryExchange, systemClock, type Log } from '#broker';
import {
  LockedSessionError,
  LockedSessionModule,
  LockedSessions,
  sessionsToken,
  type LockedSessionExtras,
} from '#locked-session';
import { LevelRepository, MemoryRepository } from '#repository';
import { Store, tombstoneMs } from '#store';
import { openTrace, type TraceSink } from '#trace';
import { randomUUID } from 'node:crypto';
import { claimDirectory } from './directories.js';
import { readEmbeddedOptions, type EmbeddedSettings, type EmbeddedSettingsOptions } from './settings.js';

export interface EmbeddedOptions extends EmbeddedSettingsOptions, LockedSessionExtras {}

const optionsToken = Symbol('locked-session:embedded-options');
const settingsToken = Symbol('locked-session:embedded-settings');
const exchangeToken = Symbol('locked-session:embedded-exchange');
const ownSessions = Symbol('locked-session:embedded-sessions');

/** One partition serves one process as well as many. */
const partitions = 1;

const { ConfigurableModuleClass } = new ConfigurableModuleBuilder<EmbeddedSettingsOptions>({
  optionsInjectionToken: optionsToken,
})
  .setClassMethodName('forRoot')
  .setExtras<LockedSessionExtras>({ isGlobal: true, instance: undefined }, complete)
  .build();

/** Functions that give the directory of a store back to the process. */
const claimed = new WeakMap<Store, () => void>();

/** How much longer than its `closeMs` a closing application may keep its directory, in milliseconds. */
const spareMs = 5_000;

/**
 * What store and sessions share: the options, which are read once, and the exchange between them. Each start
 * of an application has its own.
 */
@Module({})
class EmbeddedOptionsModule {}

@Module({})
export class EmbeddedLockedSessionModule extends ConfigurableModuleClass implements OnApplicationShutdown {
  constructor(
    @Inject(Store) private readonly store: Store,
    @Inject(ownSessions) private readonly sessions: LockedSessions,
  ) {
    super();
  }

  /**
   * Nest shuts this module down before the one that it imports, but the sessions must be released before the
   * store stops.
   */
  async onApplicationShutdown(): Promise<void> {
    await this.sessions.close();
    await this.store.stop();
    claimed.get(this.store)?.();
  }
}

function complete(
  { module, imports = [], providers = [] }: DynamicModule,
  { isGlobal = true, instance }: LockedSessionExtras,
): DynamicModule {
  const options: DynamicModule = {
    module: EmbeddedOptionsModule,
    imports,
    providers: [
      ...providers,
      { provide: settingsToken, useFactory: readEmbeddedOptions, inject: [optionsToken] },
      { provide: exchangeToken, useFactory: () => new MemoryExchange({ clock: systemClock }) },
    ],
    exports: [settingsToken, exchangeToken],
  };
  return {
    module,
    imports: [
      options,
      LockedSessionModule.forRootAsync({
        isGlobal,
        instance,
        imports: [options],
        inject: [settingsToken, exchangeToken],
        useFactory: ({ sessions }: EmbeddedSettings, exchange: MemoryExchange) => ({
          ...sessions,
          partitions,
          broker: new MemoryBroker(exchange),
        }),
      }),
    ],
    providers: [
      {
        provide: ownSessions,
        useExisting: instance === undefined ? LockedSessions : sessionsToken(instance),
      },
      {
        provide: Store,
        inject: [settingsToken, exchangeToken, ModulesContainer],
        useFactory: startStore,
      },
    ],
  };
}

async function startStore(
  { store: its, sessions: { closeMs = 2_000 } }: EmbeddedSettings,
  exchange: MemoryExchange,
  application: ModulesContainer,
): Promise<Store> {
  const { directory } = its;
  const log = calmLog(new Logger('LockedSessionStore'));
  const trace = makeTrace(its.trace, log);
  const release =
    directory === undefined
      ? () => {}
      : await claimDirectory(directory, application, closeMs + spareMs, (line) => log.warn(line));
  const store = makeStore(exchange, its, log, trace);
  claimed.set(store, release);
  try {
    await store.start();
  } catch (error) {
    release();
    throw error;
  }
  return store;
}

function makeTrace(settings: EmbeddedSettings['store']['trace'], log: Log): TraceSink | undefined {
  if (!settings) return undefined;
  try {
    const warn = (line: string) => log.warn(line);
    return openTrace(settings, { role: 'store', process: randomUUID(), warn, after: systemClock.after });
  } catch (error) {
    throw new LockedSessionError(
      'settings',
      `EmbeddedLockedSessionModule: 'trace.directory' cannot be written to: ${(error as Error).message}`,
      { cause: error },
    );
  }
}

function makeStore(
  exchange: MemoryExchange,
  { directory, durability, acceptOlderData, ttlMs, destroyedNoticeMs }: EmbeddedSettings['store'],
  log: Log,
  trace: TraceSink | undefined,
): Store {
  const repository =
    directory === undefined
      ? new MemoryRepository()
      : new LevelRepository({ directory, durability, acceptOlderData });
  const standsBy = (why: string) =>
    log.warn(`standing by: ${why}. This application starts when that process has ended.`);
  const ports = { broker: new MemoryBroker(exchange), repository, clock: systemClock, log, standsBy, trace };
  return new Store(ports, {
    partitions,
    leaseMs: 5_000,
    recallTimeoutMs: 10_000,
    turnMs: 10,
    unreachableHolder: 'wait-for-lease',
    ttlMs,
    tombstoneMs,
    destroyedNoticeMs,
    expiryScanMs: Math.min(60_000, ttlMs / 16),
    waitersPerSession: 16,
    waitersPerPartition: 10_000,
    window: 1_000,
    closeMs: 5_000,
    standbyPollMs: 50,
    endedGrants: 8,
    cacheBytes: 256 * 1024 * 1024,
    retryMinMs: 100,
    retryMaxMs: 5_000,
  });
}
