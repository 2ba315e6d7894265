/**
 * One grant of a session in this process: the copy of its state, the attribute locks, who is inside, and which results wait for the store's
 * acknowledgement. It ends with the release, or when the lock is lost; the next grant is another object.
 */
import type { Changes, HeldGrant } from '#protocol';
import { AttributeLocks } from './attribute-locks.js';
import { LockedSessionError } from './errors.js';
import { LocalGrant } from './local-grant.js';
import type { GateKeeper } from './session-gate.js';
import { decodeFrozen } from './values.js';

/** How large a session may grow. */
export interface SizeLimits {
  /** Most bytes of one attribute's encoded value, and of all of a session's together. */
  readonly attributeBytes: number;
  readonly sessionBytes: number;
  /** Most attributes of a session. */
  readonly attributes: number;
}

interface ResultWait {
  readonly seq: number;
  readonly deadline: number;
  resolve(): void;
  reject(error: LockedSessionError): void;
}

export class HeldSession {
  readonly locks = new AttributeLocks();
  /** Why this grant is over before its time. */
  lost: LockedSessionError | undefined;

  private readonly frozen = new Map<string, { bytes: Uint8Array; value: unknown }>();
  private results: ResultWait[] = [];
  private deletedSeq = 0;
  private aborter: AbortController | undefined;

  constructor(
    private current: HeldGrant,
    private readonly keeper: Pick<GateKeeper, 'settings' | 'commit' | 'flush' | 'prove' | 'trusts'>,
    private readonly makeLocal: (grant: LocalGrant, changes: Changes) => number,
  ) {}

  get grant(): HeldGrant {
    return this.current;
  }

  /** Root scopes that passed the gate and have not left. Whoever comes or goes uses the session (rule 15). */
  get inside(): number {
    return this.current.inside;
  }

  set inside(count: number) {
    this.current.inside = count;
    this.current.used = true;
  }

  /** A local session that the store has made now: from here on this is its grant. */
  become(grant: HeldGrant): void {
    grant.used ||= this.current.used;
    grant.inside = this.current.inside;
    this.current = grant;
    this.acknowledged();
  }

  /** Whether the lock may be used without asking the store (rules 8 and 9). What only this process knows needs no lock. */
  get trusted(): boolean {
    return this.current instanceof LocalGrant || this.keeper.trusts(this.current);
  }

  /** The attribute as bytes; undefined when there is none. */
  bytes(name: string): Uint8Array | undefined {
    return this.current.attributes.get(name)?.bytes;
  }

  /** The attribute decoded and deeply frozen: one object for all readers, made on first use. */
  value(name: string): unknown {
    const bytes = this.bytes(name);
    if (!bytes) return undefined;
    const cached = this.frozen.get(name);
    if (cached?.bytes === bytes) return cached.value;
    const value = decodeFrozen(bytes);
    this.frozen.set(name, { bytes, value });
    return value;
  }

  /** The seq that must be durable before a result that saw this attribute may leave. */
  seqOf(name: string): number {
    return this.current.attributes.get(name)?.seq ?? this.deletedSeq;
  }

  /**
   * Makes changes; they are seen here at once. Returns their seq. Throws `lock-lost`, and `too-large` before anything is made (rule 11: a limit never ends
   * a grant).
   */
  commit(changes: Changes): number {
    if (this.lost) throw this.lost;
    this.checkSizes(changes);
    const { current } = this;
    const seq =
      current instanceof LocalGrant ? this.makeLocal(current, changes) : this.keeper.commit(current, changes);
    for (const name of changes.delete) this.frozen.delete(name);
    if (changes.delete.length > 0) this.deletedSeq = seq;
    return seq;
  }

  /** Sends what write-back holds back. */
  flush(): void {
    if (!(this.current instanceof LocalGrant) && !this.lost) this.keeper.flush(this.current);
  }

  /** Has the store say that the lock is still held: what was read is good once the seq that is returned is durable. */
  prove(): number {
    return this.keeper.prove(this.current);
  }

  /**
   * Resolves when everything through `seq` is durable: undefined when it is already. Rejects with `lock-lost` when it never will be, and with
   * `outcome-unknown` when that cannot be told, at `deadline` at the latest.
   */
  durable(seq: number, deadline: () => number): Promise<void> | undefined {
    if (seq <= this.current.acknowledged) return undefined;
    if (this.lost) return Promise.reject(this.lost);
    return new Promise((resolve, reject) =>
      this.results.push({ seq, deadline: deadline(), resolve, reject }),
    );
  }

  /** The grant's `acknowledged` has grown. */
  acknowledged(): void {
    if (this.results.length === 0) return;
    const through = this.current.acknowledged;
    const ready = this.results.filter(({ seq }) => seq <= through);
    this.results = this.results.filter(({ seq }) => seq > through);
    for (const result of ready) result.resolve();
  }

  /** The lock is lost: every scope inside is told by its signal, and every result that waits fails. */
  lose(error: LockedSessionError): void {
    this.acknowledged();
    this.abandon(error);
    for (const result of this.results.splice(0)) result.reject(error);
  }

  /** The lock is given back while scopes run: they fail. What was sent before may still be acknowledged. */
  abandon(error: LockedSessionError): void {
    this.lost = error;
    this.aborter?.abort(error);
  }

  /** Aborted when the lock is lost. Made on first use: a controller costs more than the lock. */
  get signal(): AbortSignal {
    this.aborter ??= new AbortController();
    if (this.lost && !this.aborter.signal.aborted) this.aborter.abort(this.lost);
    return this.aborter.signal;
  }

  /** Fails the results whose time is over; returns when the next one's is. */
  expire(now: number): number {
    let next = Infinity;
    for (const result of [...this.results]) {
      if (result.deadline > now) {
        next = Math.min(next, result.deadline);
        continue;
      }
      this.results.splice(this.results.indexOf(result), 1);
      result.reject(
        new LockedSessionError(
          'outcome-unknown',
          `the changes of session ${this.current.session} were sent, but not acknowledged in time: they may be applied later; read again before repeating them`,
        ),
      );
    }
    return next;
  }

  /** Nothing of this grant is awaited any more. */
  get settled(): boolean {
    return this.results.length === 0;
  }

  private checkSizes({ set, delete: removed }: Changes): void {
    const { attributeBytes, sessionBytes, attributes } = this.keeper.settings;
    const held = this.current.attributes;
    let count = held.size;
    let bytes = 0;
    for (const { bytes: value } of held.values()) bytes += value.length;
    for (const name of removed) {
      const value = this.bytes(name);
      if (!value) continue;
      count--;
      bytes -= value.length;
    }
    for (const [name, value] of set) {
      if (value.length > attributeBytes) {
        throw this.tooLarge(
          `attribute '${name}' would take ${value.length} bytes`,
          `${attributeBytes} (attributeBytes)`,
        );
      }
      const old = this.bytes(name);
      if (!old) count++;
      bytes += value.length - (old?.length ?? 0);
    }
    if (count > attributes)
      throw this.tooLarge(`it would have ${count} attributes`, `${attributes} (attributes)`);
    if (bytes > sessionBytes)
      throw this.tooLarge(`it would take ${bytes} bytes`, `${sessionBytes} (sessionBytes)`);
  }

  private tooLarge(what: string, limit: string): LockedSessionError {
    return new LockedSessionError(
      'too-large',
      `session ${this.current.session}: ${what}, but at most ${limit} are allowed; keep large things elsewhere, and their ids here`,
    );
  }
}
