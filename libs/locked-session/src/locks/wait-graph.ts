/**
 * The graph of waits: which scope runs within which, and which waits for which; and the search for cycles in
 * it. Scopes nest and wait across sessions, so that the graph belongs to no single lock table.
 */

/** A scope, as lock tables see it. */
export interface LockOwner {
  /** How messages name it, such as `scope 3 (POST /cart)`. */
  readonly label: string;
  /** The scope that this one runs within, of whatever session. */
  readonly outer: LockOwner | undefined;
  /** The nearest scope of the same session that this one runs within. This one passes its locks (rule 18). */
  readonly parent: LockOwner | undefined;
  /** The live scopes whose `outer` is this one. */
  readonly children: ReadonlySet<LockOwner> | undefined;
  /**
   * What the scope waits for now, and what it holds. The lock table owns both. They are undefined to begin
   * with.
   */
  waiting: LockRequest | undefined;
  holds: Hold[] | undefined;
  /** The first moment at which another scope waited for it, in milliseconds of the monotonic clock. */
  awaitedSince?: number | undefined;
}

/** A scope's lock on a name. */
export interface Hold {
  readonly lock: Lock;
  owner: LockOwner;
  write: boolean;
}

/** A scope's wait for a lock, linked to its neighbours in the queue. */
export interface LockRequest {
  readonly name: string;
  readonly write: boolean;
  readonly lock: Lock;
  readonly owner: LockOwner;
  readonly granted: () => void;
  /** It is granted, and is not called back yet. */
  ready: boolean;
  previous: LockRequest | undefined;
  next: LockRequest | undefined;
}

/** The lock of one name, as far as searches look at it. */
export interface Lock {
  readonly name: string;
  readonly manager: {
    /** Whether a scope waits for the lock, or for one that overlaps it. */
    isAwaited(lock: Lock): boolean;
    /** Visits the owners that hold what `request` waits for, and those that asked for it before. */
    eachBlocker(request: LockRequest, visit: (owner: LockOwner) => void): void;
  };
}

/**
 * The `holds` of a scope that has left its table. What is locked within it passes to the next live scope
 * around.
 */
export const left: Hold[] = [];

/** The next live scope of the same session around this one. */
export function liveParent(scope: LockOwner): LockOwner | undefined {
  let parent = scope.parent;
  while (parent !== undefined && parent.holds === left) parent = parent.parent;
  return parent;
}

/** Whether `outer` is `scope` itself, or of the same session and around it. */
export function isAround(outer: LockOwner, scope: LockOwner): boolean {
  for (let each: LockOwner | undefined = scope; each !== undefined; each = each.parent) {
    if (each === outer) return true;
  }
  return false;
}

/**
 * The scope whose end frees for `waiter` what `holder` has locked: locks pass upwards until they reach a
 * scope that both run within. For a stranger it is the holder's root.
 */
function freedBy(holder: LockOwner, waiter: LockOwner): LockOwner {
  let scope = holder;
  for (let up = liveParent(holder); up !== undefined && !isAround(up, waiter); up = liveParent(up))
    scope = up;
  return scope;
}

/** Whether `scope`, or a live scope within it, passes the test. */
export function someWithin(scope: LockOwner, test: (scope: LockOwner) => boolean): boolean {
  if (test(scope)) return true;
  if (scope.children === undefined) return false;
  for (const child of scope.children) if (someWithin(child, test)) return true;
  return false;
}

/**
 * Whether a scope may wait for the end of one around `scope`. If none does, no wait of `scope` closes a
 * cycle.
 */
export function mayBeAwaited(scope: LockOwner): boolean {
  for (let each: LockOwner | undefined = scope; each !== undefined; each = each.outer) {
    if (someWithin(each, keepsWaiting)) return true;
  }
  return false;
}

function keepsWaiting({ waiting, holds }: LockOwner): boolean {
  // Other requests may stand in the queue behind the one of this scope.
  if (waiting !== undefined) return true;
  return holds !== undefined && holds.some(({ lock }) => lock.manager.isAwaited(lock));
}

/**
 * Follows the waits of this process in search of those that lead back to `target`: to a scope that cannot end
 * before `target` has what it asks for. A scope ends only after it has what it waits for, and after its live
 * children.
 */
export class CycleSearch {
  /**
   * From where each scope was reached. Scopes that a failed search has reached stay: no way leads back from
   * them.
   */
  private readonly from = new Map<LockOwner, LockOwner | undefined>();

  constructor(private readonly target: LockOwner) {}

  /** The way from `blocker` back to a scope around the target. Undefined when there is none. */
  wayBack(blocker: LockOwner): LockOwner[] | undefined {
    const reached: LockOwner[] = [];
    this.reach(blocker, this.target, undefined, reached);
    for (const scope of reached) {
      if (isAround(scope, this.target)) return this.wayTo(scope);
      if (scope.children !== undefined) for (const child of scope.children) this.add(child, scope, reached);
      const request = scope.waiting;
      if (request === undefined) continue;
      request.lock.manager.eachBlocker(request, (owner) => this.reach(owner, scope, scope, reached));
    }
    return undefined;
  }

  /**
   * All scopes from the owner to the one whose end frees its locks must end. They are added one by one, since
   * a scope that has outlived its `outer` is no child of it.
   */
  private reach(
    owner: LockOwner,
    waiter: LockOwner,
    from: LockOwner | undefined,
    reached: LockOwner[],
  ): void {
    const last = freedBy(owner, waiter);
    for (let each = owner; each !== last; each = liveParent(each)!) this.add(each, from, reached);
    this.add(last, from, reached);
  }

  private add(scope: LockOwner, from: LockOwner | undefined, reached: LockOwner[]): void {
    if (this.from.has(scope)) return;
    this.from.set(scope, from);
    reached.push(scope);
  }

  private wayTo(found: LockOwner): LockOwner[] {
    const way: LockOwner[] = [];
    for (let each: LockOwner | undefined = found; each !== undefined; each = this.from.get(each))
      way.push(each);
    // A search that succeeds does not tell whether the other scopes that it has reached lead back.
    this.from.clear();
    return way.reverse();
  }
}

/** The cycle in words: what `owner` would wait for, and the way that leads back to it. */
export function describeCycle({ owner, name }: LockRequest, way: readonly LockOwner[]): string {
  const steps = way.map((scope, i) => {
    const before = way[i - 1];
    if (before === undefined) return ` behind ${scope.label}`;
    if (scope.outer === before) return `, in which ${scope.label} runs`;
    return `, which waits for ${quoted(before.waiting?.name)} behind ${scope.label}`;
  });
  if (steps.length > 8) steps.splice(4, steps.length - 7, `, and so on through ${steps.length - 7} scopes`);
  const around = way.at(-1) === owner ? '' : `, in which ${owner.label} runs`;
  return `${owner.label} would wait for ${quoted(name)}${steps.join('')}${around}`;
}

/**
 * Notes when a scope first waited for each blocker of the request. A wait that times out tells how long that
 * was.
 */
export function noteBlockers(request: LockRequest, mono: number): void {
  request.lock.manager.eachBlocker(request, (owner) => (owner.awaitedSince ??= mono));
}

/**
 * The blockers of the request, and how long they have been it at least, for messages: `C.checkout, for 14 s,
 * and 2 more`.
 */
export function describeBlockers(request: LockRequest, mono: number): string {
  const blockers = new Set<LockOwner>();
  request.lock.manager.eachBlocker(request, (owner) => blockers.add(owner));
  const [first] = blockers;
  if (!first) return 'nobody any more';
  const seconds = Math.round((mono - (first.awaitedSince ?? mono)) / 1_000);
  const more = blockers.size > 1 ? `, and ${blockers.size - 1} more` : '';
  return `${first.label}, for ${seconds} s at least${more}`;
}

/** A lock's name for messages. */
export function quoted(name: string | undefined): string {
  return name === '*' ? 'the whole session' : `'${name}'`;
}
