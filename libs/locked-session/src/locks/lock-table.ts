/**
 * The lock table of one held session: which scope holds which lock, and which requests wait in which order.
 * It only keeps and counts. `AttributeLocks` decides what may be granted. A lock is in the table while a
 * scope holds it or waits for it. The first few locks stay, since most scopes lock the same names again.
 */
import { wholeSession } from './lock-plan.js';
import { left, type Hold, type Lock, type LockOwner, type LockRequest } from './wait-graph.js';

/** So many locks stay in the table though no scope holds them or waits for them. */
const maxUnused = 4;

export class LockTable {
  /** The lock on the whole session. It includes all others. */
  readonly whole: NamedLock;
  /** The counts of all locks together. */
  readonly total = new Counts();
  /**
   * The head of the queue, a linked list: requests leave from its middle, and searches walk back from one.
   */
  first: Request | undefined = undefined;
  private last: Request | undefined = undefined;
  private readonly used = new Map<string, NamedLock>();

  constructor(private readonly manager: Lock['manager']) {
    this.whole = new NamedLock(wholeSession, manager);
  }

  /** With those that are not in use. */
  get locks(): Iterable<NamedLock> {
    return this.used.values();
  }

  /** The lock of that name: the one in the table, or else a new one. */
  lock(name: string): NamedLock {
    return this.used.get(name) ?? (name === wholeSession ? this.whole : new NamedLock(name, this.manager));
  }

  hold(owner: LockOwner, lock: NamedLock, write: boolean): void {
    const own = holdOf(owner, lock);
    if (own !== undefined) return this.raise(own, write);
    const hold = { owner, lock, write };
    this.enter(lock);
    this.countHold(lock, write, 1);
    // Mostly there is one. A literal takes far less room than an empty array that grows.
    if (lock.holds === undefined) lock.holds = [hold];
    else lock.holds.push(hold);
    if (owner.holds === undefined || owner.holds === left) owner.holds = [hold];
    else owner.holds.push(hold);
  }

  /** What one scope holds becomes another's. */
  pass(hold: Hold, heir: LockOwner): void {
    const own = holdOf(heir, hold.lock);
    if (own === undefined) {
      hold.owner = heir;
      (heir.holds ??= []).push(hold);
    } else {
      this.raise(own, hold.write);
      this.drop(hold);
    }
  }

  drop(hold: Hold): void {
    const lock = hold.lock as NamedLock;
    const holds = lock.holds!;
    holds[holds.indexOf(hold)] = holds.at(-1)!;
    holds.pop();
    this.countHold(lock, hold.write, -1);
    this.remove(lock);
  }

  enqueue(request: Request): void {
    const { lock, owner, write } = request;
    this.enter(lock);
    this.countWait(lock, write, 1);
    owner.waiting = request;
    this.append(request);
  }

  /** The request keeps its `next`, so that a walk along the queue may dequeue as it goes. */
  dequeue(request: Request): void {
    this.unlink(request);
    const { lock, write } = request;
    this.countWait(lock, write, -1);
    this.remove(lock);
  }

  moveToEnd(request: Request): void {
    this.unlink(request);
    this.append(request);
  }

  private raise(hold: Hold, write: boolean): void {
    if (hold.write || !write) return;
    hold.write = true;
    this.countHold(hold.lock as NamedLock, true, 1);
    this.countHold(hold.lock as NamedLock, false, -1);
  }

  private countHold({ counts }: NamedLock, write: boolean, by: 1 | -1): void {
    counts.hold(write, by);
    this.total.hold(write, by);
  }

  private countWait({ counts }: NamedLock, write: boolean, by: 1 | -1): void {
    counts.wait(write, by);
    this.total.wait(write, by);
  }

  private enter(lock: NamedLock): void {
    if (lock.isListed) return;
    lock.isListed = true;
    this.used.set(lock.name, lock);
  }

  private remove(lock: NamedLock): void {
    if (this.used.size <= maxUnused || !lock.counts.isZero) return;
    lock.isListed = false;
    this.used.delete(lock.name);
  }

  private append(request: Request): void {
    request.previous = this.last;
    request.next = undefined;
    if (this.last === undefined) this.first = request;
    else this.last.next = request;
    this.last = request;
  }

  private unlink({ previous, next }: Request): void {
    if (previous === undefined) this.first = next;
    else previous.next = next;
    if (next === undefined) this.last = previous;
    else next.previous = previous;
  }
}

/** How many scopes hold locks, and how many wait for them. */
class Counts {
  readers = 0;
  writers = 0;
  waitingReaders = 0;
  waitingWriters = 0;

  get waiting(): number {
    return this.waitingReaders + this.waitingWriters;
  }

  get isZero(): boolean {
    return this.readers + this.writers + this.waiting === 0;
  }

  hold(write: boolean, by: 1 | -1): void {
    if (write) this.writers += by;
    else this.readers += by;
  }

  wait(write: boolean, by: 1 | -1): void {
    if (write) this.waitingWriters += by;
    else this.waitingReaders += by;
  }
}

/** The lock of one attribute, or of the whole session. */
export class NamedLock implements Lock {
  readonly counts = new Counts();
  holds: Hold[] | undefined = undefined;
  /**
   * The last pass over the queue that left a request for this lock waiting, and how many such requests it
   * met.
   */
  deniedPass = 0;
  denied = 0;
  /** The last pass over the queue that left a writer waiting for this lock. */
  closedPass = 0;
  /** It is in the table. */
  isListed = false;

  constructor(
    readonly name: string,
    readonly manager: Lock['manager'],
  ) {}
}

export class Request implements LockRequest {
  previous: Request | undefined = undefined;
  next: Request | undefined = undefined;
  ready = false;

  constructor(
    readonly owner: LockOwner,
    readonly lock: NamedLock,
    readonly write: boolean,
    readonly granted: () => void,
  ) {}

  get name(): string {
    return this.lock.name;
  }
}

/** Whether the scope itself already holds the lock, or one that includes it. */
export function covers({ holds }: LockOwner, lock: Lock, write: boolean): boolean {
  if (holds === undefined) return false;
  for (const hold of holds) {
    if ((hold.write || !write) && (hold.lock === lock || hold.lock.name === wholeSession)) return true;
  }
  return false;
}

/** Whether the locks are the same, or one includes the other. */
export function overlap(a: Lock, b: Lock): boolean {
  return a === b || a.name === wholeSession || b.name === wholeSession;
}

function holdOf({ holds }: LockOwner, lock: Lock): Hold | undefined {
  if (holds !== undefined) for (const hold of holds) if (hold.lock === lock) return hold;
  return undefined;
}
