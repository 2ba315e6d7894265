/** The settings of the LevelDB repository, with their defaults. */
import { defaultBatchLimits, type BatchLimits } from '../net-changes.js';

export interface LevelRepositorySettings extends Partial<BatchLimits> {
  /** The directory of the files. It is made when it is missing. */
  readonly directory?: string;
  /** What an acknowledged `apply` survives: the death of the `process`, or the loss of power too (`disk`). */
  readonly durability?: 'process' | 'disk';
  /** The memory of LevelDB for blocks of its tables. */
  readonly cacheBytes?: number;
  /** The memory of LevelDB for what is in no table yet. It has two of them while one is written. */
  readonly writeBufferBytes?: number;
  /** With `process`: the longest that a write waits for the disk. */
  readonly syncEveryMs?: number;
  /**
   * How often it checks that the directory is still its own, in milliseconds. It acknowledges nothing when
   * the last check is older. A process that may take the directory from a living one waits for twice as long.
   */
  readonly checkEveryMs?: number;
  /**
   * Opens data that are older than what was once on disk, and so accepts the loss. Otherwise that stops the
   * start.
   */
  readonly acceptOlderData?: boolean;
}

export const levelDefaults: Required<LevelRepositorySettings> = {
  directory: './data',
  durability: 'process',
  cacheBytes: 8 * 1_048_576,
  writeBufferBytes: 4 * 1_048_576,
  syncEveryMs: 1_000,
  checkEveryMs: 1_000,
  acceptOlderData: false,
  ...defaultBatchLimits,
};
