/**
 * The attribute locks of one held session: which scopes of this process have which attributes, and which
 * scopes wait. Readers share, writers exclude, first come, first served. A nested scope passes the locks of
 * the scopes around it, and excludes its siblings (rule 18: Moss's nested transactions). There is no clock
 * and no promise here: a scope that had to wait is called back.
 *
 * One queue serves all names. A request waits for the holders of its lock, and for the conflicting requests
 * before it. It overtakes the requests that wait, however indirectly, for a scope around its own, since both
 * would wait for ever. No request overtakes a holder: a request that would wait for itself through a holder
 * is refused. A lock on the whole session overlaps the locks of every name, so that a lock on an attribute
 * needs no intention lock. Counts keep the usual questions cheap.
 */
import { LockedSessionError } from '../errors.js';
import { covers, LockTable, overlap, Request, type NamedLock } from './lock-table.js';
import type { LockMode } from './lock-plan.js';
import {
  describeCycle,
  isAround,
  left,
  liveParent,
  mayBeAwaited,
  quoted,
  someWithin,
  CycleSearch,
  type Lock,
  type LockOwner,
  type LockRequest,
} from './wait-graph.js';

export interface LockSnapshot {
  readonly name: string;
  readonly holders: readonly { readonly label: string; readonly mode: LockMode }[];
  readonly waiting: number;
}

export class AttributeLocks {
  private readonly table = new LockTable(this);
  /** Requests that are granted and not called back yet. */
  private ready: Request[] = [];
  private calling = false;
  private passes = 0;

  /**
   * Takes a lock. Returns undefined when the scope has it at once. Else `granted` is called when the scope
   * has it; it must not throw. A scope waits for one lock at a time: it takes several one after the other, as
   * their plan says. Throws `lock-upgrade` and `deadlock`.
   */
  take(owner: LockOwner, name: string, mode: LockMode, granted: () => void): LockRequest | undefined {
    if (this.takeAtOnce(owner, name, mode)) return undefined;
    const lock = this.table.lock(name);
    const write = mode === 'write';
    const request = new Request(owner, lock, write, granted);
    if (this.mustWait(request)) return request;
    this.table.hold(owner, lock, write);
    return undefined;
  }

  /**
   * Takes a lock that nobody else is in the way of. Returns false, and changes nothing, when `take` must look
   * closer. Throws `lock-upgrade`.
   */
  takeAtOnce(owner: LockOwner, name: string, mode: LockMode): boolean {
    const { table } = this;
    const lock = table.lock(name);
    const write = mode === 'write';
    if (covers(owner, lock, write)) return true;
    if (write && table.total.readers + table.total.waitingReaders > 0) this.refuseUpgrade(owner, lock);
    const isHeld = this.isHeld(owner, lock, write);
    if (isHeld || (this.isAwaitedBy(lock, write) && !this.isPassed(owner, lock, write))) return false;
    table.hold(owner, lock, write);
    return true;
  }

  /** Ends a wait. `granted` is not called any more. The scope keeps its locks until it leaves. */
  withdraw(request: LockRequest): void {
    const { owner } = request;
    if (owner.waiting !== request) return;
    owner.waiting = undefined;
    if (request.ready) return;
    this.table.dequeue(request as Request);
    this.serve();
  }

  /**
   * The scope waits no longer. Its locks pass to the next live scope around it, which keeps them from other
   * families until it leaves too (rule 18). The locks of a root are free. Live scopes within a root that
   * leaves become roots, and keep their locks.
   */
  leave(owner: LockOwner): void {
    if (owner.waiting !== undefined) this.withdraw(owner.waiting);
    const { holds } = owner;
    owner.holds = left;
    if (holds === undefined) return;
    const heir = liveParent(owner);
    for (const hold of holds) {
      if (heir === undefined) this.table.drop(hold);
      else this.table.pass(hold, heir);
    }
    if (this.table.first !== undefined) this.serve();
  }

  /** How the scope itself has locked `name`, by that name or with the whole session. */
  holds({ holds = left }: LockOwner, name: string): LockMode | undefined {
    let mode: LockMode | undefined;
    for (const { lock, write } of holds) {
      if (lock.name !== name && lock !== this.table.whole) continue;
      if (write) return 'write';
      mode = 'read';
    }
    return mode;
  }

  /** For operators: each lock with its holders, and how many scopes wait for it. */
  snapshot(): LockSnapshot[] {
    const inUse = [...this.table.locks].filter(({ counts }) => !counts.isZero);
    return inUse.map(({ name, holds, counts: { waiting } }) => ({
      name,
      holders: (holds ?? left).map(({ owner, write }) => ({
        label: owner.label,
        mode: write ? 'write' : 'read',
      })),
      waiting,
    }));
  }

  // For searches. -------------------------------------------------------------------------------------------

  /** Whether a scope waits for the lock, or for one that overlaps it. */
  isAwaited(lock: Lock): boolean {
    return this.isAwaitedBy(lock as NamedLock, true);
  }

  /** Visits the owners that hold what `request` waits for, and those that asked for it before. */
  eachBlocker(request: LockRequest, visit: (owner: LockOwner) => void): void {
    if (request.ready) return;
    this.eachHolder(request, visit);
    this.eachEarlierRequest(request, visit);
  }

  private eachHolder({ lock, write, owner }: LockRequest, visit: (owner: LockOwner) => void): void {
    const { locks, whole } = this.table;
    for (const overlapping of lock === whole ? locks : [lock as NamedLock, whole]) {
      for (const hold of overlapping.holds ?? left) {
        if ((write || hold.write) && !isAround(hold.owner, owner)) visit(hold.owner);
      }
    }
  }

  private eachEarlierRequest(request: LockRequest, visit: (owner: LockOwner) => void): void {
    const { lock, write, previous } = request;
    for (let each = previous; each !== undefined; each = each.previous) {
      // Nobody around the scope is met here: a request overtakes what those ask for.
      if (!(write || each.write) || !overlap(lock, each.lock)) continue;
      visit(each.owner);
      // What stands before this writer blocks it as well. A search finds it from there.
      if (each.write && (each.lock === lock || each.lock === this.table.whole)) return;
    }
  }

  private isBlocked(request: Request): boolean {
    let count = 0;
    this.eachBlocker(request, () => count++);
    return count > 0;
  }

  // May it be granted? --------------------------------------------------------------------------------------

  /**
   * Whether another family holds a conflicting lock: all conflicting holds, less those of the scope and
   * around it.
   */
  private isHeld(owner: LockOwner, lock: NamedLock, write: boolean): boolean {
    const { total, whole } = this.table;
    const own = lock.counts;
    const all = whole.counts;
    let count = lock === whole ? total.writers : own.writers + all.writers;
    if (write) count += lock === whole ? total.readers : own.readers + all.readers;
    if (count === 0) return false;
    for (let each: LockOwner | undefined = owner; each !== undefined; each = each.parent) {
      for (const hold of each.holds ?? left) if ((write || hold.write) && overlap(lock, hold.lock)) count--;
    }
    return count > 0;
  }

  /** Whether conflicting requests wait. */
  private isAwaitedBy(lock: NamedLock, write: boolean): boolean {
    const { total, whole } = this.table;
    if (total.waiting === 0) return false;
    if (lock === whole) return (write ? total.waiting : total.waitingWriters) > 0;
    const own = lock.counts;
    const all = whole.counts;
    return (write ? own.waiting + all.waiting : own.waitingWriters + all.waitingWriters) > 0;
  }

  /**
   * Whether a scope around has the lock, and no scope within that one waits: then all that wait, wait for
   * that one.
   */
  private isPassed(owner: LockOwner, lock: NamedLock, write: boolean): boolean {
    for (let each = owner.parent; each !== undefined; each = each.parent) {
      if (covers(each, lock, write))
        return !someWithin(each, ({ waiting }) => waiting?.lock.manager === this);
    }
    return false;
  }

  /**
   * Puts the request into the queue and returns true. Returns false, and does not, when it overtakes
   * everything that is in its way. Throws `deadlock` when the request, or one that it overtakes, would wait
   * in a cycle.
   */
  private mustWait(request: Request): boolean {
    const { table } = this;
    const { owner } = request;
    if (!mayBeAwaited(owner)) {
      table.enqueue(request);
      return true;
    }
    const search = new CycleSearch(owner);
    // The request is not in the queue yet, so that only holders block it.
    this.eachBlocker(request, (holder) => {
      const way = search.wayBack(holder);
      if (way !== undefined) throw cycleError(describeCycle(request, way));
    });
    const overtaken: Request[] = [];
    for (let each = table.first; each !== undefined; each = each.next) {
      if (search.wayBack(each.owner) !== undefined) overtaken.push(each);
    }
    table.enqueue(request);
    // A request that stands behind one of them and conflicts with it leads back too: no two that conflict
    // change places.
    for (const each of overtaken) table.moveToEnd(each);
    const cycle = this.cycleBehind(request, overtaken);
    if (cycle === undefined && this.isBlocked(request)) return true;
    table.dequeue(request);
    owner.waiting = undefined;
    if (cycle !== undefined) throw cycleError(cycle);
    return false;
  }

  /** The cycle that would close when one of `overtaken` waits for `request` and what that waits for. */
  private cycleBehind(request: Request, overtaken: readonly Request[]): string | undefined {
    for (const each of overtaken) {
      if (!(each.write || request.write) || !overlap(each.lock, request.lock)) continue;
      const way = new CycleSearch(each.owner).wayBack(request.owner);
      if (way === undefined) continue;
      return `${request.owner.label} asks for ${quoted(request.name)}, but then ${describeCycle(each, way)}`;
    }
    return undefined;
  }

  /**
   * Refuses to write what the scope's family reads: two families that read could never both go on to write.
   * When a family writes an attribute, or asks to, each scope of it may.
   */
  private refuseUpgrade(owner: LockOwner, lock: NamedLock): void {
    let root = owner;
    for (let up = liveParent(owner); up !== undefined; up = liveParent(up)) root = up;
    const has = (test: (lock: Lock, write: boolean) => boolean): boolean =>
      someWithin(root, ({ holds, waiting }) => {
        if (waiting?.lock.manager === this && test(waiting.lock, waiting.write)) return true;
        return (
          holds !== undefined &&
          holds.some((hold) => hold.lock.manager === this && test(hold.lock, hold.write))
        );
      });
    const writes = (wanted: Lock) =>
      has((each, write) => write && (each === wanted || each === this.table.whole));
    if (!has((each, write) => !write && overlap(each, lock) && !writes(each)) || writes(lock)) return;
    throw new LockedSessionError(
      'lock-upgrade',
      `${owner.label} asks to write ${quoted(lock.name)}, but ${root.label} has locked it for reading, ` +
        'all or in part. ' +
        `Name it under 'write' there, from the start`,
    );
  }

  // Granting. -----------------------------------------------------------------------------------------------

  /** Grants what can be granted now, in order, and calls back. */
  private serve(): void {
    const { table } = this;
    const pass = ++this.passes;
    let candidates = table.total.waiting;
    let deniedWriter = false;
    let deniedWhole = false;
    for (let request = table.first; request !== undefined && candidates > 0; request = request.next) {
      const { owner, lock, write } = request;
      if (lock.closedPass === pass) continue;
      const isWhole = lock === table.whole;
      // What blocks a denied request blocks later ones of its name, too. Here are those of other names.
      const isBehind = isWhole ? deniedWriter : write && deniedWhole;
      if (!isBehind && !this.isHeld(owner, lock, write)) {
        candidates--;
        this.grant(request);
        continue;
      }
      if (isWhole && write) break;
      candidates -= this.deny(request, pass);
      deniedWriter ||= write;
      deniedWhole ||= isWhole;
    }
    this.callBack();
  }

  private grant(request: Request): void {
    this.table.dequeue(request);
    this.table.hold(request.owner, request.lock, request.write);
    request.ready = true;
    this.ready.push(request);
  }

  /** Returns how many requests of the pass are denied with this one. */
  private deny({ lock, write }: Request, pass: number): number {
    if (lock.deniedPass !== pass) {
      lock.deniedPass = pass;
      lock.denied = 0;
    }
    // No request passes a writer that waits for its lock: those behind it need no look.
    const count = write ? lock.counts.waiting - lock.denied : 1;
    lock.denied++;
    if (write) lock.closedPass = pass;
    return count;
  }

  /** In the order of the grants, also when a callback causes more of them. */
  private callBack(): void {
    if (this.calling) return;
    this.calling = true;
    while (this.ready.length > 0) {
      const { ready } = this;
      this.ready = [];
      for (const request of ready) {
        if (request.owner.waiting !== request) continue;
        request.owner.waiting = undefined;
        request.granted();
      }
    }
    this.calling = false;
  }
}

function cycleError(cycle: string): LockedSessionError {
  const remedy =
    'Name together, in the outermost scope, what is needed together: it is then taken in one order';
  return new LockedSessionError('deadlock', `${cycle}. ${remedy}`);
}
