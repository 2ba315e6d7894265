/** Puts a store together from its settings: broker, repository, and the store that drives them. */
import { Logger, Module, type DynamicModule } from '@nestjs/common';
import { hostname } from 'node:os';
import { AmqpBroker, systemClock } from '#broker';
import { LevelRepository, MemoryRepository, PostgresRepository, type SessionRepository } from '#repository';
import { Store, tombstoneMs } from './store.js';
import { StoreController } from './store.controller.js';
import { tlsOf, type StoreSettings } from './store.settings.js';

@Module({})
export class StoreModule {
  /** For `NestFactory.createMicroservice`, with `new FrameServer(store)` as its strategy. */
  static forRoot(settings: StoreSettings): DynamicModule {
    return {
      module: StoreModule,
      controllers: [StoreController],
      providers: [{ provide: Store, useFactory: () => makeStore(settings) }],
      exports: [Store],
    };
  }
}

function makeStore(settings: StoreSettings): Store {
  const log = new Logger('LockedSessionStore');
  const broker = new AmqpBroker({
    url: settings.AMQP_URL,
    prefix: settings.AMQP_PREFIX,
    queueType: settings.AMQP_QUEUE_TYPE,
    tls: tlsOf(settings),
    name: `${settings.AMQP_PREFIX} store ${hostname()} ${process.pid}`,
    heartbeatSeconds: settings.AMQP_HEARTBEAT_SECONDS,
    connectTimeoutMs: settings.AMQP_CONNECT_TIMEOUT_MS,
    reconnectMinMs: settings.AMQP_RECONNECT_MIN_MS,
    reconnectMaxMs: settings.AMQP_RECONNECT_MAX_MS,
    maxQueuedFrames: settings.AMQP_MAX_QUEUED_FRAMES,
    maxStalledBytes: settings.AMQP_MAX_STALLED_BYTES,
    log,
  });
  return new Store(
    { broker, repository: makeRepository(settings), clock: systemClock, log },
    {
      partitions: settings.STORE_PARTITIONS,
      leaseMs: settings.STORE_LEASE_MS,
      recallTimeoutMs: settings.STORE_RECALL_TIMEOUT_MS,
      unreachableHolder: settings.STORE_UNREACHABLE_HOLDER,
      ttlMs: settings.STORE_TTL_MS,
      tombstoneMs,
      expiryScanMs: Math.min(60_000, settings.STORE_TTL_MS / 16),
      waitersPerSession: settings.STORE_WAITERS_PER_SESSION,
      waitersPerPartition: settings.STORE_WAITERS_PER_PARTITION,
      window: settings.STORE_WINDOW,
      standbyPollMs: settings.STORE_STANDBY_POLL_MS,
      endedGrants: settings.STORE_ENDED_GRANTS,
      cacheBytes: Math.floor((settings.STORE_CACHE_MIB * 1024 * 1024) / settings.STORE_PARTITIONS),
      retryMinMs: settings.STORE_RETRY_MIN_MS,
      retryMaxMs: settings.STORE_RETRY_MAX_MS,
    },
  );
}

function makeRepository(settings: StoreSettings): SessionRepository {
  const durability = settings.STORE_DURABILITY;
  switch (settings.STORE_REPOSITORY) {
    case 'level':
      return new LevelRepository({ directory: settings.STORE_DIRECTORY, durability });
    case 'postgres':
      return new PostgresRepository({
        url: settings.STORE_DATABASE_URL,
        schema: settings.STORE_DATABASE_SCHEMA,
        connections: settings.STORE_DATABASE_CONNECTIONS,
        connectTimeoutMs: settings.STORE_DATABASE_CONNECT_TIMEOUT_MS,
        statementTimeoutMs: settings.STORE_DATABASE_STATEMENT_TIMEOUT_MS,
        durability,
      });
    case 'memory':
      return new MemoryRepository();
  }
}
