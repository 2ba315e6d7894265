/** For specs of the attribute locks: a scope that takes locks, and notes when it is called back. */
import type { AttributeLocks } from '../locks/attribute-locks.js';
import type { LockMode } from '../locks/lock-plan.js';
import type { Hold, LockOwner, LockRequest } from '../locks/wait-graph.js';

export class TestScope implements LockOwner {
  /** Undefined until the first child, as in a scope of the library. */
  children: Set<LockOwner> | undefined;
  readonly parent: TestScope | undefined;
  waiting: LockRequest | undefined;
  holds: Hold[] | undefined;

  /** `granted` gets the labels of those that had to wait and then got their lock, in order. */
  constructor(
    readonly locks: AttributeLocks,
    readonly label: string,
    readonly outer: TestScope | undefined,
    private readonly granted: string[],
  ) {
    let parent = outer;
    while (parent !== undefined && parent.locks !== locks) parent = parent.outer;
    this.parent = parent;
    if (outer !== undefined) (outer.children ??= new Set()).add(this);
  }

  within(label: string, locks = this.locks): TestScope {
    return new TestScope(locks, label, this, this.granted);
  }

  read = (name: string) => this.take(name, 'read');
  write = (name: string) => this.take(name, 'write');

  leave(): void {
    this.outer?.children?.delete(this);
    this.locks.leave(this);
  }

  private take(name: string, mode: LockMode): 'has' | 'waits' {
    const request = this.locks.take(this, name, mode, () => this.granted.push(this.label));
    return request === undefined ? 'has' : 'waits';
  }
}
