/**
 * The repository in this process's memory: for tests, and for the embedded mode without a directory. Several
 * stores may use one at once, each with its own `open` and `close`, and take partitions from each other as in
 * a shared database. It keeps copies, so a caller may change its bytes later.
 */
import {
  DeploymentMismatchError,
  EpochLostError,
  type Apply,
  type Claim,
  type Deployment,
  type DueSession,
  type RecordedDeployment,
  type SessionRepository,
  type SessionWrite,
  type StoredSession,
} from '../repository.js';

export class MemoryRepository implements SessionRepository {
  private recorded: RecordedDeployment | undefined;
  private readonly partitions = new Map<number, Partition>();

  async open(): Promise<void> {}

  async deployment(): Promise<RecordedDeployment | undefined> {
    return this.recorded;
  }

  async claim(partition: number, deployment: Deployment, floor = 0): Promise<Claim> {
    const { partitions, hash, leaseMs } = deployment;
    this.recorded ??= { partitions, hash };
    if (this.recorded.partitions !== partitions || this.recorded.hash !== hash)
      throw new DeploymentMismatchError(this.recorded, deployment);
    const state = this.partition(partition);
    const previous = state.epoch;
    state.epoch = Math.max(previous + 1, floor);
    state.longestLeaseMs = Math.max(state.longestLeaseMs, leaseMs);
    return { epoch: state.epoch, previous, longestLeaseMs: state.longestLeaseMs };
  }

  async load(partition: number, ids: readonly string[]): Promise<Map<string, StoredSession>> {
    const { sessions } = this.partition(partition);
    const found = new Map<string, StoredSession>();
    for (const id of ids) {
      const session = sessions.get(id);
      if (session) found.set(id, { head: copy(session.head), attributes: copyAll(session.attributes) });
    }
    return found;
  }

  /** Reads every mark. This is rare, and an ordered index would cost every write something. */
  async due(partition: number, before: number, limit: number): Promise<DueSession[]> {
    const due: DueSession[] = [];
    for (const [session, expires] of this.partition(partition).marks)
      if (expires <= before) due.push({ session, expires });
    return due.sort((a, b) => a.expires - b.expires).slice(0, limit);
  }

  async apply(partition: number, epoch: number, writes: readonly SessionWrite[]): Promise<void> {
    const { epoch: current, sessions, marks } = this.partition(partition);
    if (epoch !== current) throw new EpochLostError(partition, epoch, current);
    // Nothing below waits or fails, so this is the transaction.
    for (const { session, head, set, removed: names, expires } of writes) {
      if (!head) {
        sessions.delete(session);
        marks.delete(session);
        continue;
      }
      const attributes = sessions.get(session)?.attributes ?? new Map<string, Uint8Array>();
      for (const name of names) attributes.delete(name);
      for (const [name, value] of copyAll(set)) attributes.set(name, value);
      sessions.set(session, { head: copy(head), attributes });
      if (expires?.is !== undefined) marks.set(session, expires.is);
      else if (expires) marks.delete(session);
    }
  }

  /** Nothing waits from the first to the last of them. */
  applyAll(applies: readonly Apply[]): Promise<readonly unknown[]> {
    const outcomeOf = ({ partition, epoch, writes }: Apply): Promise<unknown> =>
      this.apply(partition, epoch, writes).catch((error: unknown) => error);
    return Promise.all(applies.map(outcomeOf));
  }

  async close(): Promise<void> {}

  private partition(number: number): Partition {
    let partition = this.partitions.get(number);
    if (!partition) {
      partition = { epoch: 0, longestLeaseMs: 0, sessions: new Map(), marks: new Map() };
      this.partitions.set(number, partition);
    }
    return partition;
  }
}

interface Partition {
  epoch: number;
  longestLeaseMs: number;
  readonly sessions: Map<string, StoredSession>;
  /** The expiry index by session, so that no entry is ever left behind. */
  readonly marks: Map<string, number>;
}

/** Not by `slice`, which makes a view of the same bytes from a Buffer. */
const copy = (bytes: Uint8Array) => new Uint8Array(bytes);

const copyAll = (values: ReadonlyMap<string, Uint8Array>) =>
  new Map(Array.from(values, ([name, value]) => [name, copy(value)]));
