/** The handle by which a handler uses its session: the public interface of a scope. */

/**
 * The attributes of your sessions and their types, by declaration merging:
 *
 * ```ts
 * declare module 'locked-session' {
 *   interface SessionAttributes { cart: Cart; visits: number }
 * }
 * ```
 *
 * Without a declaration every name is allowed and every value is `unknown`.
 */
export interface SessionAttributes {}

export type AttributeName = keyof SessionAttributes extends never ? string : keyof SessionAttributes;
export type AttributeValue<N> = N extends keyof SessionAttributes ? SessionAttributes[N] : unknown;

/** Deeply readonly. */
export type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;

/**
 * One scope's access to its session. It is valid while the scope runs. Afterwards every call throws
 * `scope-ended`. All calls but `commit` are synchronous, since the state is in this process. A call that
 * needs a lock which the scope does not have throws `not-locked`.
 */
export interface SessionHandle {
  readonly id: string;
  /** The visitor came without a session, and this one was made for the request. */
  readonly isNew: boolean;
  /** Aborted, with the error as its reason, when the lock is lost while the scope runs. */
  readonly signal: AbortSignal;

  /**
   * The attribute's value, frozen. Undefined when there is none. While there is a draft, the draft itself.
   * Needs the attribute's lock, for reading or writing.
   */
  get<N extends AttributeName>(name: N): Frozen<AttributeValue<N>> | undefined;

  /**
   * A copy to change at will. A changed draft is committed when the scope ends, unless the scope fails. Every
   * call and every nested scope gets the same object. It is frozen when the scope has ended, or when the
   * attribute is set or deleted. Objects that you put into it stay yours: they are copied, and not frozen.
   * When there is no such attribute yet, `initial` makes its value, and the draft is a copy of it. Needs the
   * write lock.
   */
  draft<N extends AttributeName>(name: N): AttributeValue<N> | undefined;
  draft<N extends AttributeName>(name: N, initial: () => AttributeValue<N>): AttributeValue<N>;

  /**
   * Replaces the value by a copy of this one. Given the attribute's own draft, that goes on as the draft.
   * Throws `value-not-serializable` for a value that JSON cannot carry. Needs the write lock.
   */
  set<N extends AttributeName>(name: N, value: AttributeValue<N>): void;

  /** Removes the attribute. Needs the write lock. */
  delete(name: AttributeName): void;

  /**
   * Removes every attribute, and keeps the session and its id. Needs the whole session: `@LockedSession()`.
   */
  clear(): void;

  /** The names of the session's attributes, as far as this scope has locked them. */
  names(): string[];

  /**
   * Ends the session for good when the scope ends, for a logout. Nobody can bring it back, and no slower
   * request changes anything in it. Needs the whole session: `@LockedSession()`. Until the scope ends, every
   * other use of the session throws `end-pending`. A second call does nothing.
   */
  destroy(): void;

  /**
   * Gives the session another id when the scope ends, with everything in it, and destroys the old one. A
   * login does so to make an id worthless that somebody has planted. Returns the new id. Needs the whole
   * session: `@LockedSession()`. Throws `fixed-id` in a handler whose session's id comes from `resolve`,
   * since no answer could tell the client another one.
   */
  regenerate(): string;

  /**
   * Makes the changes so far durable before the scope ends. In a nested scope these are the changes of
   * attributes that it has locked itself. Rejects with `lock-lost`, `outcome-unknown` or `too-large`. Rejects
   * with `end-pending` after `regenerate()`, so that nothing becomes durable under the old id.
   */
  commit(): Promise<void>;
}

/** The argument of `onServed`: how one request was served, and which session its visitor has after it. */
export interface Served {
  /**
   * Undefined when the store has none: nothing was set yet, or the session was destroyed. `token` is the
   * fencing token of the grant that the request ran under. After `regenerate` it is that of the new session's
   * first grant. Of two tokens of one session the later grant's is greater, compared by epoch and then by n.
   * Tokens of different sessions cannot be compared.
   */
  readonly session: { readonly id: string; readonly token: readonly [epoch: number, n: number] } | undefined;
  /** This process already held the lock, and did not ask the store for it. */
  readonly fromHeldLock: boolean;
  /**
   * No message was sent for this request: nothing was changed, and the lock was held or the session is new.
   */
  readonly withoutMessage: boolean;
}
