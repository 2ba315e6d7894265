/**
 * One run of a handler or of `run()`: the owner of attribute locks, and of the working copies of what it changes. A nested run of the same
 * session is a child scope: it shares its root's working copies and commits with the root (rule 18).
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { noChanges, type Changes, type Token } from '#protocol';
import type { Hold, LockOwner, LockRequest } from './lock-waits.js';
import { LockedSessionError } from './errors.js';
import { sessionDestroyed } from './gate-errors.js';
import { wholeSession } from './lock-plan.js';
import type { HeldSession } from './held-session.js';
import type { LockedSessions } from './locked-sessions.js';
import type { AttributeName, AttributeValue, Frozen, Served, SessionHandle } from './session-handle.js';
import { assertAttributeName, decodeValue, encodeValue, freeze } from './values.js';

/** The scope that the code runs in. */
export const currentScope = new AsyncLocalStorage<Scope>();

/** The scope around this call. Throws `no-scope` when there is none. */
export function requireScope(): Scope {
  const scope = currentScope.getStore();
  if (scope) return scope;
  throw new LockedSessionError(
    'no-scope',
    'there is no session scope around this call: use @LockedSession() on the handler, or sessions.run()',
  );
}

/** An attribute as a root scope changes it. `deleted` once it is gone; a value set later revives it. */
interface WorkingCopy {
  /** What was there when the copy was made, or last committed. */
  base: Uint8Array | undefined;
  value: unknown;
  deleted: boolean;
  /** The value was handed out to be changed. */
  drafted: boolean;
}

export class Scope implements SessionHandle, LockOwner {
  /** The scope of the same session that this one is nested in: its locks are passed. Undefined for a root. */
  parent: Scope | undefined;
  /** Nested scopes, of whatever session, that still run. */
  children: Set<Scope> | undefined;
  waiting: LockRequest | undefined;
  holds: Hold[] | undefined;
  /** Set when a root passes the gate, before it locks anything. */
  held!: HeldSession;

  /** A root's: what the family works on. */
  private ownCopies = new Map<string, WorkingCopy>();
  /** The highest seq, within the grant, whose effect this scope has seen or made. */
  private seen = 0;
  ended = false;

  /** A root's: the session ends with the scope. */
  destroyed = false;
  /** A root's: the id that the session has when the scope has ended, and then the token that it is held under. */
  nextId: string | undefined;
  nextToken: Token | undefined;
  /** The lock was here when the scope came, and stayed until the scope had its attribute locks. */
  foundHeld = false;
  /** A root's: changes of the family were sent. */
  private sent = false;
  /** What is set cannot be kept: the session that the client named is no more. */
  unkept = false;

  constructor(
    readonly sessions: LockedSessions,
    private readonly session: string,
    /** The scope around this one, of whatever session. */
    public outer: Scope | undefined,
    readonly label: string,
    readonly isNew: boolean,
    /** When a wait for the store's acknowledgement that begins now ends, by the monotonic clock. */
    private readonly commitDeadline: () => number,
    private readonly writeBack: boolean,
  ) {
    // What an ended scope left running belongs to the scope around that.
    while (this.outer?.ended) this.outer = this.outer.outer;
    this.parent = this.outer?.within(sessions, session);
    if (this.parent) this.held = this.parent.held;
    this.outer?.adopt(this);
  }

  get id(): string {
    return this.root.nextId ?? this.session;
  }

  get signal(): AbortSignal {
    return this.held.signal;
  }

  get<N extends AttributeName>(name: N): Frozen<AttributeValue<N>> | undefined {
    this.check(name, 'read');
    const copy = this.copies.get(name);
    if (copy) return copy.value as Frozen<AttributeValue<N>> | undefined;
    this.see(name);
    return this.held.value(name) as Frozen<AttributeValue<N>> | undefined;
  }

  draft<N extends AttributeName>(name: N, initial: () => AttributeValue<N>): AttributeValue<N>;
  draft<N extends AttributeName>(name: N): AttributeValue<N> | undefined;
  draft<N extends AttributeName>(name: N, initial?: () => AttributeValue<N>): AttributeValue<N> | undefined {
    this.check(name, 'write');
    const copy = this.copy(name);
    if (copy.value === undefined && initial) {
      copy.value = initial();
      copy.deleted = false;
    }
    copy.drafted = true;
    return copy.value as AttributeValue<N> | undefined;
  }

  set<N extends AttributeName>(name: N, value: AttributeValue<N>): void {
    this.check(name, 'write');
    const copy = this.copy(name);
    copy.value = value;
    copy.deleted = value === undefined;
    copy.drafted = false;
  }

  delete(name: AttributeName): void {
    this.check(name, 'write');
    const copy = this.copy(name);
    copy.value = undefined;
    copy.deleted = true;
  }

  names(): string[] {
    this.checkRunning();
    this.saw(this.held.grant.seq); // what is missing was seen, too
    const names = new Set(this.held.grant.attributes.keys());
    for (const [name, copy] of this.copies) {
      if (copy.deleted || copy.value === undefined) names.delete(name);
      else names.add(name);
    }
    return [...names].filter((name) => this.held.locks.holds(this, name) !== undefined);
  }

  destroy(): void {
    this.checkWhole('destroy');
    this.root.destroyed = true;
  }

  regenerate(): string {
    this.checkWhole('regenerate');
    return (this.root.nextId = this.sessions.newId());
  }

  async commit(): Promise<void> {
    this.checkRunning();
    this.send();
    this.held.flush();
    await this.durable();
  }

  /** Of this scope and those around it, the innermost of session `id` that still runs. */
  private within(sessions: LockedSessions, id: string): Scope | undefined {
    if ((this.session === id || this.id === id) && this.sessions === sessions && !this.ended) return this;
    return this.outer?.within(sessions, id);
  }

  /** The store has the session: its id may be told. */
  get isKept(): boolean {
    return this.held.grant.token[0] > 0;
  }

  /** Of a root: the process had the session, and nothing was sent for it. */
  get withoutMessage(): boolean {
    return this.foundHeld && !this.sent && !this.destroyed && this.nextId === undefined;
  }

  /** Of a root that has ended well. */
  get served(): Served {
    const { foundHeld, isNew, withoutMessage, nextToken = this.held.grant.token } = this;
    const kept = !this.destroyed && nextToken[0] > 0;
    return {
      session: kept ? { id: this.id, token: nextToken } : undefined,
      fromHeldLock: foundHeld && !isNew,
      withoutMessage,
    };
  }

  /** Whether a parameter that names the attribute is a draft. */
  mayWrite(name: string): boolean {
    return this.held.locks.holds(this, name) === 'write';
  }

  /** Sends what differs from what is held, the family's changes all together: whether there were any. Throws when a value cannot be carried. */
  send(): boolean {
    const changes = this.changes();
    if (changes === noChanges) return false;
    if (this.unkept) throw sessionDestroyed(this.session);
    const seq = this.held.commit(changes);
    this.root.sent = true;
    this.saw(seq);
    this.root.saw(seq);
    for (const [name, copy] of this.copies)
      copy.base = changes.set.get(name) ?? (copy.deleted ? undefined : copy.base);
    return true;
  }

  /** The whole state as this scope leaves it. Throws when a value cannot be carried. */
  state(): Map<string, Uint8Array> {
    const state = new Map([...this.held.grant.attributes].map(([name, { bytes }]) => [name, bytes]));
    const changes = this.changes();
    for (const name of changes.delete) state.delete(name);
    for (const [name, bytes] of changes.set) state.set(name, bytes);
    return state;
  }

  /**
   * Ends the scope: its handle is dead, its attribute locks are left to its parent, or free. What it saw counts for the parent too.
   */
  end(): void {
    this.ended = true;
    this.outer?.children?.delete(this);
    this.parent?.saw(this.seen);
    this.held?.locks.leave(this);
    if (this.children) this.leaveChildren(this.children);
    // A draft that somebody keeps and changes would change nothing: it says so.
    for (const { drafted, value } of this.ownCopies.values()) if (drafted) freeze(value);
  }

  private leaveChildren(children: ReadonlySet<Scope>): void {
    this.passOn(children);
    for (const child of children) {
      child.outer = this.outer;
      this.outer?.adopt(child);
    }
  }

  /** This scope, or one around it, still runs. */
  get isLive(): boolean {
    return !this.ended || (this.outer?.isLive ?? false);
  }

  private adopt(child: Scope): void {
    (this.children ??= new Set()).add(child);
  }

  /** Resolves when all that this scope could have seen is durable; undefined when it is. See `HeldSession.durable`. */
  durable(): Promise<void> | undefined {
    return this.held.durable(this.seen, this.commitDeadline);
  }

  /**
   * Resolves when a root's result may be given: all that it could have seen is durable, or with write-back merely made, and the lock was held as long as it ran. Undefined
   * when that is so already. Rejects when it is not.
   */
  concluded(): Promise<void> | undefined {
    const { held } = this;
    if (held.lost) return Promise.reject(held.lost);
    if (this.destroyed || this.nextId !== undefined) return undefined; // concluded before the session's end
    // What was read last may have been read after the lease ran out: only the store knows whether that was still so (rule 8).
    if (!held.trusted) this.saw(held.prove());
    else if (this.writeBack && this.isKept) return undefined;
    return this.durable();
  }

  /** Nested scopes that outlive this one belong to its parent; without one they are roots, with what they had locked (rule 18). */
  private passOn(nested: Iterable<Scope>): void {
    for (const scope of nested) {
      if (scope.parent !== this) {
        if (scope.children) this.passOn(scope.children);
        continue;
      }
      scope.parent = this.parent;
      if (scope.parent) continue;
      scope.held.inside++;
      scope.saw(this.seen);
      const locked = [...this.ownCopies].filter(([name]) => scope.familyMayWrite(name));
      scope.ownCopies = new Map(locked.map(([name, copy]) => [name, { ...copy }]));
      for (const [, copy] of locked) copy.drafted = false; // the draft lives on
    }
  }

  private familyMayWrite(name: string): boolean {
    if (this.held === undefined) return false;
    if (this.mayWrite(name)) return true;
    for (const child of this.children ?? []) {
      if (child.held === this.held && child.familyMayWrite(name)) return true;
    }
    return false;
  }

  private get root(): Scope {
    return this.parent ? this.parent.root : this;
  }

  private get copies(): Map<string, WorkingCopy> {
    return this.root.ownCopies;
  }

  private changes(): Changes {
    if (this.copies.size === 0) return noChanges;
    const set = new Map<string, Uint8Array>();
    const removed: string[] = [];
    for (const [name, { base, value, deleted }] of this.copies) {
      if (deleted || value === undefined) {
        if (base) removed.push(name);
        continue;
      }
      const bytes = encodeValue(value, name);
      if (!base || !sameBytes(base, bytes)) set.set(name, bytes);
    }
    return set.size === 0 && removed.length === 0 ? noChanges : { set, delete: removed };
  }

  private copy(name: string): WorkingCopy {
    let copy = this.copies.get(name);
    if (!copy) {
      assertAttributeName(name); // who has the whole session locked need not have named it
      this.see(name);
      const base = this.held.bytes(name);
      copy = { base, value: base && decodeValue(base), deleted: false, drafted: false };
      this.copies.set(name, copy);
    }
    return copy;
  }

  private see(name: string): void {
    this.saw(this.held.seqOf(name));
  }

  private saw(seq: number): void {
    if (seq > this.seen) this.seen = seq;
  }

  private check(name: string, mode: 'read' | 'write'): void {
    this.checkRunning();
    const held = this.held.locks.holds(this, name);
    if (held === 'write' || held === mode) return;
    // A handle that was passed on to a nested scope is used there with what that one has locked besides.
    const inner = currentScope.getStore();
    if (inner && inner !== this && inner.isNestedIn(this)) return inner.check(name, mode);
    assertAttributeName(name);
    const has = held ? 'only for reading' : 'not at all';
    throw new LockedSessionError(
      'not-locked',
      `'${name}' is locked ${has} by ${this.label}: name it under '${mode}' where the scope begins`,
    );
  }

  private isNestedIn(outer: Scope): boolean {
    return this.parent === outer || (this.parent?.isNestedIn(outer) ?? false);
  }

  private checkWhole(what: string): void {
    this.checkRunning();
    if (this.held.locks.holds(this, wholeSession) === 'write') return;
    throw new LockedSessionError(
      'not-locked',
      `to ${what} a session its scope must have all of it: use @LockedSession() without names, or run(id, {}, …)`,
    );
  }

  private checkRunning(): void {
    if (!this.ended && this.root.destroyed) throw sessionDestroyed(this.session);
    if (!this.ended) return;
    throw new LockedSessionError(
      'scope-ended',
      `${this.label} has ended: a session's handle is valid only while its handler or run() goes on; await what uses it`,
    );
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
