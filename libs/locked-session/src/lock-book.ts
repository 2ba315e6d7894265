/**
 * The book of a lock table: who holds what, and who waits in which order. It only keeps and counts; what may be granted is
 * decided in attribute-locks.ts. A lock is in the book while somebody holds it or waits for it.
 */
import { wholeSession } from './lock-plan.js';
import { left, type Hold, type Lock, type LockOwner, type LockRequest } from './lock-waits.js';

export class LockBook {
  /** The lock that includes all others. */
  readonly whole: NamedLock;
  /** The sum of all loads. */
  readonly total = new Load();
  /** The head of the queue, a linked list: requests leave from its middle, and searches walk back from one. */
  first: Request | undefined = undefined;
  private last: Request | undefined = undefined;
  private readonly used = new Map<string, NamedLock>();

  constructor(private readonly table: Lock['table']) {
    this.whole = new NamedLock(wholeSession, table);
  }

  get locks(): Iterable<NamedLock> {
    return this.used.values();
  }

  /** The lock of that name: out of the book, a new one. */
  lock(name: string): NamedLock {
    return this.used.get(name) ?? (name === wholeSession ? this.whole : new NamedLock(name, this.table));
  }

  hold(owner: LockOwner, lock: NamedLock, write: boolean): void {
    const own = holdOf(owner, lock);
    if (own !== undefined) return this.raise(own, write);
    const hold = { owner, lock, write };
    this.enter(lock);
    lock.countHold(write, 1);
    this.total.countHold(write, 1);
    // Mostly there is one: a literal takes far less room than an empty array that grows.
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
    const last = holds.pop()!;
    if (last !== hold) holds[holds.indexOf(hold)] = last;
    lock.countHold(hold.write, -1);
    this.total.countHold(hold.write, -1);
    this.strike(lock);
  }

  enqueue(request: Request): void {
    const { lock, owner, write } = request;
    this.enter(lock);
    lock.countWait(write, 1);
    this.total.countWait(write, 1);
    owner.waiting = request;
    this.append(request);
  }

  /** The request's `next` stays, for whoever walks along the queue. */
  dequeue(request: Request): void {
    this.unlink(request);
    const { lock, write } = request;
    lock.countWait(write, -1);
    this.total.countWait(write, -1);
    this.strike(lock);
  }

  moveToEnd(request: Request): void {
    this.unlink(request);
    this.append(request);
  }

  private raise(hold: Hold, write: boolean): void {
    if (hold.write || !write) return;
    hold.write = true;
    for (const load of [hold.lock as NamedLock, this.total]) {
      load.countHold(true, 1);
      load.countHold(false, -1);
    }
  }

  private enter(lock: NamedLock): void {
    if (lock.unused) this.used.set(lock.name, lock);
  }

  private strike(lock: NamedLock): void {
    if (lock.unused) this.used.delete(lock.name);
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

class Load {
  readers = 0;
  writers = 0;
  waitingReaders = 0;
  waitingWriters = 0;

  get waiting(): number {
    return this.waitingReaders + this.waitingWriters;
  }

  get unused(): boolean {
    return this.readers + this.writers + this.waiting === 0;
  }

  countHold(write: boolean, by: 1 | -1): void {
    if (write) this.writers += by;
    else this.readers += by;
  }

  countWait(write: boolean, by: 1 | -1): void {
    if (write) this.waitingWriters += by;
    else this.waitingReaders += by;
  }
}

/** The lock of one attribute, or of the whole session. */
export class NamedLock extends Load implements Lock {
  holds: Hold[] | undefined = undefined;
  /** The last passes over the queue that left a request waiting, with how many of them were looked at, and a writer. */
  asked = 0;
  counted = 0;
  shut = 0;

  constructor(
    readonly name: string,
    readonly table: Lock['table'],
  ) {
    super();
  }
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

/** Whether the scope itself holds the lock already, or one that includes it. */
export function covers({ holds }: LockOwner, lock: Lock, write: boolean): boolean {
  if (holds === undefined) return false;
  for (const hold of holds) {
    if ((hold.write || !write) && (hold.lock === lock || hold.lock.name === wholeSession)) return true;
  }
  return false;
}

/** Whether the locks are the same, or one includes the other. */
export function meet(a: Lock, b: Lock): boolean {
  return a === b || a.name === wholeSession || b.name === wholeSession;
}

function holdOf({ holds }: LockOwner, lock: Lock): Hold | undefined {
  if (holds !== undefined) for (const hold of holds) if (hold.lock === lock) return hold;
  return undefined;
}
