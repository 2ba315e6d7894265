/** Opens LevelDB, checks its lock, and writes a batch. */
import type { ClassicLevel, OpenOptions } from 'classic-level';
import { explained } from './directory.js';
import type { Rows } from './rows.js';
import { InUseError } from '../repository.js';

export type Level = ClassicLevel<string, Uint8Array>;

type LevelOptions = Pick<
  OpenOptions,
  'createIfMissing' | 'errorIfExists' | 'cacheSize' | 'writeBufferSize' | 'maxOpenFiles'
>;

/**
 * Loads LevelDB when it is used, so that an embedded application without a directory may be bundled without
 * it. The options are given here, since the database begins to open at once.
 */
export async function makeLevel(place: string, options: LevelOptions = {}): Promise<Level> {
  const { ClassicLevel } = await import('classic-level');
  return new ClassicLevel(place, { keyEncoding: 'utf8', valueEncoding: 'view', ...options });
}

/**
 * Writes all rows of `fill`, or none. A chained batch takes a third of the time of `batch` with an array,
 * which copies each row and looks up its members by their names.
 */
export async function writeRows(level: Level, sync: boolean, fill: (rows: Rows) => void): Promise<void> {
  const batch = level.batch();
  fill(batch);
  await batch.write({ sync });
}

/**
 * Takes LevelDB's lock and gives it back, without changing the data. Throws an `InUseError` while another
 * process has it.
 */
export async function askLock(place: string): Promise<void> {
  // One of the two options always fails, so no data is touched.
  const level = await makeLevel(place, { createIfMissing: false, errorIfExists: true });
  try {
    await level.open();
  } catch (error) {
    const asked = explained('cannot open', place, error);
    if (asked instanceof InUseError) throw asked;
  } finally {
    await level.close();
  }
}
