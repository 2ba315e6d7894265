/**
 * The attribute locks of one held session: which scopes of this process have which attributes, and who waits for them.
 * Readers share, writers exclude, first come, first served; nested scopes pass the locks of those around them and exclude
 * their siblings (rule 18: Moss's nested transactions). No clock and no promise: who had to wait is called back.
 *
 * One queue serves all names. A request waits for the holders of what it asks for and for the conflicting requests before
 * it. Requests that wait, however indirectly, for a scope around its own it overtakes, since both would wait for ever. A
 * holder cannot be overtaken: a request that would wait for itself through one is refused. A lock on the whole session
 * meets the holds and requests of every name, so that a lock on an attribute needs no intent besides; counts keep the
 * usual questions cheap.
 */
import { LockedSessionError } from './errors.js';
import { covers, LockBook, meet, Request, type NamedLock } from './lock-book.js';
import type { LockMode } from './lock-plan.js';
import {
  describeCircle,
  isAround,
  left,
  liveParent,
  mayBeAwaited,
  quoted,
  someWithin,
  WaitSearch,
  type Lock,
  type LockOwner,
  type LockRequest,
} from './lock-waits.js';

export interface LockSnapshot {
  readonly name: string;
  readonly holders: readonly { readonly label: string; readonly mode: LockMode }[];
  readonly waiting: number;
}

export class AttributeLocks {
  private readonly book = new LockBook(this);
  /** Granted, and still to be called back. */
  private readonly ready: Request[] = [];
  private calling = false;
  private passes = 0;

  /**
   * Takes a lock: at once, and returns undefined; or else `granted`, which must not throw, is called when the scope has it.
   * A scope waits for one lock at a time: it takes several one after the other, as their plan says. Throws `lock-upgrade`
   * and `lock-circle`.
   */
  take(owner: LockOwner, name: string, mode: LockMode, granted: () => void): LockRequest | undefined {
    const { book } = this;
    const lock = book.lock(name);
    const write = mode === 'write';
    if (covers(owner, lock, write)) return undefined;
    if (write && book.total.readers + book.total.waitingReaders > 0) this.refuseUpgrade(owner, lock);
    const held = this.isHeld(owner, lock, write);
    const asked = this.isAsked(lock, write) && (held || !this.isPassed(owner, lock, write));
    if (held || asked) {
      const request = new Request(owner, lock, write, granted);
      if (this.mustWait(request)) return request;
    }
    book.hold(owner, lock, write);
    return undefined;
  }

  /** Ends a wait: `granted` is not called any more. What the scope has, it keeps until it leaves. */
  withdraw(request: LockRequest): void {
    const { owner } = request;
    if (owner.waiting !== request) return;
    owner.waiting = undefined;
    if (request.ready) return;
    this.book.dequeue(request as Request);
    this.serve();
  }

  /**
   * The scope waits no longer, and its locks pass to the next live scope around it, which keeps them from strangers until
   * it leaves too (rule 18); those of a root are free. Live scopes within a root that leaves are roots, with what they have.
   */
  leave(owner: LockOwner): void {
    if (owner.waiting !== undefined) this.withdraw(owner.waiting);
    const { holds } = owner;
    owner.holds = left;
    if (holds === undefined) return;
    const heir = liveParent(owner);
    for (const hold of holds) {
      if (heir === undefined) this.book.drop(hold);
      else this.book.pass(hold, heir);
    }
    if (this.book.first !== undefined) this.serve();
  }

  /** How the scope itself has locked `name`: by that name, or with the whole session. */
  holds({ holds = left }: LockOwner, name: string): LockMode | undefined {
    let mode: LockMode | undefined;
    for (const { lock, write } of holds) {
      if (lock.name !== name && lock !== this.book.whole) continue;
      if (write) return 'write';
      mode = 'read';
    }
    return mode;
  }

  /** For operators: who has what, and how many wait for it. */
  snapshot(): LockSnapshot[] {
    return Array.from(this.book.locks, ({ name, holds, waiting }) => ({
      name,
      holders: (holds ?? left).map(({ owner, write }) => ({
        label: owner.label,
        mode: write ? 'write' : 'read',
      })),
      waiting,
    }));
  }

  // For searches. ------------------------------------------------------------------------------------------------

  /** Whether anybody waits for the lock, or for one that it meets. */
  isAwaited(lock: Lock): boolean {
    return this.isAsked(lock as NamedLock, true);
  }

  /** Visits those that hold what `request` waits for, and those that asked for it before. */
  eachBlocker(request: LockRequest, visit: (owner: LockOwner) => void): void {
    if (request.ready) return;
    const { lock, write, owner, previous } = request;
    const { locks, whole } = this.book;
    for (const met of lock === whole ? locks : [lock as NamedLock, whole]) {
      for (const hold of met.holds ?? left) {
        if ((write || hold.write) && !isAround(hold.owner, owner)) visit(hold.owner);
      }
    }
    for (let each = previous; each !== undefined; each = each.previous) {
      if (!(write || each.write) || !meet(lock, each.lock) || isAround(each.owner, owner)) continue;
      visit(each.owner);
      // Whatever stands before such a one blocks it as well, and is found from there.
      if (each.write && (each.lock === lock || each.lock === whole)) return;
    }
  }

  // May it be granted? -------------------------------------------------------------------------------------------

  /** Whether others hold what conflicts: all conflicting holds are counted, less the scope's own and those around it. */
  private isHeld(owner: LockOwner, lock: NamedLock, write: boolean): boolean {
    const { total, whole } = this.book;
    let count = lock === whole ? total.writers : lock.writers + whole.writers;
    if (write) count += lock === whole ? total.readers : lock.readers + whole.readers;
    if (count === 0) return false;
    for (let each: LockOwner | undefined = owner; each !== undefined; each = each.parent) {
      for (const hold of each.holds ?? left) if ((write || hold.write) && meet(lock, hold.lock)) count--;
    }
    return count > 0;
  }

  /** Whether requests that conflict wait. */
  private isAsked(lock: NamedLock, write: boolean): boolean {
    const { total, whole } = this.book;
    if (total.waiting === 0) return false;
    if (lock === whole) return (write ? total.waiting : total.waitingWriters) > 0;
    return (write ? lock.waiting + whole.waiting : lock.waitingWriters + whole.waitingWriters) > 0;
  }

  /** Whether a scope around has the lock and nobody within that one waits: then all that wait, wait for that one. */
  private isPassed(owner: LockOwner, lock: NamedLock, write: boolean): boolean {
    for (let each = owner.parent; each !== undefined; each = each.parent) {
      if (covers(each, lock, write)) return !someWithin(each, ({ waiting }) => waiting?.lock.table === this);
    }
    return false;
  }

  /**
   * Puts the request into the queue; returns false, and does not, if only such are in its way as it overtakes. Throws if it,
   * or somebody whom it overtakes, would wait in a circle.
   */
  private mustWait(request: Request): boolean {
    const { book } = this;
    const { owner } = request;
    if (!mayBeAwaited(owner)) {
      book.enqueue(request);
      return true;
    }
    const search = new WaitSearch(owner);
    // Not being in the queue yet, it is blocked by holders only.
    this.eachBlocker(request, (holder) => {
      const way = search.wayBack(holder);
      if (way !== undefined) throw circleError(describeCircle(request, way));
    });
    const overtaken: Request[] = [];
    for (let each = book.first; each !== undefined; each = each.next) {
      if (search.wayBack(each.owner) !== undefined) overtaken.push(each);
    }
    book.enqueue(request);
    // Whoever conflicts with one of them and stands behind it leads back too: no two that conflict change places.
    for (const each of overtaken) book.moveToEnd(each);
    const circle = this.circleBehind(request, overtaken);
    let mustWait = false;
    if (circle === undefined) this.eachBlocker(request, () => (mustWait = true));
    if (mustWait) return true;
    book.dequeue(request);
    owner.waiting = undefined;
    if (circle !== undefined) throw circleError(circle);
    return false;
  }

  /** The circle that would close when one of `overtaken` waits for `request` and what that waits for. */
  private circleBehind(request: Request, overtaken: readonly Request[]): string | undefined {
    for (const each of overtaken) {
      if (!(each.write || request.write) || !meet(each.lock, request.lock)) continue;
      const way = new WaitSearch(each.owner).wayBack(request.owner);
      if (way === undefined) continue;
      return `${request.owner.label} asks for ${quoted(request.name)}, but then ${describeCircle(each, way)}`;
    }
    return undefined;
  }

  /** Two families that read could never both go on to write. What a family writes, or asked to, each of it may write. */
  private refuseUpgrade(owner: LockOwner, lock: NamedLock): void {
    let root = owner;
    for (let up = liveParent(owner); up !== undefined; up = liveParent(up)) root = up;
    const has = (test: (lock: Lock, write: boolean) => boolean): boolean =>
      someWithin(root, ({ holds, waiting }) => {
        if (waiting?.lock.table === this && test(waiting.lock, waiting.write)) return true;
        return (
          holds !== undefined && holds.some((hold) => hold.lock.table === this && test(hold.lock, hold.write))
        );
      });
    const writes = (wanted: Lock) =>
      has((each, write) => write && (each === wanted || each === this.book.whole));
    if (!has((each, write) => !write && meet(each, lock) && !writes(each)) || writes(lock)) return;
    throw new LockedSessionError(
      'lock-upgrade',
      `${owner.label} asks to write ${quoted(lock.name)}, but it is locked for reading, all or in part, in ${root.label}: ` +
        `name it under 'write' there, from the start`,
    );
  }

  // Granting. ----------------------------------------------------------------------------------------------------

  /** Grants, in order, what can be granted now, and calls back. */
  private serve(): void {
    const { book } = this;
    const pass = ++this.passes;
    let open = book.total.waiting;
    let writes = false;
    let readsWhole = false;
    for (let request = book.first; request !== undefined && open > 0; request = request.next) {
      const { owner, lock, write } = request;
      if (lock.shut === pass) continue;
      const whole = lock === book.whole;
      // A request that waits keeps back those of its own name by what it waits for: these are the ones besides.
      const behind = whole ? writes : write && readsWhole;
      if (!behind && !this.isHeld(owner, lock, write)) {
        open--;
        book.dequeue(request);
        book.hold(owner, lock, write);
        request.ready = true;
        this.ready.push(request);
        continue;
      }
      if (whole && write) break;
      if (lock.asked !== pass) {
        lock.asked = pass;
        lock.counted = 0;
      }
      // Nobody gets a lock behind a writer that waits for it: those requests need no look.
      open -= write ? lock.waiting - lock.counted : 1;
      lock.counted++;
      if (write) lock.shut = pass;
      writes ||= write;
      readsWhole ||= whole;
    }
    if (this.ready.length > 0 && !this.calling) this.callBack();
  }

  /** In the order of the grants, also if a callback brings about more of them. */
  private callBack(): void {
    this.calling = true;
    for (const request of this.ready) {
      if (request.owner.waiting !== request) continue;
      request.owner.waiting = undefined;
      request.granted();
    }
    this.ready.length = 0;
    this.calling = false;
  }
}

function circleError(circle: string): LockedSessionError {
  const remedy =
    'Name together, in the outermost scope, what is needed together: it is then taken in one order';
  return new LockedSessionError('lock-circle', `${circle}. ${remedy}`);
}
