/**
 * Which process has the data directory: the rules, without files and clocks. LevelDB's lock is bound to the
 * file LOCK. It does not hold when that file was removed, or on a network file system without locks. So an
 * owner also writes its stamp into the directory, and checks it at an interval. A starter that cannot be sure
 * that the last owner has ended writes its own stamp, and waits until the last owner has checked.
 */

/** What an owner leaves in the directory. */
export interface Stamp {
  /** A random id for each time that a directory is opened. */
  readonly owner: string;
  readonly pid: number;
  readonly host: string;
  /** One run of one operating system. Within it a lock on a file holds for all processes. */
  readonly kernel: string;
  /**
   * The identity of the file LOCK. Null: the writer of the stamp did not have the directory yet, and an
   * earlier owner may live.
   */
  readonly lock: string | null;
  /** How often the owner checks, in milliseconds. */
  readonly checkEveryMs: number;
}

/** What is found in a directory: the identity of each file that is there. */
export interface Sight {
  readonly lock?: string | undefined;
  readonly current?: string | undefined;
  /** Undefined when there is none that can be read. */
  readonly stamp?: Stamp | undefined;
}

/** What an owner left when it opened the directory. */
export interface Own {
  readonly owner: string;
  readonly lock: string;
  readonly current: string;
}

/** The least and the most of `checkEveryMs`. */
export const checkEveryMsLimits = [100, 60_000] as const;

/**
 * Whether LevelDB's lock alone shows that the owner of this stamp has ended. It must have locked the file
 * that is there now, under the operating system that runs now.
 */
export function isLockConclusive(
  stamp: Stamp | undefined,
  lock: string | undefined,
  kernel: string,
): boolean {
  return stamp !== undefined && stamp.lock !== null && stamp.lock === lock && stamp.kernel === kernel;
}

/**
 * How long a starter waits after it wrote its own stamp, in milliseconds. The last owner checks at least once
 * in half of this time.
 */
export function graceMs(found: Stamp | undefined, checkEveryMs: number): number {
  return 2 * Math.max(checkEveryMs, found?.checkEveryMs ?? 0);
}

/** Why the directory is not its owner's any more, or undefined while it is. */
export function lossOf(own: Own, { lock, current, stamp }: Sight): string | undefined {
  if (lock === undefined && current === undefined) return 'it was deleted, moved away or unmounted';
  if (stamp && stamp.owner !== own.owner)
    return `another store has taken it (process ${stamp.pid} on ${stamp.host})`;
  if (lock !== own.lock) return `its file LOCK was ${lock === undefined ? 'removed' : 'replaced'}`;
  if (current !== own.current)
    return `its file CURRENT was ${current === undefined ? 'removed' : 'replaced'}`;
  return stamp ? undefined : 'its file OWNER was removed';
}

export interface Moment {
  readonly mono: number;
  readonly wall: number;
}

/** Whether the owner must check again before it acknowledges anything, by the clock that ran further. */
export function isStale(seen: Moment, now: Moment, checkEveryMs: number): boolean {
  return Math.max(now.mono - seen.mono, now.wall - seen.wall) >= checkEveryMs;
}

export const format = (stamp: Stamp): string => `${JSON.stringify(stamp)}\n`;

/** Undefined where the text is no stamp. */
export function parseStamp(text: string): Stamp | undefined {
  let stamp: Partial<Record<keyof Stamp, unknown>> | null;
  try {
    stamp = JSON.parse(text) as typeof stamp;
  } catch {
    return undefined;
  }
  const { owner, pid, host, kernel, lock, checkEveryMs } = stamp ?? {};
  const isText = [owner, host, kernel].every((value) => typeof value === 'string' && value.length <= 256);
  const isLock = lock === null || (typeof lock === 'string' && lock.length <= 64);
  const [least, most] = checkEveryMsLimits;
  const isInterval = typeof checkEveryMs === 'number' && checkEveryMs >= least && checkEveryMs <= most;
  return isText && isLock && isInterval && Number.isSafeInteger(pid) ? (stamp as Stamp) : undefined;
}
