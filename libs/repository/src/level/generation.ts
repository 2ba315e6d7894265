/**
 * A file beside the data that has the last generation known to be on disk. The row with the generation is
 * synced first, and the file is written after it without a sync. So the file is never newer than the row,
 * even after a loss of power. A row that is older than the file shows a loss: a log file of LevelDB is
 * missing or cut. LevelDB itself does not notice that.
 *
 * The file names the LOCK beside it. A copy of the directory has another LOCK, and there the file does not
 * count. Files of a running store are copied one after the other, so the copy of this file may be newer than
 * that of the row.
 */
import { constants } from 'node:fs';
import { open, readFile, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

const LENGTH = 64;

export class GenerationFile {
  private handle: FileHandle | undefined;
  private latest = 0;
  private writing: Promise<void> | undefined;

  private constructor(
    private readonly path: string,
    private readonly lock: string,
    /** The generation in the file, or undefined when the file does not count. */
    readonly found: number | undefined,
  ) {}

  /** LevelDB has the directory open. */
  static async of(directory: string): Promise<GenerationFile> {
    const path = join(directory, 'GENERATION');
    const lock = String((await stat(join(directory, 'LOCK'), { bigint: true })).ino);
    const text = await readFile(path, 'utf8').catch(() => '');
    const [, generation, of] = /^(\d{16}) (\d+) *\n$/.exec(text) ?? [];
    return new GenerationFile(path, lock, of === lock ? Number(generation) : undefined);
  }

  /** The row with this generation is on disk. The file may lag behind. */
  note(generation: number): void {
    this.latest = generation;
    this.writing ??= this.write().finally(() => (this.writing = undefined));
  }

  async close(): Promise<void> {
    await this.writing;
    await this.handle?.close();
    this.handle = undefined;
  }

  /** A file that cannot be written stays older, and shows fewer losses. */
  private async write(): Promise<void> {
    for (let written = 0; written < this.latest;) {
      written = this.latest;
      const line = `${String(written).padStart(16, '0')} ${this.lock}`.padEnd(LENGTH - 1) + '\n';
      try {
        this.handle ??= await open(this.path, constants.O_WRONLY | constants.O_CREAT, 0o644);
        await this.handle.write(line, 0); // over the old one, so that neither is ever half there
      } catch {
        return;
      }
    }
  }
}
