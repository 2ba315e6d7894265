/**
 * What holds for any run of the attribute locks: random families of scopes in two sessions take, withdraw and leave at random,
 * beside a naive reading of the rules that asks every question of everybody.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { AttributeLocks, type LockMode, type LockOwner, type LockRequest } from './attribute-locks.js';
import { LockedSessionError } from './errors.js';
import { isAround, type Hold } from './lock-waits.js';

class RandomScope implements LockOwner {
  readonly children = new Set<RandomScope>();
  readonly parent: RandomScope | undefined;
  readonly label: string;
  waiting: LockRequest | undefined;
  holds: Hold[] | undefined;

  constructor(
    readonly table: AttributeLocks,
    readonly outer: RandomScope | undefined,
    n: number,
  ) {
    this.label = `scope ${n}`;
    let parent = outer;
    while (parent !== undefined && parent.table !== table) parent = parent.outer;
    this.parent = parent;
    outer?.children.add(this);
  }

  /** The scopes that must end before what this one has is free for `other`. */
  freeing(other: LockOwner): LockOwner[] {
    const scopes: LockOwner[] = [];
    for (let each: LockOwner | undefined = this; each && !isAround(each, other); each = each.parent)
      scopes.push(each);
    return scopes;
  }
}

interface Wish {
  readonly name: string;
  readonly write: boolean;
}

const conflict = (a: Wish, b: Wish) =>
  (a.write || b.write) && (a.name === b.name || a.name === '*' || b.name === '*');

const includes = (a: Wish, b: Wish) => (a.write || !b.write) && (a.name === b.name || a.name === '*');

const action = fc.record({
  what: fc.constantFrom('begin', 'nest', 'nest', 'take', 'take', 'take', 'take', 'leave', 'withdraw'),
  who: fc.nat(11),
  table: fc.nat(1),
  name: fc.constantFrom('a', 'b', 'c', '*'),
  mode: fc.constantFrom<LockMode>('read', 'write'),
});

it('excludes, keeps the order, refuses exactly the circles, and forgets nobody', { timeout: 60_000 }, () => {
  fc.assert(
    fc.property(fc.array(action, { maxLength: 80, size: 'max' }), (actions) => new Run(actions).check()),
    { numRuns: 1_000 },
  );
});

interface Waiter extends Wish {
  readonly scope: RandomScope;
  /** Those of the line that waited for a scope around this one when it asked. */
  readonly mayOvertake: ReadonlySet<Waiter>;
}

class Run {
  private readonly tables = [new AttributeLocks(), new AttributeLocks()] as const;
  private readonly live: RandomScope[] = [];
  /** Who waits, in the order of asking. */
  private readonly line: Waiter[] = [];
  private begun = 0;

  constructor(
    private readonly actions: readonly (typeof action extends fc.Arbitrary<infer A> ? A : never)[],
  ) {}

  check(): void {
    for (const { what, who, table, name, mode } of this.actions) {
      const scope = this.live[who % Math.max(1, this.live.length)];
      if (what === 'begin' || scope === undefined) this.begin(table, undefined);
      else if (what === 'nest') this.begin(table, scope);
      else if (what === 'take' && !scope.waiting) this.take(scope, name, mode);
      else if (what === 'withdraw' && scope.waiting) this.withdraw(scope);
      else if (what === 'leave' && this.mayLeave(scope)) this.leave(scope);
      this.checkExclusion();
    }
    for (let scope = this.live.find(this.mayLeave); scope; scope = this.live.find(this.mayLeave)) {
      this.leave(scope);
      this.checkExclusion();
    }
    expect(this.live.map(({ label }) => label)).toEqual([]);
    expect(this.tables.map((table) => table.snapshot())).toEqual([[], []]);
  }

  private readonly mayLeave = (scope: RandomScope) => !scope.waiting && scope.children.size === 0;

  private begin(table: number, outer: RandomScope | undefined): void {
    if (this.live.length < 12) this.live.push(new RandomScope(this.tables[table]!, outer, ++this.begun));
  }

  private take(scope: RandomScope, name: string, mode: LockMode): void {
    const wish = { name, write: mode === 'write' };
    if (scope.holds?.some((hold) => includes(wishOf(hold), wish))) {
      expect(scope.table.take(scope, name, mode, () => {})).toBeUndefined();
      return;
    }
    const circle = this.stuck({ scope, wish }).has(scope) || this.wouldAddWaits(scope, wish);
    const stuck = this.stuck({ scope });
    const waits = (each: Waiter) =>
      isAround(each.scope, scope) || each.scope.freeing(scope).some((one) => stuck.has(one));
    const waiter = { scope, ...wish, mayOvertake: new Set(this.line.filter(waits)) };
    try {
      const request = scope.table.take(scope, name, mode, () => this.granted(waiter));
      expect(circle).toBe(false);
      this.line.push(waiter);
      if (request === undefined) this.granted(waiter);
    } catch (error) {
      if (!(error instanceof LockedSessionError)) throw error;
      if (error.code !== 'lock-upgrade') expect([error.code, circle]).toEqual(['lock-circle', true]);
    }
  }

  /** Nobody is overtaken but those who waited for the scope itself, or for one around it. */
  private granted(waiter: Waiter): void {
    const after = this.line.splice(this.line.indexOf(waiter)).slice(1);
    const overtaken = this.line.filter(
      (each) =>
        each.scope.table === waiter.scope.table && conflict(each, waiter) && !waiter.mayOvertake.has(each),
    );
    if (overtaken.length > 0) expect(overtaken.map(({ scope }) => scope.label)).toEqual([]);
    this.line.push(...after);
  }

  private withdraw(scope: RandomScope): void {
    this.line.splice(
      this.line.findIndex((each) => each.scope === scope),
      1,
    );
    scope.table.withdraw(scope.waiting!);
  }

  private leave(scope: RandomScope): void {
    this.live.splice(this.live.indexOf(scope), 1);
    scope.outer?.children.delete(scope);
    scope.table.leave(scope);
  }

  /** No two scopes have conflicting locks, unless one is around the other. */
  private checkExclusion(): void {
    for (const a of this.live) {
      for (const b of this.live) {
        if (a.table !== b.table || isAround(a, b) || isAround(b, a)) continue;
        const shared = a.holds?.find((x) => b.holds?.some((y) => conflict(wishOf(x), wishOf(y))));
        if (shared) expect.fail(`${a.label} and ${b.label} both have '${shared.lock.name}'`);
      }
    }
  }

  /** Whether someone who must be overtaken would then wait for a scope that it does not wait for yet. */
  private wouldAddWaits(scope: RandomScope, wish: Wish): boolean {
    const waitsFor = (each: Waiter, target: RandomScope) => {
      const stuck = this.stuck({ scope: target });
      return each.scope.freeing(scope).some((one) => stuck.has(one));
    };
    return this.line.some((each) => {
      const freed = scope.freeing(each.scope).at(-1) as RandomScope;
      const met = each.scope.table === scope.table && conflict(each, wish);
      return met && waitsFor(each, scope) && !waitsFor(each, freed);
    });
  }

  /**
   * Who could not end even if everybody ended who can: when `scope` never ends, or, if it has a wish, when it waits for the
   * holders of that.
   */
  private stuck({ scope, wish }: { scope: RandomScope; wish?: Wish }): ReadonlySet<LockOwner> {
    const stuck = new Set<LockOwner>(this.live);
    const isStuck = (one: LockOwner) => stuck.has(one);
    const isHeld = (wanted: Wish, waiter: RandomScope) =>
      this.live.some(
        (other) =>
          other.table === waiter.table &&
          other.holds?.some((hold) => conflict(wishOf(hold), wanted)) &&
          other.freeing(waiter).some(isStuck),
      );
    const isBehind = (request: LockRequest, waiter: RandomScope) => {
      for (let each = request.previous; each; each = each.previous) {
        const before = each.owner as RandomScope;
        if (conflict(wishOf(each), wishOf(request)) && before.freeing(waiter).some(isStuck)) return true;
      }
      return false;
    };
    const mustStay = (one: RandomScope) =>
      [...one.children].some(isStuck) ||
      (one === scope && (wish === undefined || isHeld(wish, one))) ||
      (one.waiting && (isHeld(wishOf(one.waiting), one) || isBehind(one.waiting, one)));
    for (let before = -1; before !== stuck.size;) {
      before = stuck.size;
      for (const one of this.live) if (stuck.has(one) && !mustStay(one)) stuck.delete(one);
    }
    return stuck;
  }
}

function wishOf({ lock, write }: Hold | LockRequest): Wish {
  return { name: lock.name, write };
}
