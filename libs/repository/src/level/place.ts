/**
 * Where in the data directory LevelDB's files are. They are in the directory itself, or in `files-<n>` after
 * a store took it that was not sure that the last owner had ended. That store moves the files. When the old
 * owner goes on in the middle of a compaction, it removes all tables that it does not know, by their old
 * paths. No file is left there.
 */
import { mkdir, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

const PLACE = /^files-(\d+)$/;
const DATA = /^(\d+\.(log|ldb)|MANIFEST-\d+)$/;
/** The last bytes of every complete table of LevelDB. */
const TABLE_END = Buffer.from('57fb808b247547db', 'hex');

export interface Place {
  readonly path: string;
  /** There is no data yet. */
  readonly isNew: boolean;
  /** There is data without its file CURRENT. LevelDB would begin again over it. */
  readonly isDamaged: boolean;
}

/** The place is where CURRENT is, which is moved last. */
export async function placeOf(directory: string): Promise<Place> {
  let isUsed = false;
  for (const path of await placesOf(directory)) {
    const files = await readdir(path);
    if (files.includes('CURRENT')) return { path, isNew: false, isDamaged: false };
    isUsed ||= files.some((file) => DATA.test(file));
  }
  return { path: directory, isNew: !isUsed, isDamaged: isUsed };
}

/** Moves all files of `from`, or continues a move that was interrupted. Returns where they are. */
export async function moveFiles(directory: string, from: string): Promise<string> {
  const newest = (await placesOf(directory))[0]!;
  const to = newest === from ? join(directory, `files-${numberOf(from) + 1}`) : newest;
  await mkdir(to, { recursive: true });
  for (const file of await readdir(from)) {
    const path = join(from, file);
    if (!DATA.test(file)) continue;
    // An unfinished table is not in use yet. Its writer may still have it open, so no new table may be the
    // same file.
    if (file.endsWith('.ldb') && !(await isComplete(path))) await rm(path);
    else await rename(path, join(to, file));
  }
  await rename(join(from, 'CURRENT'), join(to, 'CURRENT'));
  if (from !== directory) await rm(from, { recursive: true });
  return to;
}

/** The newest first, the directory itself last. */
async function placesOf(directory: string): Promise<string[]> {
  const places = (await readdir(directory)).filter((name) => PLACE.test(name));
  const sorted = places.toSorted((a, b) => numberOf(b) - numberOf(a));
  return [...sorted.map((name) => join(directory, name)), directory];
}

const numberOf = (path: string) => Number(/files-(\d+)$/.exec(path)?.[1] ?? 0);

async function isComplete(table: string): Promise<boolean> {
  const file = await open(table);
  try {
    const { size } = await file.stat();
    const end = Buffer.alloc(TABLE_END.length);
    await file.read(end, 0, end.length, Math.max(0, size - end.length));
    return end.equals(TABLE_END);
  } finally {
    await file.close();
  }
}
