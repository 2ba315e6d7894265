/**
 * The sessions in the memory of a partition's machine. Those in use are open. When there is too much, the
 * least recently used ones are first packed, each into one piece of memory, and at last removed.
 */
import { packRecord, unpackRecord, type SessionRecord } from './record.js';
import { SessionState } from './session-state.js';

/** What a packed session takes in memory beside its bytes: its id, and its entry in the map. */
const packedOwn = 500;

/** Sessions in use are not packed as long as they take so much of what all may take together. */
const openShare = 1 / 4;

/**
 * The id without the rest of its frame. V8 may keep a text that was cut out of a longer one as a part of
 * that one, which then stays in memory as long as its part.
 */
const alone = (id: string) => Array.from(id).join('');

export class SessionCache {
  /** Both have the least recently used first. */
  private readonly open = new Map<string, SessionState>();
  private readonly packed = new Map<string, Uint8Array>();
  private openBytes = 0;
  private packedBytes = 0;

  get size(): number {
    return this.open.size + this.packed.size;
  }

  /** How many bytes of memory all of them take, about. */
  get bytes(): number {
    return this.openBytes + this.packedBytes;
  }

  has(id: string): boolean {
    return this.open.has(id) || this.packed.has(id);
  }

  /** The session if it is open. No other is waited for, or has a change that is not written. */
  peek(id: string): SessionState | undefined {
    return this.open.get(id);
  }

  /** Marks the session, which must be here, as just used. */
  use(id: string): SessionState {
    const session = this.open.get(id) ?? this.unpack(id);
    this.open.delete(id);
    this.open.set(session.id, session);
    return session;
  }

  /** Returns undefined when the session is here already. */
  add(id: string, record: SessionRecord | undefined): SessionState | undefined {
    return this.has(id) ? undefined : this.insert(new SessionState(alone(id), record));
  }

  /** Changes the session, and adjusts the count of bytes. */
  changing(session: SessionState, change: () => void): void {
    const { weight } = session;
    change();
    this.openBytes += session.weight - weight;
  }

  /** For tests of its bounds: the bytes that each session takes. */
  weights(): number[] {
    const open = Array.from(this.open.values(), ({ weight }) => weight);
    return [...open, ...Array.from(this.packed.values(), ({ length }) => packedOwn + length)];
  }

  /**
   * Makes room until what is here fits `bytes`. Sessions that `keeps` names stay open. No other has a change
   * that is not written.
   */
  evict(bytes: number, keeps: (session: SessionState) => boolean): void {
    for (const session of this.open.values()) {
      if (this.bytes <= bytes || this.openBytes <= bytes * openShare) break;
      if (keeps(session)) continue;
      this.close(session);
      if (session.record) this.pack(session.id, packRecord(session.record));
    }
    for (const [id, packed] of this.packed) {
      if (this.bytes <= bytes) return;
      this.drop(id, packed);
    }
  }

  private close(session: SessionState): void {
    this.open.delete(session.id);
    this.openBytes -= session.weight;
  }

  private pack(id: string, bytes: Uint8Array): void {
    this.packed.set(id, bytes);
    this.packedBytes += packedOwn + bytes.length;
  }

  private drop(id: string, { length }: Uint8Array): void {
    this.packed.delete(id);
    this.packedBytes -= packedOwn + length;
  }

  private unpack(id: string): SessionState {
    const packed = this.packed.get(id)!;
    this.drop(id, packed);
    return this.insert(new SessionState(alone(id), unpackRecord(packed)));
  }

  private insert(session: SessionState): SessionState {
    this.open.set(session.id, session);
    this.openBytes += session.weight;
    return session;
  }
}
