/**
 * Takes the data directory for this process, checks that it still has it, and leaves it. The rules are in
 * level/stamp.ts.
 *
 *     OWNER     the stamp of the process that has the directory, had it when it was killed, or waits for it
 *     CLOSED    the same file after an orderly end. A file system renames it for one starter only
 *
 * LOCK must not be opened here. Closing any handle of it would give up LevelDB's lock.
 */
import { randomUUID } from 'node:crypto';
import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  format,
  graceMs,
  isLockConclusive,
  isStale,
  lossOf,
  parseStamp,
  type Moment,
  type Own,
  type Sight,
  type Stamp,
} from './stamp.js';
import { askLock } from './open.js';
import { moveFiles, placeOf, type Place } from './place.js';
import { InUseError } from '../repository.js';

export interface OwnerEvents {
  /** The directory may belong to a process that lives. It is taken after so many milliseconds. */
  waits(ms: number, why: string): void;
  /** The directory is not this process's any more. Called once. */
  lost(why: string): void;
}

export class DirectoryOwner {
  private readonly id = randomUUID();
  /** Where LevelDB's files are. */
  private place: string;
  /** The stamp that must still be there when LevelDB has opened, or undefined for none. */
  private expected: string | undefined;
  private own: Own | undefined;
  private isLost = false;
  /** When the last check began that found the directory ours. */
  private seen: Moment = { mono: -Infinity, wall: -Infinity };
  private looking: Promise<void> | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly directory: string,
    private readonly checkEveryMs: number,
    private readonly events: OwnerEvents,
  ) {
    this.place = directory;
  }

  /**
   * Returns where LevelDB may open the files. Throws an `InUseError` where another process has the directory
   * or is about to.
   */
  async approach({ path, isNew }: Place, signal: AbortSignal): Promise<string> {
    this.place = path;
    this.expected = undefined;
    if (await this.takeUnowned(isNew)) return path;
    const { lock, stamp } = await this.see();
    this.expected = stamp?.owner;
    if (isLockConclusive(stamp, lock, await kernelOf())) return path;
    await askLock(path);
    const ms = graceMs(stamp, this.checkEveryMs);
    const wait = async (why: string, owner: string | undefined) => {
      this.events.waits(ms, why);
      await delay(ms, undefined, { signal });
      await askLock(path);
      const { stamp: after } = await this.see();
      // That starter has it now, or has moved the files before it was killed. Its lock is with the files.
      const isMoved = (await placeOf(this.directory)).path !== path;
      if (!after || after.owner !== owner || after.lock !== null || isMoved) throw this.beaten(after);
    };
    const who = stamp && `process ${stamp.pid} on ${stamp.host}`;
    // Another starter waits, or was killed while it waited. If its stamp were replaced at once, both would
    // begin again for ever.
    if (stamp?.lock === null) await wait(`${who} is about to take it`, stamp.owner);
    await this.stamp(null);
    this.expected = this.id;
    await wait(who ? `${who} may still have it` : 'it has no stamp of an owner', this.id);
    if (!isNew) this.place = await moveFiles(this.directory, path);
    return this.place;
  }

  /**
   * LevelDB has opened the files. From now on they are checked. Throws an `InUseError` when another process
   * came between.
   */
  async settle(): Promise<void> {
    const { lock, current, stamp } = await this.see();
    if (stamp?.owner !== this.expected || lock === undefined || current === undefined)
      throw this.beaten(stamp);
    await this.stamp(lock);
    this.expected = this.id;
    this.own = { owner: this.id, lock, current };
    this.timer ??= setInterval(() => void this.look().catch(() => {}), this.checkEveryMs).unref();
  }

  /**
   * Resolves when a check that began less than an interval ago has found the directory ours. Throws when it
   * is lost, or cannot be read.
   */
  async confirm(): Promise<void> {
    while (this.isLost || isStale(this.seen, now(), this.checkEveryMs)) await this.look();
  }

  /** Checks no more. */
  rest(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  /** LevelDB has closed the directory. The next process may take it at once. */
  async leave(): Promise<void> {
    this.rest();
    if (!this.own || this.isLost) return; // an earlier owner may still live
    const { stamp } = await this.see();
    if (stamp?.owner === this.id) await rename(this.file('OWNER'), this.file('CLOSED'));
  }

  private look(): Promise<void> {
    this.looking ??= this.lookOnce().finally(() => (this.looking = undefined));
    return this.looking;
  }

  private async lookOnce(): Promise<void> {
    const began = now();
    const why = this.isLost ? 'it is lost' : lossOf(this.own!, await this.see());
    if (why === undefined) {
      this.seen = began;
      return;
    }
    this.rest();
    if (!this.isLost) {
      this.isLost = true;
      this.events.lost(why);
    }
    throw new Error(why);
  }

  /**
   * Takes a directory that was left in order, or is new. Of several processes the file system lets one
   * succeed, with locks or without.
   */
  private async takeUnowned(isNew: boolean): Promise<boolean> {
    if (await isThere(this.file('OWNER'))) return false;
    try {
      await rename(this.file('CLOSED'), this.file('OWNER'));
      this.expected = (await this.see()).stamp?.owner;
      return true;
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error;
    }
    if (!isNew) return false;
    try {
      await writeFile(this.file('OWNER'), format(await this.stampWith(null)), { flag: 'wx' });
      this.expected = this.id;
      return true;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
      return false;
    }
  }

  private async see(): Promise<Sight> {
    const [lock, current, text] = await Promise.all([
      identityOf(join(this.place, 'LOCK')),
      identityOf(join(this.place, 'CURRENT')),
      whereItIs(readFile(this.file('OWNER'), 'utf8')),
    ]);
    return { lock, current, stamp: text === undefined ? undefined : parseStamp(text) };
  }

  /** Replaces the stamp by a rename, so that no process reads half of one. */
  private async stamp(lock: string | null): Promise<void> {
    const draft = this.file(`OWNER.${this.id}`);
    await writeFile(draft, format(await this.stampWith(lock)));
    await rename(draft, this.file('OWNER'));
  }

  private async stampWith(lock: string | null): Promise<Stamp> {
    const { id: owner, checkEveryMs } = this;
    return { owner, pid: process.pid, host: hostname(), kernel: await kernelOf(), lock, checkEveryMs };
  }

  private beaten(stamp: Stamp | undefined): InUseError {
    const who = stamp ? `process ${stamp.pid} on ${stamp.host}` : 'another process';
    return new InUseError(`cannot open the repository in ${this.directory}: ${who} takes it just now`);
  }

  private file(name: string): string {
    return join(this.directory, name);
  }
}

const now = (): Moment => ({ mono: performance.now(), wall: Date.now() });

/** Linux has an id for each boot. Elsewhere the name of the machine must do. */
async function kernelOf(): Promise<string> {
  const id = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => hostname());
  return id.trim();
}

/** Undefined when the file is missing. Throws any other error. */
async function identityOf(file: string): Promise<string | undefined> {
  const found = await whereItIs(stat(file, { bigint: true }));
  return found && `${found.dev}:${found.ino}`;
}

const isThere = async (file: string) => (await identityOf(file)) !== undefined;

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code;

/** A network file system says ESTALE of a file that was replaced. */
const whereItIs = <T>(reading: Promise<T>): Promise<T | undefined> =>
  reading.catch((error: unknown) => {
    if (['ENOENT', 'ENOTDIR', 'ESTALE'].includes(codeOf(error)!)) return undefined;
    throw error;
  });
