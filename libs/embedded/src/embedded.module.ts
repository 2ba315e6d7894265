/**
 * Store and broker inside the application's own process: for development, for servers that run alone, and for tests. The same code as with RabbitMQ and a
 * store beside it, over the in-memory broker; durable with a data directory.
 */
import { Inject, Logger, Module, type DynamicModule, type OnApplicationShutdown } from '@nestjs/common';
import { MemoryBroker, MemoryExchange, systemClock } from '#broker';
import {
  LockedSessionModule,
  LockedSessions,
  sessionsToken,
  type LockedSessionExtras,
  type LockedSessionOptions,
} from '#locked-session';
import { LevelRepository, MemoryRepository } from '#repository';
import { Store, tombstoneMs } from '#store';

export interface EmbeddedOptions
  extends Omit<LockedSessionOptions, 'broker' | 'partitions'>, LockedSessionExtras {
  /** Where sessions are kept; without it they are gone with the process. One process at a time can use it. */
  readonly directory?: string;
  /** How long a session is kept after its last use, in milliseconds. Default one day. */
  readonly ttlMs?: number;
  /** What an acknowledged change survives: the death of this process, or the loss of power too. Default `process`. */
  readonly durability?: 'process' | 'disk';
}

const ownSessions = Symbol('locked-session:embedded-sessions');

/** One partition serves one process as well as many. */
const partitions = 1;

@Module({})
export class EmbeddedLockedSessionModule implements OnApplicationShutdown {
  constructor(
    @Inject(Store) private readonly store: Store,
    @Inject(ownSessions) private readonly sessions: LockedSessions,
  ) {}

  static forRoot({
    directory,
    durability = 'process',
    ttlMs = 86_400_000,
    isGlobal,
    instance,
    ...options
  }: EmbeddedOptions): DynamicModule {
    const exchange = new MemoryExchange({ clock: systemClock });
    const extras = {
      ...(isGlobal !== undefined && { isGlobal }),
      ...(instance !== undefined && { instance }),
    };
    return {
      module: EmbeddedLockedSessionModule,
      imports: [
        LockedSessionModule.forRoot({
          ...options,
          ...extras,
          partitions,
          broker: new MemoryBroker(exchange),
        }),
      ],
      providers: [
        {
          provide: ownSessions,
          useExisting: instance === undefined ? LockedSessions : sessionsToken(instance),
        },
        {
          provide: Store,
          useFactory: async () => {
            const store = makeStore(exchange, directory, durability, ttlMs);
            await store.start();
            return store;
          },
        },
      ],
    };
  }

  /** Nest shuts this module down before the one that it imports: the sessions must be given back first all the same. */
  async onApplicationShutdown(): Promise<void> {
    await this.sessions.close();
    await this.store.stop();
  }
}

function makeStore(
  exchange: MemoryExchange,
  directory: string | undefined,
  durability: 'process' | 'disk',
  ttlMs: number,
): Store {
  const repository =
    directory === undefined ? new MemoryRepository() : new LevelRepository({ directory, durability });
  const log = new Logger('LockedSessionStore');
  const ports = { broker: new MemoryBroker(exchange), repository, clock: systemClock, log };
  return new Store(ports, {
    partitions,
    leaseMs: 5_000,
    recallTimeoutMs: 10_000,
    unreachableHolder: 'wait-for-lease',
    ttlMs,
    tombstoneMs,
    expiryScanMs: Math.min(60_000, ttlMs / 16),
    waitersPerSession: 16,
    waitersPerPartition: 10_000,
    window: 1_000,
    standbyPollMs: 50,
    endedGrants: 8,
    cacheBytes: 256 * 1024 * 1024,
    retryMinMs: 100,
    retryMaxMs: 5_000,
  });
}
