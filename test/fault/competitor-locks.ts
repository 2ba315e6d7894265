/**
 * Other locks behind one interface: Redlock 5 with its signal checked, and PostgreSQL's advisory locks. They
 * guard a value in the same server, as for sessions that are kept there.
 */
import { Redis } from 'ioredis';
import { Client, Pool } from 'pg';
import Redlock from 'redlock';

export interface CompetingLock {
  /** Runs `body` with the lock. `check` throws when the lock is known to be lost. */
  with(resource: string, body: (check: () => void) => Promise<void>): Promise<void>;
  read(resource: string): Promise<string | undefined>;
  write(resource: string, value: string): Promise<void>;
  close(): Promise<void>;
}

export type LockKind = 'redlock' | 'advisory lock';

/** The lease of a lock of Redlock, in milliseconds. */
export const redlockMs = 1_000;

export function openLock(kind: LockKind, url: string): Promise<CompetingLock> {
  return kind === 'redlock' ? openRedlock(url) : openAdvisory(url);
}

async function openRedlock(url: string): Promise<CompetingLock> {
  const redis = new Redis(url);
  const redlock = new Redlock([redis]);
  // For taking the lock, and not for extending it.
  const patient = { retryCount: -1, retryDelay: 20, retryJitter: 10 };
  return {
    with: (resource, body) =>
      redlock.using([`lock:${resource}`], redlockMs, patient, (signal) =>
        body(() => {
          if (signal.aborted) throw signal.error ?? new Error('the lock is lost');
        }),
      ),
    read: async (resource) => (await redis.get(resource)) ?? undefined,
    write: async (resource, value) => void (await redis.set(resource, value)),
    close: async () => void (await redis.quit()),
  };
}

/** Values use a pool. Each lock has a connection of its own. */
async function openAdvisory(url: string): Promise<CompetingLock> {
  const connect = async () => {
    const client = new Client(url);
    await client.connect();
    return client;
  };
  const values = new Pool({ connectionString: url, max: 10 });
  await values.query('CREATE TABLE IF NOT EXISTS guarded (name text PRIMARY KEY, value text)');
  return {
    async with(resource, body) {
      const client = await connect();
      try {
        await client.query('SELECT pg_advisory_lock(hashtext($1))', [resource]);
        await body(() => {});
      } finally {
        await client.end();
      }
    },
    async read(resource) {
      const { rows } = await values.query<{ value: string }>('SELECT value FROM guarded WHERE name = $1', [
        resource,
      ]);
      return rows[0]?.value;
    },
    async write(resource, value) {
      const upsert =
        'INSERT INTO guarded VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value';
      await values.query(upsert, [resource, value]);
    },
    close: () => values.end(),
  };
}
