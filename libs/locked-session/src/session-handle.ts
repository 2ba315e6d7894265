/** What a handler gets of its session: the public face of a scope. */

/**
 * The attributes of your sessions and their types, by declaration merging:
 *
 * ```ts
 * declare module 'locked-session' {
 *   interface SessionAttributes { cart: Cart; visits: number }
 * }
 * ```
 *
 * With nothing declared every name is allowed and every value is `unknown`.
 */
export interface SessionAttributes {}

export type AttributeName = keyof SessionAttributes extends never ? string : keyof SessionAttributes;
export type AttributeValue<N> = N extends keyof SessionAttributes ? SessionAttributes[N] : unknown;

/** Deeply readonly. */
export type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;

/**
 * One scope's access to the session. Valid while the scope runs; afterwards every call throws `scope-ended`. All calls but `commit` are
 * synchronous: the state is here.
 */
export interface SessionHandle {
  readonly id: string;
  /** The visitor came without a session: this one was made for the request. */
  readonly isNew: boolean;
  /** Aborted, with the error as its reason, when the lock is lost while the scope runs. */
  readonly signal: AbortSignal;

  /** The attribute's value, not to be changed; undefined when there is none. Needs its lock, for reading or writing. */
  get<N extends AttributeName>(name: N): Frozen<AttributeValue<N>> | undefined;

  /**
   * A copy to change at will: what differs at the end of the scope is committed, unless the scope fails. The same object for every call
   * and every nested scope; frozen when the scope has ended. When there is no such attribute yet, `initial` makes its value. Needs the write lock.
   */
  draft<N extends AttributeName>(name: N): AttributeValue<N> | undefined;
  draft<N extends AttributeName>(name: N, initial: () => AttributeValue<N>): AttributeValue<N>;

  /** Replaces the value, which must be what JSON can carry. Needs the write lock. */
  set<N extends AttributeName>(name: N, value: AttributeValue<N>): void;

  /** Removes the attribute. Needs the write lock. */
  delete(name: AttributeName): void;

  /** The names of the attributes that there are, of those that this scope has locked. */
  names(): string[];

  /**
   * Ends the session for good when the scope ends: at logout. Nobody can bring it back, and no slower request changes anything in it. Needs the whole
   * session: `@LockedSession()`.
   */
  destroy(): void;

  /**
   * Gives the session another id when the scope ends, with everything in it, and destroys the old one: at login, so that an id that somebody
   * planted is worth nothing. Returns the new id. Needs the whole session: `@LockedSession()`.
   */
  regenerate(): string;

  /** Makes the changes so far durable now, and goes on. Rejects with `lock-lost` or `outcome-unknown`. */
  commit(): Promise<void>;
}

/** What serving one request took, and which session its visitor has after it: what `onServed` is told. */
export interface Served {
  /**
   * Undefined when the store has none: nothing was set yet, or the session was destroyed. `token` is the fencing token of the grant that the
   * request ran under (after `regenerate`, of the new session's first one): of two tokens of one session the later grant's is greater,
   * compared by epoch and then by n. Tokens of different sessions say nothing about each other.
   */
  readonly session: { readonly id: string; readonly token: readonly [epoch: number, n: number] } | undefined;
  /** The lock was held by this process already: the store was not asked for it. */
  readonly fromHeldLock: boolean;
  /** Not one message was sent for this request: the lock was held, or the session is new, and nothing was changed. */
  readonly withoutMessage: boolean;
}
