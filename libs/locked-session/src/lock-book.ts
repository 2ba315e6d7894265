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
    this.count(lock, write ? 'writers' : 'readers', 1);
    lock.holds.push(hold);
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
    const last = lock.holds.pop()!;
    if (last !== hold) lock.holds[lock.holds.indexOf(hold)] = last;
    this.count(lock, hold.write ? 'writers' : 'readers', -1);
  }

  enqueue(request: Request): void {
    this.count(request.lock, request.write ? 'waitingWriters' : 'waitingReaders', 1);
    request.owner.waiting = request;
    this.append(request);
  }

  /** The request's `next` stays, for whoever walks along the queue. */
  dequeue(request: Request): void {
    this.unlink(request);
    request.owner.waiting = undefined;
    this.count(request.lock, request.write ? 'waitingWriters' : 'waitingReaders', -1);
  }

  moveToEnd(request: Request): void {
    this.unlink(request);
    this.append(request);
  }

  private raise(hold: Hold, write: boolean): void {
    if (hold.write || !write) return;
    hold.write = true;
    this.count(hold.lock as NamedLock, 'writers', 1);
    this.count(hold.lock as NamedLock, 'readers', -1);
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

  private count(lock: NamedLock, what: LoadCount, by: 1 | -1): void {
    if (lock.unused) this.used.set(lock.name, lock);
    lock[what] += by;
    this.total[what] += by;
    if (lock.unused) this.used.delete(lock.name);
  }
}

type LoadCount = 'readers' | 'writers' | 'waitingReaders' | 'waitingWriters';

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
}

/** The lock of one attribute, or of the whole session. */
export class NamedLock extends Load implements Lock {
  readonly holds: Hold[] = [];
  /** The last pass over the queue that left a writer waiting, and so everybody behind it; and one that left a reader. */
  shut = 0;
  asked = 0;

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
