/**
 * The directory of the embedded repository: who may open it, and what can be wrong with it, in words that say what to
 * do about it.
 */
import { mkdir, readdir, realpath } from 'node:fs/promises';
import { LAYOUT } from './level.rows.js';
import { OccupiedError, RepositoryError } from './repository.js';

/**
 * What this process has open. LevelDB locks out other processes, but when it is asked for one directory twice in one
 * process it refuses the second and thereby gives up the lock of the first: so it must never be asked twice.
 */
const occupied = new Set<string>();

/** Makes the directory where it is missing, and reserves it in this process. Returns its real path. */
export async function occupy(directory: string): Promise<string> {
  try {
    await mkdir(directory, { recursive: true });
    const path = await realpath(directory);
    if (occupied.has(path)) throw Object.assign(new Error('open in this process'), { code: 'LEVEL_LOCKED' });
    occupied.add(path);
    return path;
  } catch (error) {
    throw explained('cannot open', directory, error);
  }
}

export function vacate(path: string): void {
  occupied.delete(path);
}

/** Without its file CURRENT, LevelDB would begin anew over the data that is still there. */
export async function checkFiles(directory: string, mayBeNew: boolean): Promise<void> {
  const files = await readdir(directory);
  const used = !mayBeNew || files.some((file) => /^\d+\.(log|ldb)$/.test(file));
  if (used && !files.includes('CURRENT')) throw new DamageError('the file CURRENT is missing');
}

/** What this program can use has the row that says so, in a layout that it knows, or no rows at all. */
export function checkLayout(directory: string, layout: unknown, empty: boolean): void {
  if (layout === undefined && empty) return;
  const { version, program } = (layout ?? {}) as Partial<typeof LAYOUT>;
  if (version === undefined)
    throw new RepositoryError(`${directory} is the database of another program: name another directory`);
  if (version > LAYOUT.version)
    throw new RepositoryError(
      `the repository in ${directory} has layout ${version}, and this program knows layouts up to ${LAYOUT.version}: ` +
        `run locked-session ${program} or newer on it`,
    );
}

/** Says what failed, why, and what to do. An error that is explained already stays as it is. */
export function explained(what: string, directory: string, error: unknown): RepositoryError {
  if (error instanceof RepositoryError) return error;
  let cause = error as Error & { code?: string };
  while (cause.cause instanceof Error) cause = cause.cause;
  const Kind = cause.code === 'LEVEL_LOCKED' ? OccupiedError : RepositoryError;
  return new Kind(`${what} the repository in ${directory}: ${remedy(cause)} (${cause.message})`, { cause });
}

function remedy(error: Error & { code?: string }): string {
  const code = error.code ?? '';
  if (code === 'LEVEL_LOCKED')
    return 'another process has it open, or this one twice; it can be opened when that one has ended';
  if (code === 'LEVEL_CORRUPTION' || error instanceof DamageError || error instanceof SyntaxError)
    return (
      'its files are damaged; put back a copy of the whole directory, or move it away to begin anew without its ' +
      'sessions, and after either restart the app servers, for the epochs go back'
    );
  if (code === 'LEVEL_IO_ERROR' || /^E[A-Z]+$/.test(code))
    return 'see that all its files are there, that this process may write to them, and that the disk has room';
  return 'this is an error in the program, please report it';
}

class DamageError extends Error {}
