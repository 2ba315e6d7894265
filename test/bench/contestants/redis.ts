/**
 * Sessions in Redis, read and written as one JSON value: without a lock, and under the locks of redlock,
 * redis-semaphore and live-mutex. Redis appends each change to its file before it answers, and forces the
 * file to disk once a second.
 */
import { createRequire } from 'node:module';
import { Redis } from 'ioredis';
import Redlock from 'redlock';
import { Mutex } from 'redis-semaphore';
import { startProcess } from '../../../scripts/processes/processes.js';
import { freePort } from '../../../scripts/services/programs.js';
import {
  durabilities,
  changed,
  changedBy,
  firstSession,
  versionOf,
  type Backend,
  type Client,
  type Contestant,
  type Place,
  type Told,
  type WholeSession,
} from '../contest.js';

/** Runs `body` under the lock of `session`. */
type Guard = <T>(session: string, body: () => Promise<T>) => Promise<T>;

interface Guarded {
  readonly guard: Guard;
  close?(): Promise<void>;
}

/** How long a lock lives unless it is extended, in milliseconds. */
const lockMs = 10_000;

interface InRedis extends Pick<Told, 'what' | 'lacks' | 'loses'> {
  readonly start?: () => Promise<Backend>;
}

function inRedis(told: InRedis, open: (redis: Redis, place: Place) => Promise<Guarded>): Contestant {
  return {
    ...told,
    durability: durabilities.redis,
    needs: ['redis'],
    async open(place) {
      const redis = new Redis(place.servers.redis);
      const { guard, close } = await open(redis, place);
      const keyOf = (session: string) => `${place.name}:${session}`;
      const load = async (session: string) => {
        const text = await redis.get(keyOf(session));
        return text === null ? firstSession(place.settings) : (JSON.parse(text) as WholeSession);
      };
      const change = (id: string) =>
        guard(keyOf(id), async () => {
          const session = await load(id);
          const before = session[changed]!.owner;
          session[changed] = changedBy(session[changed]!, `server-${place.member}`);
          await redis.set(keyOf(id), JSON.stringify(session));
          return before;
        });
      return {
        read: (id) => guard(keyOf(id), async () => (await load(id))[changed]),
        change,
        create: change,
        count: async (id) => (await load(id))[changed]!.count,
        async close() {
          await close?.();
          redis.disconnect();
        },
      } satisfies Client;
    },
  };
}

const around = `around GET and SET, by ioredis ${versionOf('ioredis')}`;

export const redisWithoutLock = inRedis(
  {
    what: `Redis GET and SET, by ioredis ${versionOf('ioredis')}`,
    lacks: 'no lock: updates are lost',
    loses: true,
  },
  async () => ({ guard: (_session, body) => body() }),
);

const pollingLacks = 'no queue, no fencing: a paused holder overwrites newer data';

/** The options under which redlock waits as long as it takes. */
export const redlockOptions = (retryDelay: number) => ({
  retryCount: -1,
  retryDelay,
  retryJitter: retryDelay / 2,
});

const redlockWith = (what: string, retryDelay: number) =>
  inRedis(
    { what: `redlock ${versionOf('redlock')} ${around}; ${what}`, lacks: pollingLacks },
    async (redis) => {
      const redlock = new Redlock([redis], redlockOptions(retryDelay));
      return {
        async guard(session, body) {
          const lock = await redlock.acquire([`${session}:lock`], lockMs);
          try {
            return await body();
          } finally {
            await lock.release();
          }
        },
      };
    },
  );

export const redlock = redlockWith('its default: it retries after 200 ms', 200);
export const redlock5ms = redlockWith('it retries after 5 ms', 5);

export const redisSemaphore = inRedis(
  { what: `redis-semaphore ${versionOf('redis-semaphore')} ${around}`, lacks: pollingLacks },
  async (redis) => ({
    async guard(session, body) {
      const mutex = new Mutex(redis, `${session}:lock`, { acquireTimeout: 60_000, lockTimeout: lockMs });
      await mutex.acquire();
      try {
        return await body();
      } finally {
        await mutex.release();
      }
    },
  }),
);

/** It has no types that TypeScript can load here. */
interface LiveMutexClient {
  ensure(): Promise<unknown>;
  acquire(key: string): Promise<{ id: string; key: string }>;
  release(key: string, id: string): Promise<unknown>;
  close(): void;
}

const require = createRequire(import.meta.url);

export const liveMutex = inRedis(
  {
    what: `live-mutex ${versionOf('live-mutex')} ${around}`,
    lacks: 'its locks are in the memory of one process; no fencing',
    start: startLiveMutex,
  },
  async (_redis, place) => {
    const { Client: LiveMutex } = require('live-mutex') as {
      Client: new (options: object) => LiveMutexClient;
    };
    const client = new LiveMutex({ port: Number(place.address), ttl: lockMs, lockRequestTimeout: 60_000 });
    await client.ensure();
    return {
      async guard(session, body) {
        const { id } = await client.acquire(session);
        try {
          return await body();
        } finally {
          await client.release(session, id);
        }
      },
      close: async () => client.close(),
    };
  },
);

async function startLiveMutex(): Promise<Backend> {
  const port = await freePort();
  const broker = await startProcess({
    name: 'live-mutex',
    script: 'dist/test/bench/contestants/live-mutex-broker.js',
    env: { PORT: `${port}` },
    ready: /ready/,
  });
  return { address: `${port}`, store: broker.pid, close: () => broker.kill() };
}
