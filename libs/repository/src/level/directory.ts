/**
 * The directory of the embedded repository: its lock within this process, its checks, and errors that say
 * what to do.
 */
import { mkdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { placeOf, type Place } from './place.js';
import { LAYOUT } from './rows.js';
import { InUseError, RepositoryError } from '../repository.js';

/**
 * The directories that this process has open. LevelDB locks out other processes. But when one process opens a
 * directory twice, LevelDB refuses the second and gives up the lock of the first. So it must never be asked
 * twice.
 */
const locked = new Set<string>();

/** Makes the directory when it is missing, and locks it in this process. Returns its real path. */
export async function lockDirectory(directory: string): Promise<string> {
  try {
    await mkdir(directory, { recursive: true });
    const path = await realpath(directory);
    if (locked.has(path)) throw Object.assign(new Error('open in this process'), { code: 'LEVEL_LOCKED' });
    locked.add(path);
    return path;
  } catch (error) {
    throw explained('cannot open', directory, error);
  }
}

export function unlockDirectory(path: string): void {
  locked.delete(path);
}

/** Without its file CURRENT, LevelDB would begin again over the data that is still there. */
export async function findFiles(directory: string): Promise<Place> {
  const place = await placeOf(directory);
  if (place.isDamaged) throw new DamageError('the file CURRENT is missing');
  return place;
}

/** Throws unless the files that this process had open are still there. */
export async function checkFiles(place: string): Promise<void> {
  await stat(place);
  if (!(await stat(join(place, 'CURRENT')).catch(() => undefined)))
    throw new DamageError('the file CURRENT is missing');
}

/** Throws unless the database has a layout that this program knows, or no rows at all. */
export function checkLayout(directory: string, layout: unknown, empty: boolean): void {
  if (layout === undefined && empty) return;
  const { version, program } = (layout ?? {}) as Partial<typeof LAYOUT>;
  if (version === undefined)
    throw new RepositoryError(`${directory} is the database of another program: name another directory`);
  if (version > LAYOUT.version)
    throw new RepositoryError(
      `the repository in ${directory} has layout ${version}, and this program knows layouts up to ` +
        `${LAYOUT.version}: ` +
        `run locked-session ${program} or newer on it`,
    );
}

/** The error for data whose newest part is gone. */
export function olderError(directory: string, stored: number, known: number): RepositoryError {
  return new RepositoryError(
    `the data in ${directory} are older than what was on disk there (generation ${stored} instead of ` +
      `${known}): ` +
      'a file of it is missing, cut or from an older copy. Put the missing files back, or restore a copy ' +
      'of the whole ' +
      'directory; or accept that the newest changes are gone, by --accept-older-data (acceptOlderData), ' +
      'and then ' +
      'restart the app servers',
  );
}

/** The error for a directory that a running store has lost. */
export function lostError(directory: string, why: string): RepositoryError {
  return new RepositoryError(
    `the data directory ${directory} is no longer this store's: ${why}. Nothing is acknowledged any more. ` +
      'See that the directory is there and that one store alone uses it, then start the store again',
  );
}

/** An error that says what failed, why, and what to do. An error that is explained already stays as it is. */
export function explained(what: string, directory: string, error: unknown): RepositoryError {
  if (error instanceof RepositoryError) return error;
  let cause = error as Error & { code?: string };
  while (cause.cause instanceof Error) cause = cause.cause;
  const Kind = cause.code === 'LEVEL_LOCKED' ? InUseError : RepositoryError;
  return new Kind(`${what} the repository in ${directory}: ${remedy(cause)} (${cause.message})`, { cause });
}

function remedy(error: Error & { code?: string }): string {
  const code = error.code ?? '';
  if (code === 'LEVEL_LOCKED')
    return 'another process has it open, or this one twice; it can be opened when that one has ended';
  if (code === 'LEVEL_CORRUPTION' || error instanceof DamageError || error instanceof SyntaxError)
    return (
      'its files are damaged; put back a copy of the whole directory, or move it away to begin anew ' +
      'without its ' +
      'sessions, and after either restart the app servers, for the epochs go back'
    );
  if (code === 'LEVEL_IO_ERROR' || /^E[A-Z]+$/.test(code))
    return 'see that its files are there, that this process may write to them, and that the disk has room';
  return 'this is an error in the program, please report it';
}

class DamageError extends Error {}
