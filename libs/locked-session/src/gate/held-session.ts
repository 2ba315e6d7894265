/**
 * One grant of a session in this process: the copy of its state, the attribute locks, the count of scopes
 * inside, and the results that wait for the store's acknowledgement. It ends with the release, or when the
 * lock is lost. The next grant is another object.
 */
import type { ChangeSet, HeldGrant } from '#protocol';
import { AttributeLocks } from '../locks/attribute-locks.js';
import { LockedSessionError } from '../errors.js';
import { sessionDestroyed } from './gate-errors.js';
import { UnsavedSession } from './unsaved-session.js';
import type { GateHost } from './gate-host.js';
import type { Holder } from './holder.js';
import { decodeFrozen } from '../values.js';

interface ResultWait {
  readonly seq: number;
  deadline: number;
  resolve(): void;
  reject(error: LockedSessionError): void;
}

export class HeldSession {
  readonly locks = new AttributeLocks();
  /** The reason why this grant was lost or given back while scopes were inside. */
  lost: LockedSessionError | undefined;
  /** A scope has destroyed the session. Nothing can be changed any more. */
  over = false;

  /** Made on first use, since many sessions are held and few are read again. */
  private frozen: Map<string, { bytes: Uint8Array; value: unknown }> | undefined;
  private results: ResultWait[] = [];
  private deletedSeq = 0;
  private aborter: AbortController | undefined;

  constructor(
    private current: HeldGrant,
    private readonly holder: Holder,
    private readonly host: GateHost,
    private readonly makeSession: (unsaved: UnsavedSession, changes: ChangeSet) => number,
  ) {}

  get grant(): HeldGrant {
    return this.current;
  }

  /** Root scopes that have passed the gate and not left. Entering and leaving count as use (rule 15). */
  get inside(): number {
    return this.current.inside;
  }

  set inside(count: number) {
    this.current.inside = count;
    this.current.used = true;
  }

  /** The store has made the unsaved session. From now on this is its grant. */
  become(grant: HeldGrant): void {
    grant.used ||= this.current.used;
    grant.inside = this.current.inside;
    this.current = grant;
    this.acknowledged();
  }

  /**
   * Whether the lock may be used without asking the store (rules 8 and 9). An unsaved session needs no lock.
   */
  get trusted(): boolean {
    return this.current instanceof UnsavedSession || this.holder.trusts(this.current);
  }

  /** The attribute as bytes. Undefined when there is none. */
  bytes(name: string): Uint8Array | undefined {
    return this.current.attributes.get(name)?.bytes;
  }

  /** The attribute, decoded on first use and deeply frozen. All readers get one object. */
  value(name: string): unknown {
    const bytes = this.bytes(name);
    if (!bytes) return undefined;
    const cached = this.frozen?.get(name);
    if (cached?.bytes === bytes) return cached.value;
    const value = decodeFrozen(bytes);
    (this.frozen ??= new Map()).set(name, { bytes, value });
    return value;
  }

  /** The seq that must be durable before a result may leave that depends on this attribute. */
  seqOf(name: string): number {
    return this.current.attributes.get(name)?.seq ?? this.deletedSeq;
  }

  /**
   * Makes changes. Scopes here see them at once. Returns their seq. Throws `lock-lost`, `session-destroyed`,
   * and `too-large` before any change is made: a limit never ends a grant (rule 11).
   */
  commit(changes: ChangeSet): number {
    if (this.lost) throw this.lost;
    if (this.over) throw sessionDestroyed(this.current.session);
    this.checkSizes(changes);
    const { current } = this;
    const seq =
      current instanceof UnsavedSession
        ? this.makeSession(current, changes)
        : this.holder.commit(current, changes);
    for (const name of changes.removed) this.frozen?.delete(name);
    if (changes.removed.length > 0) this.deletedSeq = seq;
    return seq;
  }

  /** Sends the changes that write-back keeps. */
  flush(): void {
    if (!(this.current instanceof UnsavedSession) && !this.lost) this.holder.flush(this.current);
  }

  /**
   * Asks the store whether the lock is still held. It was, when the returned seq is durable.
   */
  confirmHeld(): number {
    return this.holder.confirmHeld(this.current);
  }

  /**
   * Resolves when everything through `seq` is durable. Undefined when it is already. Rejects with `lock-lost`
   * when it will never be. Rejects with `outcome-unknown` when that cannot be told, at `deadline` at the
   * latest.
   */
  durable(seq: number, deadline: () => number): Promise<void> | undefined {
    if (seq <= this.current.acknowledged) return undefined;
    if (this.lost) return Promise.reject(this.lost);
    const done = this.host.clock.keepAlive();
    return new Promise<void>((resolve, reject) =>
      this.results.push({
        seq,
        deadline: deadline(),
        resolve: () => {
          done();
          resolve();
        },
        reject: (error) => {
          done();
          reject(error);
        },
      }),
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

  /** The lock is lost. The signals of scopes inside abort, and the results that wait fail. */
  lose(error: LockedSessionError): void {
    this.acknowledged();
    this.abandon(error);
    for (const result of this.results.splice(0)) result.reject(error);
  }

  /**
   * The lock is given back while scopes run: they fail. The store may still acknowledge changes that were
   * sent before.
   */
  abandon(error: LockedSessionError): void {
    this.lost = error;
    this.aborter?.abort(error);
  }

  /** Aborted when the lock is lost. Made on first use, since a controller costs more than the lock. */
  get signal(): AbortSignal {
    this.aborter ??= new AbortController();
    if (this.lost && !this.aborter.signal.aborted) this.aborter.abort(this.lost);
    return this.aborter.signal;
  }

  /** Fails the results whose deadline has passed. Returns the next one's deadline. */
  expire(now: number): number {
    let next = Infinity;
    if (this.results.length === 0) return next;
    for (const result of [...this.results]) {
      if (result.deadline > now) {
        next = Math.min(next, result.deadline);
        continue;
      }
      this.results.splice(this.results.indexOf(result), 1);
      result.reject(
        new LockedSessionError(
          'outcome-unknown',
          `the changes of session ${this.current.session} were sent, but not acknowledged in time. They ` +
            'may be applied later. Read again before you repeat them',
        ),
      );
    }
    return next;
  }

  /** Whether no scope uses the lock, and it was granted for no longer than that (rule 23). */
  get isTurnOver(): boolean {
    return this.inside === 0 && this.holder.isTurnOver(this.current, this.results.length);
  }

  /** Whether no result waits for this grant any more. */
  get settled(): boolean {
    return this.results.length === 0;
  }

  private checkSizes({ set, removed }: ChangeSet): void {
    const { attributeBytes, sessionBytes, attributes } = this.host.settings;
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
      `session ${this.current.session}: ${what}, but at most ${limit} are allowed. Keep large things ` +
        'elsewhere, and their ids here',
    );
  }
}
