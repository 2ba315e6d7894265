/**
 * Sessions in PostgreSQL, one row each, read and written under `pg_advisory_lock`. The lock lives with its
 * connection.
 */
import { Pool } from 'pg';
import {
  durabilities,
  versionOf,
  changed,
  changedBy,
  firstSession,
  type Client,
  type Contestant,
  type WholeSession,
} from '../contest.js';

/** Connections of one app server: as many scopes have a lock at once. */
const connections = 16;

export const advisoryLock: Contestant = {
  what: `pg_advisory_lock around SELECT and UPDATE, by pg ${versionOf('pg')}`,
  durability: durabilities.postgres,
  lacks: 'a scope takes a connection while it waits',
  needs: ['postgres'],
  async open({ servers, name, member, settings }) {
    const pool = new Pool({ connectionString: servers.postgres, max: connections });
    const table = `"${name}"`;
    await pool
      .query(`CREATE TABLE IF NOT EXISTS ${table} (id text PRIMARY KEY, session jsonb NOT NULL)`)
      .catch(() => {
        // Two processes that make one table at the same time: the other one has made it.
      });
    type Load = () => Promise<WholeSession>;
    type Save = (session: WholeSession) => Promise<unknown>;
    const locked = async <T>(id: string, body: (load: Load, save: Save) => Promise<T>): Promise<T> => {
      const client = await pool.connect();
      try {
        await client.query({ name: 'lock', text: 'SELECT pg_advisory_lock(hashtext($1))', values: [id] });
        try {
          return await body(
            async () => {
              const text = `SELECT session FROM ${table} WHERE id = $1`;
              const { rows } = await client.query<{ session: WholeSession }>({
                name: 'load',
                text,
                values: [id],
              });
              return rows[0]?.session ?? firstSession(settings);
            },
            (session) => {
              const text = `INSERT INTO ${table} VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET session = excluded.session`;
              return client.query({ name: 'save', text, values: [id, JSON.stringify(session)] });
            },
          );
        } finally {
          await client.query({
            name: 'unlock',
            text: 'SELECT pg_advisory_unlock(hashtext($1))',
            values: [id],
          });
        }
      } finally {
        client.release();
      }
    };
    const change = (id: string) =>
      locked(id, async (load, save) => {
        const session = await load();
        const before = session[changed]!.owner;
        session[changed] = changedBy(session[changed]!, `server-${member}`);
        await save(session);
        return before;
      });
    return {
      read: (id) => locked(id, async (load) => (await load())[changed]),
      change,
      create: change,
      count: (id) => locked(id, async (load) => (await load())[changed]!.count),
      close: () => pool.end(),
    } satisfies Client;
  },
};
