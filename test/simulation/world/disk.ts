/**
 * The repository of a simulated deployment, which all stores share. It takes its time, fails now and then,
 * and can lose writes that are not on disk yet. Each store has a view of it that works as long as the store's
 * process does.
 */
import {
  MemoryRepository,
  RepositoryError,
  type Apply,
  type Claim,
  type SessionRepository,
  type SessionWrite,
} from '#repository';
import type { Checkers } from '../checks/checkers.js';
import type { Process } from './process.js';
import type { World } from './world.js';

/** With `process` durability a write is on disk after so many milliseconds. */
const syncMs = 1_000;

interface Entry {
  readonly at: number;
  readonly isSync: boolean;
  readonly redo: (into: MemoryRepository) => Promise<unknown>;
}

export class Disk {
  /** The longest time of an operation, in milliseconds. */
  slownessMs = 4;
  /** How many of the next writes fail, each before or after its effect. */
  failing = 0;
  /** A loss of power took something that was acknowledged. */
  hasLost = false;
  private now = new MemoryRepository();
  private readonly journal: Entry[] = [];
  /** The epoch that a write to a partition must bear. */
  private readonly epochs = new Map<number, number>();

  constructor(
    private readonly world: World,
    private readonly checkers: Checkers,
    /** Switches the epoch check off, for a canary. */
    private readonly checksEpochs = true,
  ) {}

  view(process: Process): SessionRepository {
    const { random } = this.world;
    const later = async <T>(call: () => Promise<T>): Promise<T> => {
      await process.sleep(random.next() * this.slownessMs);
      const result = await call();
      if (this.slownessMs > 4) await process.sleep(random.next() * this.slownessMs);
      return result;
    };
    return {
      open: async () => {},
      deployment: () => this.now.deployment(),
      load: (...of) => later(() => this.now.load(...of)),
      due: (...of) => later(() => this.now.due(...of)),
      claim: (...of) =>
        later(() => {
          this.note(true, (into) => into.claim(...of));
          return this.claim(...of);
        }),
      apply: (partition, epoch, writes) => later(() => this.apply(partition, epoch, writes)),
      applyAll: (applies) => later(() => this.applyAll(applies)),
      close: async () => {},
    };
  }

  /**
   * The power fails. Some of the last writes that were not on disk are lost. All stores must have been killed
   * before.
   */
  async losePower(): Promise<void> {
    const synced = this.journal.findLastIndex(({ at, isSync }) => isSync || at < this.world.time - syncMs);
    const kept = this.world.random.int(synced + 1, this.journal.length);
    const lost = this.journal.splice(kept);
    this.world.trace(`the power fails: ${lost.length} writes are lost`);
    if (lost.length === 0) return;
    this.hasLost = true;
    this.checkers.forget(lost[0]!.at);
    this.now = new MemoryRepository();
    for (const { redo } of this.journal) await redo(this.now);
  }

  /** A transaction of many. When it fails, all of them fail, or chance decides which do. */
  private async applyAll(applies: readonly Apply[]): Promise<unknown[]> {
    const fails = this.failing > 0 && applies.some(({ writes }) => writes.length > 0);
    if (fails) this.failing--;
    const all = fails && this.world.random.chance(0.5);
    const errors: unknown[] = [];
    for (const { partition, epoch, writes } of applies) {
      const itFails = all || (fails && this.world.random.chance(0.5));
      const applied = this.write(partition, epoch, writes, itFails);
      errors.push(
        await applied.then(
          () => undefined,
          (error: unknown) => error,
        ),
      );
    }
    return errors;
  }

  private async apply(partition: number, epoch: number, writes: readonly SessionWrite[]): Promise<void> {
    const fails = this.failing > 0 && writes.length > 0;
    if (fails) this.failing--;
    return this.write(partition, epoch, writes, fails);
  }

  private async write(
    partition: number,
    epoch: number,
    writes: readonly SessionWrite[],
    fails: boolean,
  ): Promise<void> {
    if (fails && this.world.random.chance(0.5)) throw new RepositoryError('the disk failed');
    const current = this.checksEpochs ? epoch : this.epochs.get(partition)!;
    await this.now.apply(partition, current, writes);
    if (writes.length > 0) this.note(false, (into) => into.apply(partition, current, writes));
    this.checkers.written(writes);
    if (fails) throw new RepositoryError('the disk failed, after writing');
  }

  private note(isSync: boolean, redo: Entry['redo']): void {
    this.journal.push({ at: this.world.time, isSync, redo });
  }

  private async claim(...of: Parameters<SessionRepository['claim']>): Promise<Claim> {
    const claim = await this.now.claim(...of);
    this.epochs.set(of[0], claim.epoch);
    return claim;
  }
}
