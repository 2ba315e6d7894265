/**
 * The embedded repository, and the default. LevelDB keeps all sessions in one directory of this machine, and
 * one process at a time opens it. So the epochs in memory are authoritative, and a check costs nothing. All
 * partitions share one group commit, in which claims have their place.
 *
 * A failed write may leave half a record at the end of LevelDB's log. LevelDB would write on behind it, and
 * skip what follows at the next start. So after a failed write every call fails until a claim has opened the
 * directory again.
 */
import { resolve } from 'node:path';
import { GroupCommit, type Pending } from '../group-commit.js';
import { Lifetime } from '../lifetime.js';
import { LevelBatch } from './batch.js';
import {
  checkFiles,
  findFiles,
  checkLayout,
  explained,
  lostError,
  olderError,
  lockDirectory,
  unlockDirectory,
} from './directory.js';
import { GenerationFile } from './generation.js';
import { makeLevel, writeRows, type Level } from './open.js';
import { DirectoryOwner } from './owner.js';
import { levelDefaults, type LevelRepositorySettings } from './settings.js';
import { checkEveryMsLimits } from './stamp.js';
import { dueOf, json, keys, LAYOUT, parse, sessionOf, type PartitionRow, type Rows } from './rows.js';
import {
  DeploymentMismatchError,
  EpochLostError,
  RepositoryError,
  type Apply,
  type Claim,
  type Deployment,
  type DueSession,
  type RecordedDeployment,
  type RepositoryEvents,
  type SessionRepository,
  type SessionWrite,
  type StoredSession,
} from '../repository.js';

/**
 * LevelDB maps the tables that it has open into memory, 2 MiB each. It takes no smaller number than this, of
 * which 64 are tables.
 */
const maxOpenFiles = 74;

/** How many sessions one `load` reads at a time. More would keep writes from Node's few I/O threads. */
const READS_AT_ONCE = 16;

export class LevelRepository implements SessionRepository {
  private directory: string;
  private readonly settings: Required<LevelRepositorySettings>;

  private readonly lifetime: Lifetime;
  private level!: Level;
  private owner!: DirectoryOwner;
  /** Where LevelDB's files are. */
  private place = '';
  /** Set for good when the directory is not this process's any more. */
  private lost: RepositoryError | undefined;
  private recorded: RecordedDeployment | undefined;
  private partitions = new Map<number, PartitionRow>();
  /**
   * Partitions that were claimed since the directory was opened. Earlier owners may have lost a write to a
   * failure, so they must claim again.
   */
  private owned = new Set<number>();

  private readonly queue = new GroupCommit<Apply>((arrivals) => this.commit(arrivals));
  private file: GenerationFile | undefined;
  /** Counts the syncs of this directory, in all its life. */
  private generation = 0;
  /** Set while something written may not be on disk. */
  private syncTimer: NodeJS.Timeout | undefined;
  private failure: RepositoryError | undefined;

  /** Throws a `RepositoryError` where a setting is wrong. */
  constructor(settings: LevelRepositorySettings = {}) {
    this.settings = { ...levelDefaults, ...settings };
    const { directory, checkEveryMs } = this.settings;
    const [least, most] = checkEveryMsLimits;
    if (!(checkEveryMs >= least && checkEveryMs <= most))
      throw new RepositoryError(
        `checkEveryMs is ${checkEveryMs}, but must be ${least} to ${most} milliseconds`,
      );
    this.directory = resolve(directory);
    this.lifetime = new Lifetime(this.directory);
  }

  open(events: RepositoryEvents = { waits: () => {}, lost: () => {} }): Promise<void> {
    return this.lifetime.open((signal) => this.take(events, signal));
  }

  async deployment(): Promise<RecordedDeployment | undefined> {
    this.expectOpen();
    return this.recorded;
  }

  async claim(partition: number, deployment: Deployment, floor = 0): Promise<Claim> {
    this.expectOpen();
    return this.queue.alone(async () => {
      if (this.lost) throw this.lost;
      if (this.failure) {
        await this.mountAgain();
        this.failure = undefined;
      }
      const { partitions, hash, leaseMs } = deployment;
      const recorded = this.recorded ?? { partitions, hash };
      if (recorded.partitions !== partitions || recorded.hash !== hash)
        throw new DeploymentMismatchError(recorded, deployment);
      const last = this.partitions.get(partition) ?? { epoch: 0, longestLeaseMs: 0 };
      const claimed = {
        epoch: Math.max(last.epoch + 1, floor),
        longestLeaseMs: Math.max(last.longestLeaseMs, leaseMs),
      };
      await this.write(true, (rows) => {
        rows.put(keys.deployment, json(recorded));
        rows.put(keys.partition(partition), json(claimed));
      });
      await this.confirm();
      this.recorded = recorded;
      this.partitions.set(partition, claimed);
      this.owned.add(partition);
      return { ...claimed, previous: last.epoch };
    });
  }

  async load(partition: number, ids: readonly string[]): Promise<Map<string, StoredSession>> {
    this.expectOpen();
    return this.lifetime.reading(this.readSessions(partition, ids));
  }

  async due(partition: number, before: number, limit: number): Promise<DueSession[]> {
    this.expectOpen();
    return this.lifetime.reading(this.readDue(partition, before, limit));
  }

  async apply(partition: number, epoch: number, writes: readonly SessionWrite[]): Promise<void> {
    this.expectOpen();
    return this.queue.add({ partition, epoch, writes });
  }

  async applyAll(applies: readonly Apply[]): Promise<readonly unknown[]> {
    try {
      this.expectOpen();
    } catch (error) {
      return applies.map(() => error);
    }
    return this.queue.addAll(applies);
  }

  close(): Promise<void> {
    return this.lifetime.close(
      () => this.queue.alone(() => this.sync()),
      async () => {
        this.owner.rest();
        await this.file?.close();
        await this.level.close();
        await this.owner.leave().catch(() => {}); // else the next process waits until it is sure
        unlockDirectory(this.directory);
      },
    );
  }

  private async commit(arrivals: Iterable<Pending<Apply>>): Promise<void> {
    const batch = new LevelBatch();
    const staged: Pending<Apply>[] = [];
    for (const pending of arrivals) {
      try {
        const reading = this.stage(pending.item, batch);
        if (reading) await reading;
        staged.push(pending);
      } catch (error) {
        pending.reject(error); // it alone, since the batch has nothing of it
      }
      if (batch.isFull(this.settings)) break;
    }
    try {
      if (!batch.isEmpty)
        await this.write(this.settings.durability === 'disk', (rows) => batch.writeTo(rows));
      await this.confirm();
      for (const { resolve: resolved } of staged) resolved();
    } catch (error) {
      for (const { reject } of staged) reject(error);
    }
  }

  /** Puts an apply into the batch, at once unless it removes a session: then it must read before that. */
  private stage({ partition, epoch, writes }: Apply, batch: LevelBatch): Promise<void> | undefined {
    const why = this.lost ?? this.failure;
    if (why) throw why;
    const current = this.partitions.get(partition)?.epoch ?? 0;
    if (epoch !== current) throw new EpochLostError(partition, epoch, current);
    if (!this.owned.has(partition))
      throw new RepositoryError(
        `partition ${partition} was claimed before a failure or restart: claim it anew`,
      );
    if (writes.some(({ head }) => !head)) return this.stageRemovals(partition, writes, batch);
    batch.add(partition, writes);
    return undefined;
  }

  private async stageRemovals(
    partition: number,
    writes: readonly SessionWrite[],
    batch: LevelBatch,
  ): Promise<void> {
    const stored = new Map<string, readonly string[]>();
    for (const { session, head } of writes)
      if (!head) stored.set(session, await this.storedKeys(partition, session));
    batch.add(partition, writes, stored);
  }

  /**
   * Checks that the directory is still this process's, after the write and before the acknowledgement. A
   * process that takes the directory later finds the write in LevelDB's log.
   */
  private async confirm(): Promise<void> {
    try {
      await this.owner.confirm();
    } catch (error) {
      if (this.lost) throw this.lost;
      throw (this.failure = explained('cannot see whether this process still has', this.directory, error));
    }
  }

  private async write(sync: boolean, fill: (rows: Rows) => void): Promise<void> {
    try {
      await writeRows(this.level, sync, (rows) => {
        fill(rows);
        if (sync) rows.put(keys.synced, json(++this.generation));
      });
      if (sync) this.file!.note(this.generation);
    } catch (error) {
      this.failure = explained('cannot say what of the last write is in', this.directory, error);
    }
    if (sync || this.failure) {
      clearTimeout(this.syncTimer);
      this.syncTimer = undefined;
    } else {
      // The next call fails with `failure`.
      const later = () => void this.queue.alone(() => this.sync()).catch(() => {});
      this.syncTimer ??= setTimeout(later, this.settings.syncEveryMs).unref();
    }
    if (this.failure) throw this.failure;
  }

  /** Syncs LevelDB's log. An older log is already on its way into a table, which LevelDB syncs. */
  private async sync(): Promise<void> {
    if (this.syncTimer && !this.lost) await this.write(true, () => {});
  }

  private async readSessions(partition: number, ids: readonly string[]): Promise<Map<string, StoredSession>> {
    const sessions = new Map<string, StoredSession>();
    // A session has a head. To look for all heads at once costs much less than a range for each new session.
    const heads = ids.map((id) => keys.head(partition, id));
    const isThere = await this.read((level) => level.hasMany(heads));
    const stored = ids.filter((_, at) => isThere[at]);
    for (let i = 0; i < stored.length; i += READS_AT_ONCE) {
      const reads = stored.slice(i, i + READS_AT_ONCE).map(async (id) => {
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
      // oxlint-disable-next-line typescript/no-unnecessary-condition -- a write may have failed meanwhile
      throw this.failure ?? explained('cannot read', this.directory, error);
    }
  }

  private async storedKeys(partition: number, id: string): Promise<string[]> {
    try {
      return await this.read((level) => level.keys(keys.session(partition, id)).all());
    } catch (error) {
      throw (this.failure = error as RepositoryError); // else later applies would overtake this one
    }
  }

  private async take(events: RepositoryEvents, signal: AbortSignal): Promise<void> {
    this.lost = this.failure = undefined;
    this.directory = await lockDirectory(this.directory);
    this.owner = new DirectoryOwner(this.directory, this.settings.checkEveryMs, {
      waits: (ms, why) => events.waits(`${this.directory}: ${why}; it is opened in ${ms} ms`),
      lost: (why) => events.lost((this.lost = lostError(this.directory, why))),
    });
    try {
      this.place = await this.owner.approach(await findFiles(this.directory), signal);
      await this.mount();
    } catch (error) {
      await this.owner.leave().catch(() => {});
      unlockDirectory(this.directory);
      throw explained('cannot open', this.directory, error);
    }
  }

  private async mount(): Promise<void> {
    let level: Level | undefined;
    try {
      const { cacheBytes: cacheSize, writeBufferBytes: writeBufferSize } = this.settings;
      level = await makeLevel(this.place, { cacheSize, writeBufferSize, maxOpenFiles });
      await level.open();
      await this.owner.settle();
      await this.readOwnership(level);
      await this.readGeneration(level);
      this.level = level;
    } catch (error) {
      await level?.close();
      throw explained('cannot open', this.directory, error);
    }
  }

  /** LevelDB reads its log again, and so finds what was written. */
  private async mountAgain(): Promise<void> {
    await this.level.close();
    try {
      await checkFiles(this.place);
    } catch (error) {
      throw explained('cannot open', this.directory, error);
    }
    await this.mount();
  }

  private async readOwnership(level: Level): Promise<void> {
    const layout = await level.get(keys.layout);
    const empty = (await level.keys({ limit: 1 }).all()).length === 0;
    checkLayout(this.directory, layout && parse(layout), empty);
    if (empty) await level.put(keys.layout, json(LAYOUT), { sync: true });
    const deployment = await level.get(keys.deployment);
    this.recorded = deployment && (parse(deployment) as RecordedDeployment);
    this.owned = new Set();
    this.partitions = new Map();
    for (const [key, value] of await level.iterator(keys.partitions).all())
      this.partitions.set(Number(key.slice(keys.partitions.gte.length)), parse(value) as PartitionRow);
  }

  /** A row that is older than the file shows a loss that LevelDB does not notice. */
  private async readGeneration(level: Level): Promise<void> {
    await this.file?.close();
    this.file = await GenerationFile.of(this.place);
    const { found = 0 } = this.file;
    const row = await level.get(keys.synced);
    const stored = Number((row && parse(row)) ?? 0);
    if (found > stored && !this.settings.acceptOlderData) throw olderError(this.directory, stored, found);
    this.generation = Math.max(found, stored);
    if (found > stored) await level.put(keys.synced, json(this.generation), { sync: true });
  }

  private expectOpen(): void {
    if (this.lost) throw this.lost;
    this.lifetime.expectOpen();
  }
}
