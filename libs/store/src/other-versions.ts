/** The holders of another protocol version: which of them the log has named, and when each was answered. */
import type { OtherVersion } from '#protocol';

/** Most holders that are remembered. Beyond it the first one is forgotten. */
const maxHolders = 1_000;
/** The shortest time between two answers to a holder, in milliseconds. Its scopes wait for so long. */
const answerEveryMs = 1_000;
/** A holder of version 1 can only log the answer. */
const answerFirstVersionEveryMs = 60_000;

export class OtherVersions {
  /** When each holder was answered last, by the monotonic clock. */
  private readonly answered = new Map<string, number>();

  /** Says of a frame whether it is the first of its holder, and whether to answer it. */
  heard({ holder = '', version }: OtherVersion, mono: number): { isNew: boolean; isDue: boolean } {
    const before = this.answered.get(holder);
    const everyMs = version === 1 ? answerFirstVersionEveryMs : answerEveryMs;
    const isDue = before === undefined || mono - before >= everyMs;
    if (isDue) this.answered.set(holder, mono);
    const [oldest] = this.answered.keys();
    if (this.answered.size > maxHolders) this.answered.delete(oldest!);
    return { isNew: before === undefined, isDue };
  }
}
