/** The sessions in the memory of a partition's machine, and when to remove them from it. */
import type { SessionRecord } from './record.js';
import { SessionState } from './session-state.js';

/** A rough size of an entry beside its values, for the bound on memory. */
const entryBytes = 600;

export class SessionCache {
  /** Least recently used first. */
  private readonly sessions = new Map<string, SessionState>();
  private used = 0;

  get size(): number {
    return this.sessions.size;
  }

  /** A rough sum over all values and entries. */
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
    const session = new SessionState(id, record);
    this.sessions.set(id, session);
    this.used += entryBytes + session.bytes;
    return session;
  }

  /** Changes the session, and adjusts the count of bytes. */
  changing(session: SessionState, change: () => void): void {
    const { bytes } = session;
    change();
    this.used += session.bytes - bytes;
  }

  /** For tests of its bounds: the bytes of each session's values. */
  values(): number[] {
    return Array.from(this.sessions.values(), ({ bytes }) => bytes);
  }

  /**
   * Removes sessions, least recently used first, until the rest fits `bytes`. Those that `keeps` names stay.
   */
  evict(bytes: number, keeps: (session: SessionState) => boolean): void {
    for (const session of this.sessions.values()) {
      if (this.used <= bytes) return;
      if (keeps(session)) continue;
      this.sessions.delete(session.id);
      this.used -= entryBytes + session.bytes;
    }
  }
}
