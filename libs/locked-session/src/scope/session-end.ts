/**
 * The end of its session that a root scope asks for: it gets another id, or is destroyed (rules 14 and 17).
 */
import type { Token } from '#protocol';

export class SessionEnd {
  isDestroyed = false;
  /** The session's id after the scope's end, and the token of the grant under that id. */
  nextId: string | undefined;
  nextToken: Token | undefined;
  /** The end has come: the session has its next id, or is destroyed. */
  isDone = false;

  /** Whether the scope has asked for an end. */
  get isWanted(): boolean {
    return this.isDestroyed || this.nextId !== undefined;
  }
}

/** Of a scope that has asked for none. */
export const noEnd: Readonly<SessionEnd> = Object.freeze(new SessionEnd());
