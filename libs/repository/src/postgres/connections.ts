/**
 * The connections to PostgreSQL: a few for reads, which are made when needed, and one for all writes. The
 * listener is told when that one is lost, since writes that were not on disk may be lost with it. Errors say
 * what to do about them.
 *
 * A proxy such as pgbouncer may stand between and give every transaction another connection to the server. So
 * nothing outlasts a transaction: no parameter of a connection, no prepared statement, no lock. Each message
 * of the simple protocol is one transaction, with its time-out in front.
 */
import type { ClientConfig, Pool, PoolClient, QueryResult } from 'pg';
import { RepositoryError } from '../repository.js';

export interface PostgresConnectionSettings {
  /** postgres://user:password@host:port/database, with `?sslmode=verify-full` and the like. */
  readonly url: string;
  /**
   * Is called for every connection, so that a changed password needs no restart. It counts before the one in
   * the URL.
   */
  readonly password?: () => string;
  readonly schema: string;
  /** Most connections. One writes, the others read. */
  readonly connections: number;
  /** The longest that a connection may take, or that a read waits for one. */
  readonly connectTimeoutMs: number;
  /** The longest that a statement may take. */
  readonly statementTimeoutMs: number;
}

/** The server should end a statement itself. So much later it counts as out of reach. */
const GRACE_MS = 1_000;

export class PostgresConnections {
  private writer: PoolClient | undefined;

  private constructor(
    private readonly pool: Pool,
    private readonly inTime: string,
    private readonly isOfServer: (error: unknown) => boolean,
    private readonly place: string,
    private readonly lost: () => void,
  ) {
    this.pool.on('error', () => {}); // an idle connection has gone, and the next query makes another
  }

  /**
   * Connects with the first statement. PostgreSQL's client is loaded here, since no other repository needs
   * it.
   */
  static async over(
    settings: PostgresConnectionSettings,
    place: string,
    lost: () => void,
  ): Promise<PostgresConnections> {
    const { Client, DatabaseError, Pool } = await import('pg');
    const { password } = settings;
    /**
     * The client replaces the password by that of the connection string, even an empty one. So this comes
     * later.
     */
    class Asking extends Client {
      constructor(config?: ClientConfig) {
        super(config);
        if (password) Object.assign(this, { password: async () => secret(password) });
      }
    }
    const pool = new Pool({
      Client: Asking,
      connectionString: settings.url,
      application_name: 'locked-session',
      max: settings.connections,
      connectionTimeoutMillis: settings.connectTimeoutMs,
      query_timeout: settings.statementTimeoutMs + GRACE_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
    });
    const inTime = `SET LOCAL statement_timeout = ${BigInt(settings.statementTimeoutMs)}; `;
    return new PostgresConnections(pool, inTime, (error) => error instanceof DatabaseError, place, lost);
  }

  /**
   * The rows of one statement, on any connection. Signatures name no type of `pg`, since the package's
   * declarations must compile in applications without `@types/pg`.
   */
  async read<Row extends object>(text: string): Promise<Row[]> {
    try {
      return rowsOf<Row>(await this.pool.query<Row>(this.inTime + text));
    } catch (error) {
      throw explained('read', this.place, error);
    }
  }

  /** The rows of the last statement of `text`, on the connection that writes. One at a time. */
  async write<Row extends object>(text: string): Promise<Row[]> {
    try {
      this.writer ??= await this.connect();
    } catch (error) {
      throw explained('connect to', this.place, error);
    }
    const writer = this.writer;
    try {
      return rowsOf<Row>(await writer.query<Row>(this.inTime + text));
    } catch (error) {
      // Without an answer of the server the outcome is unknown.
      if (!this.isOfServer(error)) this.drop(writer);
      throw explained('write to', this.place, error);
    }
  }

  async close(): Promise<void> {
    this.writer?.release();
    this.writer = undefined;
    await this.pool.end();
  }

  private async connect(): Promise<PoolClient> {
    const client = await this.pool.connect();
    client.on('error', () => this.drop(client));
    client.on('end', () => this.drop(client));
    return client;
  }

  private drop(client: PoolClient): void {
    if (this.writer !== client) return;
    this.writer = undefined;
    client.release(true);
    this.lost();
  }
}

/** Fails with a code, by which `remedies` knows it. */
function secret(password: () => string): string {
  try {
    return password();
  } catch (error) {
    throw Object.assign(new Error((error as Error).message, { cause: error }), { code: 'PASSWORD' });
  }
}

/** A message with several statements has several results. */
function rowsOf<Row extends object>(results: QueryResult<Row> | QueryResult<Row>[]): Row[] {
  return [results].flat().at(-1)!.rows;
}

/**
 * The name of the place for people, without user and password. Throws a `RepositoryError` without them, too.
 */
export function placeOf(url: string, schema: string): string {
  if (!URL.canParse(url))
    throw new RepositoryError('the URL of the database is not one: it begins postgres://');
  const { host, pathname } = new URL(url);
  return `schema ${schema} of the database ${pathname.slice(1) || 'that is the default'} at ${host || 'the local socket'}`;
}

/** An error that says what failed, why, and what to do. */
function explained(what: string, place: string, error: unknown): RepositoryError {
  const cause = error as Error & { code?: string };
  const said = cause.message || cause.code; // an AggregateError, of several addresses, has no message
  return new RepositoryError(`cannot ${what} ${place}: ${remedy(cause.code ?? '')} (${said})`, { cause });
}

function remedy(code: string): string {
  return remedies.find(([codes]) => codes.test(code))?.[1] ?? 'see what the database says';
}

const remedies: readonly (readonly [codes: RegExp, remedy: string])[] = [
  [/^PASSWORD$/, 'see that the file with the password is there, and has it'],
  [/^(28...)$/, 'see that user and password are right, and that the server lets them in'],
  [/^3D000$/, 'create the database first'],
  [/^42501$/, 'let the user create schemas in the database, or own this one'],
  [/^42(P07|723)$/, 'the schema has tables of another program: name another schema'],
  [
    /^42(P01|883)$/,
    'its tables were changed while in use: put back a backup, or drop the schema to begin anew without ' +
      'its sessions',
  ],
  [/^25006$/, 'this server only reads: name the primary'],
  [/^53100$/, 'the disk of the server is full'],
  [/^53300$/, 'let the server have more connections, or the stores fewer'],
  [/^(57014|55P03)$/, 'it took too long: see what holds the server up, or allow more time'],
  [/^57P/, 'the server stops or starts'],
  [/^(E[A-Z]+|08...)?$/, 'see that PostgreSQL runs there and can be reached'],
];
