/**
 * The connections to PostgreSQL: a few to read by, made when needed, and one that everything is written by. Who listens is
 * told when that one is lost: what the server had not yet put on disk may be lost with it. Errors come out with what to do about them.
 */
import { DatabaseError, Pool, type PoolClient, type QueryResultRow } from 'pg';
import { RepositoryError } from './repository.js';

export interface PostgresConnectionSettings {
  /** postgres://user:password@host:port/database, with `?sslmode=verify-full` and the like. */
  readonly url: string;
  readonly schema: string;
  /** Most connections: one writes, the others read. */
  readonly connections: number;
  /** The longest that it may take to connect, or to have one's turn to read. */
  readonly connectTimeoutMs: number;
  /** The longest that a statement may take. */
  readonly statementTimeoutMs: number;
}

/** How much later than the server itself should have ended a statement we take it for unreachable. */
const GRACE_MS = 1_000;

export class PostgresConnections {
  private readonly pool: Pool;
  private writer: PoolClient | undefined;

  /** Connects when there is something to ask. */
  constructor(
    settings: PostgresConnectionSettings,
    private readonly place: string,
    private readonly lost: () => void,
  ) {
    this.pool = new Pool({
      connectionString: settings.url,
      application_name: 'locked-session',
      max: settings.connections,
      connectionTimeoutMillis: settings.connectTimeoutMs,
      statement_timeout: settings.statementTimeoutMs,
      query_timeout: settings.statementTimeoutMs + GRACE_MS,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
    });
    this.pool.on('error', () => {}); // an idle one has gone: the next query makes another
  }

  /** A prepared statement, on any connection. */
  async read<Row extends QueryResultRow>(name: string, text: string, values: unknown[]): Promise<Row[]> {
    try {
      return (await this.pool.query<Row>({ name, text, values })).rows;
    } catch (error) {
      throw explained('read', this.place, error);
    }
  }

  /** One message of the simple protocol, on the connection that writes; the rows of its last statement. One at a time. */
  async write<Row extends QueryResultRow>(text: string): Promise<Row[]> {
    try {
      this.writer ??= await this.connect();
    } catch (error) {
      throw explained('connect to', this.place, error);
    }
    const writer = this.writer;
    try {
      const results = await writer.query<Row>(text);
      return (Array.isArray(results) ? (results as (typeof results)[]).at(-1)! : results).rows;
    } catch (error) {
      if (!(error instanceof DatabaseError)) this.drop(writer); // no word of the server: who knows what it does
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

/** What to call the place, for people: without user and password. Throws a `RepositoryError` that does not show them either. */
export function placeOf(url: string, schema: string): string {
  if (!URL.canParse(url))
    throw new RepositoryError('the URL of the database is not one: it begins postgres://');
  const { host, pathname } = new URL(url);
  return `schema ${schema} of the database ${pathname.slice(1) || 'that is the default'} at ${host || 'the local socket'}`;
}

/** Says what failed, why, and what to do. */
function explained(what: string, place: string, error: unknown): RepositoryError {
  const cause = error as Error & { code?: string };
  const said = cause.message || cause.code; // an AggregateError, of several addresses, has no message
  return new RepositoryError(`cannot ${what} ${place}: ${remedy(cause.code ?? '')} (${said})`, { cause });
}

function remedy(code: string): string {
  return remedies.find(([codes]) => codes.test(code))?.[1] ?? 'see what the database says';
}

const remedies: readonly (readonly [codes: RegExp, remedy: string])[] = [
  [/^(28...)$/, 'see that user and password are right, and that the server lets them in'],
  [/^3D000$/, 'create the database first'],
  [/^42501$/, 'let the user create schemas in the database, or own this one'],
  [/^42(P07|723)$/, 'the schema has tables of another program: name another schema'],
  [
    /^42(P01|883)$/,
    'its tables were changed while in use: put back a backup, or drop the schema to begin anew without its sessions',
  ],
  [/^25006$/, 'this server only reads: name the primary'],
  [/^53100$/, 'the disk of the server is full'],
  [/^53300$/, 'let the server have more connections, or the stores fewer'],
  [/^(57014|55P03)$/, 'it took too long: see what holds the server up, or allow more time'],
  [/^57P/, 'the server stops or starts'],
  [/^(E[A-Z]+|08...)?$/, 'see that PostgreSQL runs there and can be reached'],
];
