/** The sessions that a partition's machine has in memory, and when to forget them. */
import type { SessionRecord } from './record.js';
import { SessionState } from './session-state.js';

/** What an entry costs beside its values, roughly: for the bound on memory. */
const entryBytes = 600;

export class SessionCache {
  /** Least recently used first. */
  private readonly sessions = new Map<string, SessionState>();
  private used = 0;

  get size(): number {
    return this.sessions.size;
  }

  /** Of all values and entries, roughly. */
  get bytes(): number {
    return this.used;
  }

  has(id: string): boolean {
    return this.sessions.has(id);
  }

  peek(id: string): SessionState | undefined {
    return this.sessions.get(id);
  }

  /** The session, which must be here, is used. */
  use(id: string): SessionState {
    const session = this.sessions.get(id)!;
    this.sessions.delete(id);
    this.sessions.set(id, session);
    return session;
  }

  /** Undefined when it is here already. */
  add(id: string, record: SessionRecord | undefined): SessionState | undefined {
    if (this.sessions.has(id)) return undefined;
    const session = new SessionState(id, record);
    this.sessions.set(id, session);
    this.used += entryBytes + session.bytes;
    return session;
  }

  /** Changes the session, and counts what it takes. */
  changing(session: SessionState, change: () => void): void {
    const { bytes } = session;
    change();
    this.used += session.bytes - bytes;
  }

  /** Forgets sessions, least recently used first and none that `keeps`, until the rest fits `bytes`. */
  evict(bytes: number, keeps: (session: SessionState) => boolean): void {
    if (this.used <= bytes) return;
    for (const session of this.sessions.values()) {
      if (this.used <= bytes) return;
      if (keeps(session)) continue;
      this.sessions.delete(session.id);
      this.used -= entryBytes + session.bytes;
    }
  }
}
