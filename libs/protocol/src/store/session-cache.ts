/** The sessions in the memory of a partition's machine, and when to remove them from it. */
import type { SessionRecord } from './record.js';
import { SessionState } from './session-state.js';

/**
 * The id without the rest of its frame. V8 may keep a text that was cut out of a longer one as a part of
 * that one, which then stays in memory as long as its part.
 */
const alone = (id: string) => Array.from(id).join('');

export class SessionCache {
  /** Least recently used first. */
  private readonly sessions = new Map<string, SessionState>();
  private used = 0;

  get size(): number {
    return this.sessions.size;
  }

  /** How many bytes of memory all of them take, about. */
  get bytes(): number {
    return this.used;
  }

  has(id: string): boolean {
    return this.sessions.has(id);
  }

  peek(id: string): SessionState | undefined {
    return this.sessions.get(id);
  }

  /** Marks the session, which must be here, as just used. */
  use(id: string): SessionState {
    const session = this.sessions.get(id)!;
    this.sessions.delete(id);
    this.sessions.set(id, session);
    return session;
  }

  /** Returns undefined when the session is here already. */
  add(id: string, record: SessionRecord | undefined): SessionState | undefined {
    if (this.sessions.has(id)) return undefined;
    const session = new SessionState(alone(id), record);
    this.sessions.set(session.id, session);
    this.used += session.weight;
    return session;
  }

  /** Changes the session, and adjusts the count of bytes. */
  changing(session: SessionState, change: () => void): void {
    const { weight } = session;
    change();
    this.used += session.weight - weight;
  }

  /** For tests of its bounds: the bytes of each session's values. */
  values(): number[] {
    return Array.from(this.sessions.values(), ({ bytes }) => bytes);
  }

  /**
   * Removes sessions, least recently used first, until the rest fits `bytes`. Those that `keeps` names stay.
   */
  evict(bytes: number, keeps: (session: SessionState) => boolean): void {
    if (this.used <= bytes) return;
    for (const session of this.sessions.values()) {
      if (this.used <= bytes) return;
      if (keeps(session)) continue;
      this.sessions.delete(session.id);
      this.used -= session.weight;
    }
  }
}
