/**
 * The data directories that the applications of this process have. LevelDB's own lock does not tell another
 * process from this one, and a wait for this process to end would never end.
 */
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { LockedSessionError } from '#locked-session';

interface Claim {
  /** The application that has the directory. */
  readonly application: object;
  readonly ended: Promise<void>;
}

const claims = new Map<string, Claim>();

/**
 * Takes the directory for one store of an application. Resolves with a function that gives it back. While
 * another application of this process has the directory, it waits for `waitMs`, since that one may be
 * closing. Then it throws `settings`. It throws at once when the same application has the directory.
 */
export async function claimDirectory(
  directory: string,
  application: object,
  waitMs: number,
  warn: (line: string) => void,
): Promise<() => void> {
  const place = await placeOf(directory);
  const aborter = new AbortController();
  const late = delay(waitMs, 'late', aborter).catch(() => 'late');
  try {
    for (let told = false; ; told = true) {
      const claim = claims.get(place);
      if (!claim) break;
      if (claim.application === application) throw usedTwice(directory);
      if (!told)
        warn(
          `standing by: another application of this process has ${directory}. This one starts when that ` +
            'is closed.',
        );
      if ((await Promise.race([claim.ended, late])) === 'late') throw stillUsed(directory, waitMs);
    }
  } finally {
    aborter.abort();
  }
  let release = () => {};
  const ended = new Promise<void>((done) => (release = done));
  claims.set(place, { application, ended });
  return () => {
    if (claims.get(place)?.ended === ended) claims.delete(place);
    release();
  };
}

/** The real path of a directory that may not exist yet, since one directory has many names. */
async function placeOf(directory: string): Promise<string> {
  const path = resolve(directory);
  const parent = dirname(path);
  return realpath(path).catch(async () =>
    parent === path ? path : join(await placeOf(parent), basename(path)),
  );
}

function usedTwice(directory: string): LockedSessionError {
  return new LockedSessionError(
    'settings',
    'EmbeddedLockedSessionModule: two modules of this application have the directory ' +
      `${JSON.stringify(directory)}: ` +
      'give each instance its own',
  );
}

function stillUsed(directory: string, waitMs: number): LockedSessionError {
  return new LockedSessionError(
    'settings',
    'EmbeddedLockedSessionModule: another application of this process has the directory ' +
      `${JSON.stringify(directory)}, ` +
      `and was not closed within ${waitMs} ms: await its close() first. If its start has failed, Nest ` +
      'closes nothing ' +
      'of it: end the process',
  );
}
