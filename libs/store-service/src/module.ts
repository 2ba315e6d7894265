/** Puts a store together from its settings: broker, repository, and the store that drives them. */
import { Logger, Module, type DynamicModule } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { AmqpBroker, calmLog, deploymentAt, systemClock, type Log } from '#broker';
import { LevelRepository, MemoryRepository, PostgresRepository, type SessionRepository } from '#repository';
import { Store, tombstoneMs } from '#store';
import { openTrace, type TraceSink } from '#trace';
import { StoreController } from './controller.js';
import {
  readAmqpSecrets,
  readDatabasePassword,
  sharesOfCache,
  StoreSettingsError,
  type StoreSettings,
} from './settings.js';

/** The options of one start, which do not hold for the next one. */
export interface StoreStart {
  /** Opens a data directory whose newest changes are gone. */
  readonly acceptOlderData?: boolean;
  /** Takes over the PostgreSQL schema of a deployment of another name, since it was renamed. */
  readonly renameDeployment?: boolean;
  /** Is called when the store has ended by itself (see `StorePorts`). */
  readonly failed?: (error: Error) => void;
}

@Module({})
export class StoreModule {
  /**
   * For `NestFactory.createMicroservice`, with `new FrameServer(store)` as its strategy. Throws a
   * `StoreSettingsError` when the trace cannot be written: Nest would print an error of a provider with its
   * stack.
   */
  static forRoot(settings: StoreSettings, start: StoreStart = {}): DynamicModule {
    const log = calmLog(new Logger('LockedSessionStore'));
    const trace = makeTrace(settings, log);
    return {
      module: StoreModule,
      controllers: [StoreController],
      providers: [{ provide: Store, useFactory: () => makeStore(settings, start, log, trace) }],
      exports: [Store],
    };
  }
}

function makeStore(
  settings: StoreSettings,
  start: StoreStart,
  log: Log,
  trace: TraceSink | undefined,
): Store {
  const { failed } = start;
  const broker = new AmqpBroker({
    url: settings.AMQP_URL,
    prefix: settings.AMQP_PREFIX,
    queueType: settings.AMQP_QUEUE_TYPE,
    secrets: () => readAmqpSecrets(settings),
    name: `${settings.AMQP_PREFIX} store ${hostname()} ${process.pid}`,
    heartbeatSeconds: settings.AMQP_HEARTBEAT_SECONDS,
    connectTimeoutMs: settings.AMQP_CONNECT_TIMEOUT_MS,
    reconnectMinMs: settings.AMQP_RECONNECT_MIN_MS,
    reconnectMaxMs: settings.AMQP_RECONNECT_MAX_MS,
    maxQueuedFrames: settings.AMQP_MAX_QUEUED_FRAMES,
    maxStalledBytes: settings.AMQP_MAX_STALLED_BYTES,
    closeTimeoutMs: settings.STORE_CLOSE_MS,
    log,
  });
  const repository = makeRepository(settings, start);
  return new Store(
    { broker, repository, clock: systemClock, log, trace, ...(failed && { failed }) },
    {
      partitions: settings.STORE_PARTITIONS,
      leaseMs: settings.STORE_LEASE_MS,
      recallTimeoutMs: settings.STORE_RECALL_TIMEOUT_MS,
      turnMs: settings.STORE_TURN_MS,
      unreachableHolder: settings.STORE_UNREACHABLE_HOLDER,
      ttlMs: settings.STORE_TTL_MS,
      tombstoneMs,
      destroyedNoticeMs: settings.STORE_DESTROYED_NOTICE_MS,
      expiryScanMs: Math.min(60_000, settings.STORE_TTL_MS / 16),
      waitersPerSession: settings.STORE_WAITERS_PER_SESSION,
      waitersPerPartition: settings.STORE_WAITERS_PER_PARTITION,
      window: settings.STORE_WINDOW,
      standbyPollMs: settings.STORE_STANDBY_POLL_MS,
      endedGrants: settings.STORE_ENDED_GRANTS,
      cacheBytes: sharesOfCache(settings).sessionBytes,
      retryMinMs: settings.STORE_RETRY_MIN_MS,
      retryMaxMs: settings.STORE_RETRY_MAX_MS,
      closeMs: settings.STORE_CLOSE_MS,
    },
  );
}

function makeTrace(settings: StoreSettings, log: Log): TraceSink | undefined {
  const { STORE_TRACE_DIRECTORY: directory, STORE_TRACE_MAX_BYTES: maxBytes } = settings;
  if (directory === undefined) return undefined;
  try {
    const key = settings.STORE_TRACE_KEY!;
    const warn = (line: string) => log.warn(line);
    return openTrace(
      { directory, maxBytes, key },
      { role: 'store', process: randomUUID(), warn, after: systemClock.after },
    );
  } catch (error) {
    throw new StoreSettingsError(`STORE_TRACE_DIRECTORY cannot be written to: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function makeRepository(
  settings: StoreSettings,
  { acceptOlderData = false, renameDeployment = false }: StoreStart,
): SessionRepository {
  const durability = settings.STORE_DURABILITY;
  const { levelCacheBytes: cacheBytes, levelWriteBufferBytes: writeBufferBytes } = sharesOfCache(settings);
  switch (settings.STORE_REPOSITORY) {
    case 'level':
      return new LevelRepository({
        directory: settings.STORE_DIRECTORY,
        checkEveryMs: settings.STORE_DIRECTORY_CHECK_MS,
        durability,
        acceptOlderData,
        cacheBytes,
        writeBufferBytes,
      });
    case 'postgres':
      return new PostgresRepository({
        url: settings.STORE_DATABASE_URL,
        ...(settings.STORE_DATABASE_PASSWORD_FILE !== undefined && {
          password: () => readDatabasePassword(settings)!,
        }),
        schema: settings.STORE_DATABASE_SCHEMA,
        deployment: deploymentAt(settings.AMQP_URL, settings.AMQP_PREFIX),
        renameDeployment,
        connections: settings.STORE_DATABASE_CONNECTIONS,
        connectTimeoutMs: settings.STORE_DATABASE_CONNECT_TIMEOUT_MS,
        statementTimeoutMs: settings.STORE_DATABASE_STATEMENT_TIMEOUT_MS,
        durability,
      });
    case 'memory':
      return new MemoryRepository();
  }
}
