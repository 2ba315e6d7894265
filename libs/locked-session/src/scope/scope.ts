/**
 * One run of a handler or of `run()`. It owns attribute locks, and working copies of the attributes that it
 * changes. A nested run of the same session is a child scope. It shares its root's working copies and commits
 * with the root (rule 18). A root and the scopes nested in it are a family.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { noChanges, type ChangeSet } from '#protocol';
import type { Hold, LockOwner, LockRequest } from '../locks/wait-graph.js';
import { sessionDestroyed } from '../gate/gate-errors.js';
import { wholeSession } from '../locks/lock-plan.js';
import type { HeldSession } from '../gate/held-session.js';
import type { AttributeName, AttributeValue, Frozen, SessionHandle } from './session-handle.js';
import { NoValue } from '../no-value.js';
import { assertAttributeName, frozenCopy } from '../values.js';
import {
  afterDestroy,
  attributeNotLocked,
  commitAfterRegenerate,
  fixedId,
  noScope,
  responseSent,
  rootFailed,
  scopeEnded,
  sessionNotLocked,
} from './scope-errors.js';
import type { ScopeTrace } from './scope-trace.js';
import type { Mirror, ScopeSettings, SessionKind, Sessions } from './scope-settings.js';
import { noEnd, SessionEnd } from './session-end.js';
import { WorkingCopies } from './working-copies.js';
import { WorkingCopy } from './working-copy.js';

/** The scope that the code runs in. */
export const currentScope = new AsyncLocalStorage<Scope>();

/** The scope around this call. Throws `no-scope` when there is none. */
export function requireScope(): Scope {
  const scope = currentScope.getStore();
  if (scope) return scope.successor ?? scope;
  throw noScope();
}

export class Scope extends NoValue implements SessionHandle, LockOwner {
  /**
   * The scope of the same session that this one is nested in, and whose locks it passes. Undefined for a
   * root.
   */
  parent: Scope | undefined;
  /** Nested scopes, of whatever session, that still run. */
  children: Set<Scope> | undefined;
  waiting: LockRequest | undefined;
  holds: Hold[] | undefined;
  awaitedSince: number | undefined;
  /** Set when a root passes the gate, before it locks anything. */
  held!: HeldSession;
  readonly isNew: boolean;
  /** As its root's. A nested scope that outlives its root keeps it. */
  private readonly kind: SessionKind;
  /** A root's: the working copies of the family, and the end of its session that it asks for. */
  private ownCopies: WorkingCopies | undefined;
  private ownEnd: SessionEnd | undefined;
  /** The highest seq, within the grant, whose effect this scope has seen or made. */
  seen = 0;
  ended = false;
  /** A root's: its changes are dropped. */
  private failed = false;
  /** A root's: its answer leaves while it runs, and it can change nothing more. Resolves when concluded. */
  sealing: Promise<void> | undefined;
  /** The process held the lock when the scope came, and until the scope had its attribute locks. */
  foundHeld = false;
  /** A root's: changes of the family were sent. */
  sent = false;
  /** A root's, where it is traced. */
  trace: ScopeTrace | undefined;
  /** A root's: another view of the session, which changes outside of scopes. */
  mirror: Mirror | undefined;
  /** The scope that goes on after this one, in the same asynchronous context, under the session's next id. */
  successor: Scope | undefined;

  constructor(
    private readonly session: string,
    /** The scope around this one, of whatever session. */
    public outer: Scope | undefined,
    /** The caller's name for the scope, or else its number. */
    named: string | number,
    kind: SessionKind,
    private readonly settings: ScopeSettings,
  ) {
    super(named);
    // A run that an ended scope has started belongs to the one that goes on after it, or is around it.
    while (this.outer?.ended) this.outer = this.outer.successor ?? this.outer.outer;
    this.parent = this.outer?.within(settings.sessions, session);
    if (this.parent) this.held = this.parent.held;
    this.isNew = kind.isNew ?? false;
    this.kind = this.parent?.kind ?? kind;
    this.outer?.adopt(this);
    if (settings.traces && !this.parent) this.trace = settings.traces.begin(session);
  }

  /** A root's. */
  get sessionEnd(): Readonly<SessionEnd> {
    return this.ownEnd ?? noEnd;
  }

  get id(): string {
    return this.root.sessionEnd.nextId ?? this.session;
  }

  get sessions(): Sessions {
    return this.settings.sessions;
  }

  get signal(): AbortSignal {
    return this.held.signal;
  }

  get<N extends AttributeName>(name: N): Frozen<AttributeValue<N>> | undefined {
    this.check(name, 'read');
    const copy = this.root.ownCopies?.get(name);
    if (copy) return copy.value as Frozen<AttributeValue<N>> | undefined;
    this.see(name);
    return this.held.value(name) as Frozen<AttributeValue<N>> | undefined;
  }

  draft<N extends AttributeName>(name: N, initial: () => AttributeValue<N>): AttributeValue<N>;
  draft<N extends AttributeName>(name: N): AttributeValue<N> | undefined;
  draft<N extends AttributeName>(name: N, initial?: () => AttributeValue<N>): AttributeValue<N> | undefined {
    this.check(name, 'write');
    return this.copy(name).edit(initial) as AttributeValue<N> | undefined;
  }

  set<N extends AttributeName>(name: N, value: AttributeValue<N>): void {
    this.check(name, 'write');
    this.copy(name).replace(value);
  }

  delete(name: AttributeName): void {
    this.check(name, 'write');
    this.copy(name).replace(undefined);
  }

  clear(): void {
    this.checkWhole('clear');
    for (const name of this.names()) this.delete(name as AttributeName);
  }

  names(): string[] {
    this.checkRunning();
    this.saw(this.held.grant.seq); // a scope sees also which attributes are missing
    const names = new Set(this.held.grant.attributes.keys());
    for (const [name, copy] of this.root.ownCopies ?? []) {
      if (copy.exists) names.add(name);
      else names.delete(name);
    }
    return [...names].filter((name) => this.held.locks.holds(this, name) !== undefined);
  }

  destroy(): void {
    if (!this.ended && this.root.sessionEnd.isDestroyed) return;
    this.checkWhole('destroy');
    this.root.askedEnd.isDestroyed = true;
  }

  regenerate(): string {
    this.checkWhole('regenerate');
    if (this.kind.fixedId) throw fixedId();
    return (this.root.askedEnd.nextId = this.sessions.newId());
  }

  async commit(): Promise<void> {
    this.checkRunning();
    if (this.root.sessionEnd.nextId !== undefined) throw commitAfterRegenerate();
    this.send();
    this.held.flush();
    await this.durable();
  }

  /** The innermost scope of session `id` that still runs, of this one and those around it. */
  private within(sessions: Sessions, id: string): Scope | undefined {
    if ((this.session === id || this.id === id) && this.sessions === sessions && !this.ended) return this;
    return this.outer?.within(sessions, id);
  }

  /** The store has the session, so that its id may be told. */
  get isKept(): boolean {
    return this.held.grant.token[0] > 0;
  }

  /**
   * The value for a parameter that only reads: the attribute, or a copy of the value that `initial` makes.
   */
  read(name: AttributeName, initial: (() => unknown) | undefined): unknown {
    return this.get(name) ?? (initial && frozenCopy(initial(), name, this.settings.classInstances));
  }

  /** Whether a parameter that names the attribute is a draft. */
  mayWrite(name: string): boolean {
    return this.held.locks.holds(this, name) === 'write';
  }

  /**
   * Sends the family's changes, all together. Returns whether there were any. Throws
   * `value-not-serializable`, `lock-lost`, `too-large`, `response-sent` and `session-destroyed`.
   */
  send(): boolean {
    const changes = this.changes();
    if (changes === noChanges) return false;
    this.checkUnsealed();
    if (this.kind.readOnly) throw sessionDestroyed(this.session);
    const seq = this.held.commit(changes);
    this.root.trace?.changes(this.held.grant, seq, changes);
    this.root.sent = true;
    this.saw(seq);
    this.root.saw(seq);
    this.root.ownCopies!.made(changes);
    return true;
  }

  /**
   * The whole state at the end of this scope, for the session's next id. Throws `value-not-serializable`.
   */
  state(): Map<string, Uint8Array> {
    const state = new Map([...this.held.grant.attributes].map(([name, { bytes }]) => [name, bytes]));
    const changes = this.changes();
    for (const name of changes.removed) state.delete(name);
    for (const [name, bytes] of changes.set) state.set(name, bytes);
    this.root.ownCopies?.made(changes);
    return state;
  }

  /**
   * Ends the scope. Its handle throws from now on. Its attribute locks pass to its parent, or are free. The
   * parent waits also for what this scope has seen to be durable. The changes of a root that `failed` are
   * dropped. Nested scopes that still run have worked on them, and fail (rule 18).
   */
  end(failed: boolean): void {
    this.ended = true;
    this.failed ||= failed && !this.parent;
    this.outer?.children?.delete(this);
    this.parent?.saw(this.seen);
    if (this.hasEntered) this.held.locks.leave(this);
    if (this.children) this.leaveChildren(this.children);
    this.ownCopies?.end();
  }

  /** Throws `scope-ended` when its root has failed, so that this scope may not go on. */
  checkRoot(): void {
    if (this.root.failed) throw rootFailed(this.label);
  }

  private leaveChildren(children: ReadonlySet<Scope>): void {
    this.passOn(children);
    for (const child of children) {
      child.outer = this.outer;
      this.outer?.adopt(child);
    }
  }

  /** Whether this scope, or one around it, still runs. */
  get isLive(): boolean {
    return !this.ended || (this.outer?.isLive ?? false);
  }

  private adopt(child: Scope): void {
    (this.children ??= new Set()).add(child);
  }

  /**
   * Resolves when all that this scope could have seen is durable. Undefined when it is. See
   * `HeldSession.durable`.
   */
  durable(): Promise<void> | undefined {
    return this.held.durable(this.seen, this.settings.commitDeadline);
  }

  /**
   * Resolves when a root's result may be given. All that it could have seen is durable then, or with
   * write-back merely made, and the lock was held as long as it ran. Undefined when that is so already.
   * Rejects when it cannot become so.
   */
  concluded(): Promise<void> | undefined {
    const { held } = this;
    if (held.lost) return Promise.reject(held.lost);
    if (held.over) return this.durable(); // a scope around has ended the session under the lock
    if (this.sessionEnd.isWanted) return undefined; // `Conclusion` has awaited it before the session's end
    // The scope may have read after the lease ran out. Only the store knows whether the lock was still held
    // (rule 8).
    if (!held.trusted) this.saw(held.confirmHeld());
    else if (this.settings.writeBack && this.isKept) return undefined;
    return this.durable();
  }

  /**
   * Nested scopes that outlive this one belong to its parent. Without a parent they become roots, and keep
   * their locks (rule 18).
   */
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
      scope.failed = this.failed;
      this.ownCopies?.moveTo((scope.ownCopies ??= new WorkingCopies()), (name) => scope.familyMayWrite(name));
      scope.trace = scope.settings.traces?.begin(scope.session);
    }
  }

  private familyMayWrite(name: string): boolean {
    if (!this.hasEntered) return false;
    if (this.mayWrite(name)) return true;
    for (const child of this.children ?? []) {
      if (child.held === this.held && child.familyMayWrite(name)) return true;
    }
    return false;
  }

  /** The scope has passed the gate: `held` is set. */
  get hasEntered(): boolean {
    return (this.held as HeldSession | undefined) !== undefined;
  }

  get root(): Scope {
    return this.parent ? this.parent.root : this;
  }

  /** A root's: the end that it asks for, to be told. */
  get askedEnd(): SessionEnd {
    return (this.ownEnd ??= new SessionEnd());
  }

  private changes(): ChangeSet {
    // A nested scope that still runs keeps the changes of the attributes that it has locked.
    return this.root.ownCopies?.changes((name) => this.mayWrite(name)) ?? noChanges;
  }

  private copy(name: string): WorkingCopy {
    return (this.root.ownCopies ??= new WorkingCopies()).of(name, () => {
      assertAttributeName(name); // a lock on the whole session names no attribute
      this.see(name);
      return new WorkingCopy(name, this.held.bytes(name), this.settings.classInstances);
    });
  }

  private see(name: string): void {
    this.root.trace?.reads(name, this.held.bytes(name));
    this.saw(this.held.seqOf(name));
  }

  private saw(seq: number): void {
    if (seq > this.seen) this.seen = seq;
  }

  private check(name: string, mode: 'read' | 'write'): void {
    this.checkRunning();
    if (mode === 'write') this.checkUnsealed();
    const held = this.held.locks.holds(this, name);
    if (held === 'write' || held === mode) return;
    // A nested scope may use a handle of a scope around it. Then its own locks count, too.
    const inner = currentScope.getStore();
    if (inner && inner !== this && inner.isNestedIn(this)) return inner.check(name, mode);
    assertAttributeName(name);
    throw attributeNotLocked(this.label, name, held, mode);
  }

  /** Whether code that runs in this scope runs inside `scope`. */
  isInside(scope: Scope): boolean {
    return this === scope || (this.outer?.isInside(scope) ?? false);
  }

  private isNestedIn(outer: Scope): boolean {
    return this.parent === outer || (this.parent?.isNestedIn(outer) ?? false);
  }

  private checkWhole(what: string): void {
    this.checkRunning();
    this.checkUnsealed();
    if (this.held.locks.holds(this, wholeSession) === 'write') return;
    throw sessionNotLocked(what);
  }

  private checkUnsealed(): void {
    if (this.root.sealing) throw responseSent(this.label);
  }

  private checkRunning(): void {
    if (!this.ended) {
      this.checkRoot();
      if (this.root.sessionEnd.isDestroyed) throw afterDestroy();
      return;
    }
    throw scopeEnded(this.label);
  }
}
