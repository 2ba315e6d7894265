/**
 * The embedded repository, and the default: all sessions in one directory of this machine, kept by LevelDB, which lets
 * one process at a time open it. So the epochs held in memory are the truth, and to verify one costs nothing. All
 * writing goes through one group commit, of all partitions together, with the claims in between.
 *
 * A write that fails may leave half a record at the end of LevelDB's log. LevelDB would write on behind it, and at the
 * next start skip what follows. So a failed write stops everything, until a claim has opened the directory anew.
 */
import { resolve } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { GroupCommit, type Pending } from './group-commit.js';
import { checkFiles, checkLayout, explained, occupy, vacate } from './level.directory.js';
import { dueOf, keys, LAYOUT, parse, put, sessionOf, SessionRows, type Row } from './level.rows.js';
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

export interface LevelRepositorySettings {
  /** Where the files lie; made when missing. */
  readonly directory?: string;
  /** What an acknowledged `apply` survives: the death of the `process`, or the loss of power too (`disk`). */
  readonly durability?: 'process' | 'disk';
  /** With `process`: the longest that a write waits for the disk. */
  readonly syncEveryMs?: number;
  /** A batch takes no further `apply` once it changes this many rows … */
  readonly batchRows?: number;
  /** … or has this many bytes. */
  readonly batchBytes?: number;
}

const DEFAULTS: Required<LevelRepositorySettings> = {
  directory: './data',
  durability: 'process',
  syncEveryMs: 1_000,
  batchRows: 4_096,
  batchBytes: 1_048_576,
};

/** How many sessions one `load` reads at a time: more would keep the writes out of Node's few I/O threads. */
const READS_AT_ONCE = 16;

type Level = ClassicLevel<string, Uint8Array>;

interface Apply {
  readonly partition: number;
  readonly epoch: number;
  readonly writes: readonly SessionWrite[];
}

export class LevelRepository implements SessionRepository {
  private directory: string;
  private readonly settings: Required<LevelRepositorySettings>;

  private state: 'closed' | 'open' | 'closing' = 'closed';
  private level!: Level;
  private recorded: RecordedDeployment | undefined;
  private partitions = new Map<number, Claim>();
  /** Claimed since the directory was opened. Owners of before may have lost a write to a failure, so they must claim. */
  private owned = new Set<number>();

  private readonly line = new GroupCommit<Apply>((arrivals) => this.commit(arrivals));
  private readonly reads = new Set<Promise<unknown>>();
  /** Set while something written may not be on disk. */
  private syncTimer: NodeJS.Timeout | undefined;
  private failure: RepositoryError | undefined;

  constructor(settings: LevelRepositorySettings = {}) {
    this.settings = { ...DEFAULTS, ...settings };
    this.directory = resolve(this.settings.directory);
  }

  async open(): Promise<void> {
    if (this.state !== 'closed') throw new RepositoryError(`${this.directory} is open already: open it once`);
    this.directory = await occupy(this.directory);
    await this.mount('new or existing');
    this.state = 'open';
  }

  async deployment(): Promise<RecordedDeployment | undefined> {
    this.expectOpen();
    return this.recorded;
  }

  async claim(partition: number, deployment: Deployment): Promise<Claim> {
    this.expectOpen();
    return this.line.alone(async () => {
      if (this.failure) {
        await this.level.close();
        await this.mount('existing'); // LevelDB reads its log again: what it finds there is what was written
        this.failure = undefined;
      }
      const { partitions, hash, leaseMs } = deployment;
      const recorded = this.recorded ?? { partitions, hash };
      if (recorded.partitions !== partitions || recorded.hash !== hash)
        throw new DeploymentMismatchError(recorded, deployment);
      const last = this.partitions.get(partition) ?? { epoch: 0, longestLeaseMs: 0 };
      const claim = { epoch: last.epoch + 1, longestLeaseMs: Math.max(last.longestLeaseMs, leaseMs) };
      await this.write([put(keys.deployment, recorded), put(keys.partition(partition), claim)], true);
      this.recorded = recorded;
      this.partitions.set(partition, claim);
      this.owned.add(partition);
      return claim;
    });
  }

  async load(partition: number, ids: readonly string[]): Promise<Map<string, StoredSession>> {
    this.expectOpen();
    return this.reading(this.readSessions(partition, ids));
  }

  async due(partition: number, before: number, limit: number): Promise<DueSession[]> {
    this.expectOpen();
    return this.reading(this.readDue(partition, before, limit));
  }

  async apply(partition: number, epoch: number, writes: readonly SessionWrite[]): Promise<void> {
    this.expectOpen();
    return this.line.add({ partition, epoch, writes });
  }

  async close(): Promise<void> {
    if (this.state !== 'open') return;
    this.state = 'closing';
    try {
      await this.line.alone(() => this.sync());
      await Promise.allSettled(this.reads);
    } finally {
      await this.level.close();
      vacate(this.directory);
      this.state = 'closed';
    }
  }

  private async commit(arrivals: Iterable<Pending<Apply>>): Promise<void> {
    const changes = new SessionRows();
    const staged: Pending<Apply>[] = [];
    for (const pending of arrivals) {
      try {
        await this.stage(pending.item, changes);
        staged.push(pending);
      } catch (error) {
        pending.reject(error); // alone: the batch has nothing of it
      }
      if (changes.count >= this.settings.batchRows || changes.bytes >= this.settings.batchBytes) break;
    }
    try {
      if (changes.count > 0) await this.write([...changes], this.settings.durability === 'disk');
      for (const { resolve: resolved } of staged) resolved();
    } catch (error) {
      for (const { reject } of staged) reject(error);
    }
  }

  private async stage({ partition, epoch, writes }: Apply, changes: SessionRows): Promise<void> {
    if (this.failure) throw this.failure;
    const current = this.partitions.get(partition)?.epoch ?? 0;
    if (epoch !== current) throw new EpochLostError(partition, epoch, current);
    if (!this.owned.has(partition))
      throw new RepositoryError(
        `partition ${partition} was claimed before a failure or restart: claim it anew`,
      );
    const stored = new Map<string, string[]>();
    for (const { session, head } of writes)
      if (!head) stored.set(session, await this.storedKeys(partition, session));
    for (const write of writes) changes.add(partition, write, stored.get(write.session));
  }

  private async write(rows: Row[], sync: boolean): Promise<void> {
    try {
      await this.level.batch(rows, { sync });
    } catch (error) {
      this.failure = explained('cannot say what of the last write is in', this.directory, error);
    }
    if (sync || this.failure) {
      clearTimeout(this.syncTimer);
      this.syncTimer = undefined;
    } else {
      const later = () => void this.line.alone(() => this.sync()).catch(() => {}); // `failure` tells whoever comes next
      this.syncTimer ??= setTimeout(later, this.settings.syncEveryMs).unref();
    }
    if (this.failure) throw this.failure;
  }

  /** Syncs LevelDB's log. An older log is already on its way into a table, which LevelDB syncs. */
  private async sync(): Promise<void> {
    if (this.syncTimer) await this.write([put(keys.synced, null)], true);
  }

  /** Keeps `close` waiting for what was called before it. */
  private reading<T>(read: Promise<T>): Promise<T> {
    this.reads.add(read);
    return read.finally(() => this.reads.delete(read));
  }

  private async readSessions(partition: number, ids: readonly string[]): Promise<Map<string, StoredSession>> {
    const sessions = new Map<string, StoredSession>();
    for (let i = 0; i < ids.length; i += READS_AT_ONCE) {
      const reads = ids.slice(i, i + READS_AT_ONCE).map(async (id) => {
        const range = keys.session(partition, id);
        const session = sessionOf(range.gte, await this.read((level) => level.iterator(range).all()));
        if (session) sessions.set(id, session);
      });
      await Promise.all(reads);
    }
    return sessions;
  }

  private async readDue(partition: number, before: number, limit: number): Promise<DueSession[]> {
    const range = { ...keys.marks(partition, before), limit };
    return (await this.read((level) => level.keys(range).all())).map(dueOf);
  }

  private async read<T>(from: (level: Level) => Promise<T>): Promise<T> {
    if (this.failure) throw this.failure;
    try {
      return await from(this.level);
    } catch (error) {
      throw this.failure ?? explained('cannot read', this.directory, error);
    }
  }

  private async storedKeys(partition: number, id: string): Promise<string[]> {
    try {
      return await this.read((level) => level.keys(keys.session(partition, id)).all());
    } catch (error) {
      throw (this.failure = error as RepositoryError); // else the applies behind this one would overtake it
    }
  }

  private async mount(what: 'new or existing' | 'existing'): Promise<void> {
    let level: Level | undefined;
    try {
      await checkFiles(this.directory, what !== 'existing');
      level = new ClassicLevel(this.directory, { keyEncoding: 'utf8', valueEncoding: 'view' });
      await level.open();
      await this.readOwnership(level);
      this.level = level;
    } catch (error) {
      await level?.close();
      if (this.state === 'closed') vacate(this.directory);
      throw explained('cannot open', this.directory, error);
    }
  }

  private async readOwnership(level: Level): Promise<void> {
    const layout = await level.get(keys.layout);
    const empty = (await level.keys({ limit: 1 }).all()).length === 0;
    checkLayout(this.directory, layout && parse(layout), empty);
    if (empty) await level.batch([put(keys.layout, LAYOUT)], { sync: true });
    const deployment = await level.get(keys.deployment);
    this.recorded = deployment && (parse(deployment) as RecordedDeployment);
    this.owned = new Set();
    this.partitions = new Map();
    for (const [key, value] of await level.iterator(keys.partitions).all())
      this.partitions.set(Number(key.slice(keys.partitions.gte.length)), parse(value) as Claim);
  }

  private expectOpen(): void {
    if (this.state !== 'open') throw new RepositoryError(`${this.directory} is not open: open it before use`);
  }
}
