/**
 * The repository in PostgreSQL, for stores on several machines, of which one can take over from another. The
 * epochs in the database are authoritative, and each write verifies its own in its transaction. All
 * partitions share one connection for writes and one group commit, in which claims have their place.
 *
 * With durability `process` a crash of the database loses what it acknowledged last. So a crash ends every
 * ownership, and a claim reads again what is there. A lost connection may mean a crash. Behind a proxy no
 * connection is lost, so the database also empties the table of claims when it crashes, and each write
 * verifies its claim.
 */
import { GroupCommit, type Pending } from '../group-commit.js';
import { Lifetime } from '../lifetime.js';
import { defaultBatchLimits, type BatchLimits } from '../net-changes.js';
import { loading, PostgresBatch } from './batch.js';
import { placeOf, PostgresConnections, type PostgresConnectionSettings } from './connections.js';
import { literal } from './functions.js';
import { checkLayout, migration, schemaName, type Layout } from './schema.js';
import {
  DeploymentMismatchError,
  EpochLostError,
  OtherDeploymentError,
  RepositoryError,
  type Apply,
  type Claim,
  type Deployment,
  type DueSession,
  type RecordedDeployment,
  type SessionRepository,
  type SessionWrite,
  type StoredSession,
} from '../repository.js';

export interface PostgresRepositorySettings extends Partial<PostgresConnectionSettings & BatchLimits> {
  readonly url: string;
  /** The name of the deployment. After the first opening no other one may use the schema. */
  readonly deployment: string;
  /** The deployment had another name when the schema was last opened. */
  readonly renameDeployment?: boolean;
  /**
   * An acknowledged `apply` survives the death of this process (`process`), or of the database and its
   * machine too (`disk`). With `process` such a crash loses less than the last second.
   */
  readonly durability?: 'process' | 'disk';
}

export const postgresDefaults = {
  schema: 'locked_session',
  connections: 4,
  connectTimeoutMs: 5_000,
  statementTimeoutMs: 10_000,
  renameDeployment: false,
  durability: 'process',
  ...defaultBatchLimits,
} as const;

export class PostgresRepository implements SessionRepository {
  private readonly settings: PostgresRepositorySettings &
    Required<Omit<PostgresRepositorySettings, 'password'>>;
  private readonly place: string;

  private readonly lifetime: Lifetime;
  private connections!: PostgresConnections;
  /**
   * The epochs that were claimed here since their last failure, which may have lost a write of an earlier
   * owner.
   */
  private readonly owned = new Map<number, number>();
  private readonly queue = new GroupCommit<Apply>((arrivals) => this.commit(arrivals));

  /** Throws a `RepositoryError` when the URL or the name of the schema is wrong. */
  constructor(settings: PostgresRepositorySettings) {
    this.settings = { ...postgresDefaults, ...settings };
    const { url, schema } = this.settings;
    if (!schemaName.test(schema))
      throw new RepositoryError(`'${schema}' is no name for a schema: use a-z, 0-9 and _, 63 at most`);
    this.place = placeOf(url, schema);
    this.lifetime = new Lifetime(this.place);
  }

  open(): Promise<void> {
    return this.lifetime.open((signal) => this.connect(signal));
  }

  async deployment(): Promise<RecordedDeployment | undefined> {
    const { schema } = this.settings;
    const rows = await this.read<RecordedDeployment>(`SELECT partitions, hash FROM ${schema}.deployment`);
    return rows[0] && { ...rows[0] };
  }

  async claim(partition: number, deployment: Deployment, floor = 0): Promise<Claim> {
    this.lifetime.expectOpen();
    const { partitions, hash, leaseMs } = deployment;
    const { schema, deployment: name } = this.settings;
    const numbers = [partition, partitions, hash, leaseMs, floor].map((number) => BigInt(number)).join(', ');
    return this.queue.alone(async () => {
      const [row] = await this.connections.write<ClaimRow>(
        `SELECT * FROM ${schema}.claim(${literal(name)}, ${numbers})`,
      );
      const { epoch, previous, longest_lease_ms: longestLeaseMs, deployment: owner, ...recorded } = row!;
      if (owner !== name) throw new OtherDeploymentError(this.place, owner, name);
      if (epoch === null) throw new DeploymentMismatchError(recorded, deployment);
      this.owned.set(partition, Number(epoch));
      return {
        epoch: Number(epoch),
        previous: Number(previous),
        longestLeaseMs: Number(longestLeaseMs),
      };
    });
  }

  async load(partition: number, ids: readonly string[]): Promise<Map<string, StoredSession>> {
    const { schema } = this.settings;
    const rows = await this.read<{ id: string; name: Buffer | null; value: Buffer }>(
      loading(schema, partition, ids),
    );
    const sessions = new Map<string, StoredSession>();
    for (const { id, name, value } of rows)
      if (name === null) sessions.set(id, { head: value, attributes: new Map() });
    for (const { id, name, value } of rows)
      if (name !== null) sessions.get(id)?.attributes.set(name.toString(), value);
    return sessions;
  }

  async due(partition: number, before: number, limit: number): Promise<DueSession[]> {
    const [mine, most, count] = [partition, Math.floor(before), limit].map(BigInt);
    const rows = await this.read<{ session: string; expires: string }>(
      `SELECT id AS session, expires FROM ${this.settings.schema}.sessions
       WHERE partition = ${mine} AND expires <= ${most} ORDER BY expires LIMIT ${count}`,
    );
    return rows.map(({ session, expires }) => ({ session, expires: Number(expires) }));
  }

  async apply(partition: number, epoch: number, writes: readonly SessionWrite[]): Promise<void> {
    this.lifetime.expectOpen();
    return this.queue.add({ partition, epoch, writes });
  }

  async applyAll(applies: readonly Apply[]): Promise<readonly unknown[]> {
    try {
      this.lifetime.expectOpen();
    } catch (error) {
      return applies.map(() => error);
    }
    return this.queue.addAll(applies);
  }

  close(): Promise<void> {
    return this.lifetime.close(
      () => this.queue.alone(async () => {}),
      async () => {
        this.owned.clear();
        await this.connections.close();
      },
    );
  }

  private async connect(signal: AbortSignal): Promise<void> {
    const { schema, deployment: name, renameDeployment: rename } = this.settings;
    // The connection of an opening that was aborted may end after the next opening.
    const lost = () => {
      if (this.connections === connections) this.owned.clear();
    };
    const connections = await PostgresConnections.over(this.settings, this.place, lost);
    const layout = connections.write<Layout>(migration(schema, { name, rename }));
    try {
      const [found] = await unlessAborted(layout, signal);
      checkLayout(this.place, name, found!);
      this.connections = connections;
    } catch (error) {
      const closed = layout.catch(() => {}).then(() => connections.close());
      if (signal.aborted)
        closed.catch(() => {}); // not awaited, since the server may never answer
      else await closed;
      throw error;
    }
  }

  private async commit(arrivals: Iterable<Pending<Apply>>): Promise<void> {
    const { schema, durability } = this.settings;
    const batch = new PostgresBatch();
    const staged = this.stage(arrivals, batch);
    try {
      this.answer(staged, await this.connections.write<PartitionRow>(batch.statement(schema, durability)));
    } catch (error) {
      for (const { pending } of staged) {
        this.owned.delete(pending.item.partition);
        pending.reject(error);
      }
    }
  }

  /** Puts arrivals into the batch until it is full. */
  private stage(arrivals: Iterable<Pending<Apply>>, batch: PostgresBatch): Staged[] {
    const staged: Staged[] = [];
    for (const pending of arrivals) {
      const { partition, epoch, writes } = pending.item;
      const mine = this.owned.get(partition) === epoch;
      if (mine) batch.add(partition, epoch, writes);
      else batch.ask(partition); // which tells an epoch that is over from one whose writes may be lost
      staged.push({ pending, mine });
      if (batch.isFull(this.settings)) break;
    }
    return staged;
  }

  private answer(staged: readonly Staged[], rows: readonly PartitionRow[]): void {
    const found = new Map(rows.map((row) => [row.partition, row]));
    for (const { pending, mine } of staged) {
      const { partition, epoch } = pending.item;
      const row = found.get(partition);
      const current = Number(row?.epoch ?? 0);
      if (epoch !== current) pending.reject(new EpochLostError(partition, epoch, current));
      else if (mine && row?.claimed) pending.resolve();
      else pending.reject(this.mustClaim(partition));
    }
  }

  private mustClaim(partition: number): RepositoryError {
    return new RepositoryError(
      `partition ${partition} was claimed before a failure or restart, of this store or the database: ` +
        'claim it anew',
    );
  }

  private async read<Row extends object>(text: string): Promise<Row[]> {
    this.lifetime.expectOpen();
    return this.lifetime.reading(this.connections.read<Row>(text));
  }
}

/** Rejects with the signal's reason as soon as it is aborted. */
async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
  return Promise.race([promise, aborted]);
}

interface Staged {
  readonly pending: Pending<Apply>;
  /** The partition was claimed here, in this epoch. */
  readonly mine: boolean;
}

interface PartitionRow {
  readonly partition: number;
  readonly epoch: string;
  /** False when the server has crashed since. */
  readonly claimed: boolean;
}

interface ClaimRow extends RecordedDeployment {
  readonly deployment: string;
  /** Null when the deployment is another one. */
  readonly epoch: string | null;
  readonly previous: string;
  readonly longest_lease_ms: string;
}
