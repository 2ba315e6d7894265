/**
 * The repository in PostgreSQL: for stores on several machines, of which one can go on where another stopped. The epochs that count are
 * the database's, and each write verifies its own in the transaction that writes. All writing goes through one connection and one group
 * commit, of all partitions together, with the claims in between.
 *
 * With durability `process` a database that crashes forgets what it acknowledged last. That ends our connection; so a
 * connection that is lost ends every ownership that it had, and a claim reads anew what is there.
 */
import { GroupCommit, type Pending } from './group-commit.js';
import { PostgresBatch } from './postgres.batch.js';
import { placeOf, PostgresConnections, type PostgresConnectionSettings } from './postgres.connections.js';
import { checkLayout, migration, schemaName, type LAYOUT } from './postgres.schema.js';
import {
  DeploymentMismatchError,
  EpochLostError,
  RepositoryError,
  type Claim,
  type Deployment,
  type DueSession,
  type RecordedDeployment,
  type SessionRepository,
  type SessionWrite,
  type StoredSession,
} from './repository.js';

export interface PostgresRepositorySettings extends Partial<PostgresConnectionSettings> {
  readonly url: string;
  /**
   * What an acknowledged `apply` survives: the death of this `process`, or of the database and its machine too (`disk`). With
   * `process`, a crash there takes less than a second of it.
   */
  readonly durability?: 'process' | 'disk';
  /** A batch takes no further `apply` once it changes this many rows … */
  readonly batchRows?: number;
  /** … or has this many bytes. */
  readonly batchBytes?: number;
}

const DEFAULTS = {
  schema: 'locked_session',
  connections: 4,
  connectTimeoutMs: 5_000,
  statementTimeoutMs: 10_000,
  durability: 'process',
  batchRows: 4_096,
  batchBytes: 1_048_576,
} as const;

interface Apply {
  readonly partition: number;
  readonly epoch: number;
  readonly writes: readonly SessionWrite[];
}

export class PostgresRepository implements SessionRepository {
  private readonly settings: Required<PostgresRepositorySettings>;
  private readonly place: string;

  private state: 'closed' | 'open' | 'closing' = 'closed';
  private connections!: PostgresConnections;
  /** The epochs claimed here since the last failure that concerned them: an owner of before may have lost a write to it. */
  private readonly owned = new Map<number, number>();
  private readonly line = new GroupCommit<Apply>((arrivals) => this.commit(arrivals));
  private readonly reads = new Set<Promise<unknown>>();

  /** Throws a `RepositoryError` where the URL or the schema's name is not one. */
  constructor(settings: PostgresRepositorySettings) {
    this.settings = { ...DEFAULTS, ...settings };
    const { url, schema } = this.settings;
    if (!schemaName.test(schema))
      throw new RepositoryError(`'${schema}' is no name for a schema: use a-z, 0-9 and _, 63 at most`);
    this.place = placeOf(url, schema);
  }

  async open(): Promise<void> {
    if (this.state !== 'closed') throw new RepositoryError(`${this.place} is open already: open it once`);
    this.connections = new PostgresConnections(this.settings, this.place, () => this.owned.clear());
    try {
      const [layout] = await this.connections.write<typeof LAYOUT>(migration(this.settings.schema));
      checkLayout(this.place, layout!);
      this.state = 'open';
    } catch (error) {
      await this.connections.close();
      throw error;
    }
  }

  async deployment(): Promise<RecordedDeployment | undefined> {
    const { schema } = this.settings;
    const rows = await this.read<RecordedDeployment>(
      'deployment',
      `SELECT partitions, hash FROM ${schema}.deployment`,
    );
    return rows[0] && { ...rows[0] };
  }

  async claim(partition: number, deployment: Deployment): Promise<Claim> {
    this.expectOpen();
    const { partitions, hash, leaseMs } = deployment;
    const numbers = [partition, partitions, hash, leaseMs].map((number) => BigInt(number)).join(', ');
    return this.line.alone(async () => {
      const [row] = await this.connections.write<ClaimRow>(
        `SELECT * FROM ${this.settings.schema}.claim(${numbers})`,
      );
      const { epoch, longest_lease_ms: longestLeaseMs, ...recorded } = row!;
      if (epoch === null) throw new DeploymentMismatchError(recorded, deployment);
      this.owned.set(partition, Number(epoch));
      return { epoch: Number(epoch), longestLeaseMs: Number(longestLeaseMs) };
    });
  }

  async load(partition: number, ids: readonly string[]): Promise<Map<string, StoredSession>> {
    const { schema } = this.settings;
    const where = 'WHERE partition = $1 AND id = ANY ($2::text[])';
    const rows = await this.read<{ id: string; name: Buffer | null; value: Buffer }>(
      'load',
      `SELECT id, NULL AS name, head AS value FROM ${schema}.sessions ${where}
       UNION ALL SELECT id, name, value FROM ${schema}.attributes ${where}`,
      [partition, ids],
    );
    const sessions = new Map<string, StoredSession>();
    for (const { id, name, value } of rows)
      if (name === null) sessions.set(id, { head: value, attributes: new Map() });
    for (const { id, name, value } of rows)
      if (name !== null) sessions.get(id)?.attributes.set(name.toString(), value);
    return sessions;
  }

  async due(partition: number, before: number, limit: number): Promise<DueSession[]> {
    const rows = await this.read<{ session: string; expires: string }>(
      'due',
      `SELECT id AS session, expires FROM ${this.settings.schema}.sessions
       WHERE partition = $1 AND expires <= $2 ORDER BY expires LIMIT $3`,
      [partition, before, limit],
    );
    return rows.map(({ session, expires }) => ({ session, expires: Number(expires) }));
  }

  async apply(partition: number, epoch: number, writes: readonly SessionWrite[]): Promise<void> {
    this.expectOpen();
    return this.line.add({ partition, epoch, writes });
  }

  async close(): Promise<void> {
    if (this.state !== 'open') return;
    this.state = 'closing';
    try {
      await this.line.alone(async () => {});
      await Promise.allSettled(this.reads);
    } finally {
      await this.connections.close();
      this.owned.clear();
      this.state = 'closed';
    }
  }

  private async commit(arrivals: Iterable<Pending<Apply>>): Promise<void> {
    const { schema, durability, batchRows, batchBytes } = this.settings;
    const batch = new PostgresBatch();
    const staged: { pending: Pending<Apply>; mine: boolean }[] = [];
    for (const pending of arrivals) {
      const { partition, epoch, writes } = pending.item;
      const mine = this.owned.get(partition) === epoch;
      if (mine) batch.add(partition, epoch, writes);
      else batch.ask(partition); // to tell an epoch that is over from one whose writes may be lost
      staged.push({ pending, mine });
      if (batch.count >= batchRows || batch.bytes >= batchBytes) break;
    }
    try {
      const statement = batch.statement(schema, durability);
      const rows = await this.connections.write<{ partition: number; epoch: string }>(statement);
      const epochs = new Map(rows.map(({ partition, epoch }) => [partition, Number(epoch)]));
      for (const { pending, mine } of staged) {
        const { partition, epoch } = pending.item;
        const current = epochs.get(partition) ?? 0;
        if (epoch !== current) pending.reject(new EpochLostError(partition, epoch, current));
        else if (mine) pending.resolve();
        else pending.reject(this.mustClaim(partition));
      }
    } catch (error) {
      for (const { pending } of staged) {
        this.owned.delete(pending.item.partition);
        pending.reject(error);
      }
    }
  }

  private mustClaim(partition: number): RepositoryError {
    return new RepositoryError(
      `partition ${partition} was claimed before a failure or restart, of this store or the database: claim it anew`,
    );
  }

  /** Keeps `close` waiting for what was called before it. */
  private async read<Row extends object>(name: string, text: string, values: unknown[] = []): Promise<Row[]> {
    this.expectOpen();
    const read = this.connections.read<Row>(name, text, values);
    this.reads.add(read);
    return read.finally(() => this.reads.delete(read));
  }

  private expectOpen(): void {
    if (this.state !== 'open') throw new RepositoryError(`${this.place} is not open: open it before use`);
  }
}

interface ClaimRow extends RecordedDeployment {
  /** Null where the deployment is another one. */
  readonly epoch: string | null;
  readonly longest_lease_ms: string;
}
