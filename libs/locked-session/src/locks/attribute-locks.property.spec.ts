/**
 * What holds for any run of the attribute locks: random families of scopes in two sessions take, withdraw and
 * leave at random, beside a naive reading of the rules that asks every question of everybody.
 */
import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { AttributeLocks } from './attribute-locks.js';
import { LockedSessionError } from '../errors.js';
import type { LockMode } from './lock-plan.js';
import { isAround, type Hold, type LockOwner, type LockRequest } from './wait-graph.js';

// Properties take as long as the machine is busy.
vi.setConfig({ testTimeout: 60_000 });

class RandomScope implements LockOwner {
  readonly children = new Set<RandomScope>();
  readonly parent: RandomScope | undefined;
  readonly label: string;
  waiting: LockRequest | undefined;
  holds: Hold[] | undefined;
  /** What it took, and what scopes within it have left to it. */
  readonly has: Wish[] = [];

  constructor(
    readonly manager: AttributeLocks,
    readonly outer: RandomScope | undefined,
    n: number,
  ) {
    this.label = `scope ${n}`;
    let parent = outer;
    while (parent !== undefined && parent.manager !== manager) parent = parent.outer;
    this.parent = parent;
    outer?.children.add(this);
  }
}

interface Wish {
  readonly name: string;
  readonly write: boolean;
}

/** The scopes that must end before what `holder` has is free for `other`. */
function freeing(holder: LockOwner, other: LockOwner): LockOwner[] {
  if (isAround(holder, other)) return [];
  return holder.parent ? [holder, ...freeing(holder.parent, other)] : [holder];
}

const conflict = (a: Wish, b: Wish) =>
  (a.write || b.write) && (a.name === b.name || a.name === '*' || b.name === '*');

const includes = (a: Wish, b: Wish) => (a.write || !b.write) && (a.name === b.name || a.name === '*');

const action = fc.record({
  what: fc.constantFrom('begin', 'nest', 'nest', 'take', 'take', 'take', 'take', 'leave', 'withdraw'),
  who: fc.nat(11),
  manager: fc.nat(1),
  name: fc.constantFrom('a', 'b', 'c', '*'),
  mode: fc.constantFrom<LockMode>('read', 'write'),
});

it('excludes, keeps the order, refuses exactly the cycles, and forgets nobody', () => {
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
  private readonly managers = [new AttributeLocks(), new AttributeLocks()] as const;
  private readonly live: RandomScope[] = [];
  /** Who waits, in the order of asking. */
  private readonly line: Waiter[] = [];
  private begun = 0;

  constructor(
    private readonly actions: readonly (typeof action extends fc.Arbitrary<infer A> ? A : never)[],
  ) {}

  check(): void {
    for (const { what, who, manager, name, mode } of this.actions) {
      const scope = this.live[who % Math.max(1, this.live.length)];
      if (what === 'begin' || scope === undefined) this.begin(manager, undefined);
      else if (what === 'nest') this.begin(manager, scope);
      else if (what === 'take' && !scope.waiting) this.take(scope, name, mode);
      else if (what === 'withdraw' && scope.waiting) this.withdraw(scope);
      else if (what === 'leave' && this.mayLeave(scope)) this.leave(scope);
      this.checkExclusion();
      this.checkWakeUps();
    }
    for (let scope = this.live.find(this.mayLeave); scope; scope = this.live.find(this.mayLeave)) {
      this.leave(scope);
      this.checkExclusion();
      this.checkWakeUps();
    }
    expect(this.live.map(({ label }) => label)).toEqual([]);
    expect(this.managers.map((manager) => manager.snapshot())).toEqual([[], []]);
  }

  private readonly mayLeave = (scope: RandomScope) => !scope.waiting && scope.children.size === 0;

  private begin(manager: number, outer: RandomScope | undefined): void {
    if (this.live.length < 12) this.live.push(new RandomScope(this.managers[manager]!, outer, ++this.begun));
  }

  private take(scope: RandomScope, name: string, mode: LockMode): void {
    const wish = { name, write: mode === 'write' };
    if (scope.has.some((each) => includes(each, wish))) {
      expect(scope.manager.take(scope, name, mode, () => {})).toBeUndefined();
      return;
    }
    const never = this.stuck((one) => one === scope);
    const overtaken = new Set(
      this.line.filter(
        (each) => isAround(each.scope, scope) || freeing(each.scope, scope).some((one) => never.has(one)),
      ),
    );
    const cycle = this.wouldBeStuck(scope, wish, overtaken);
    const waiter = { scope, ...wish, mayOvertake: overtaken };
    try {
      const request = scope.manager.take(scope, name, mode, () => this.granted(waiter));
      expect(cycle).toBe(false);
      this.line.push(waiter);
      if (request === undefined) this.granted(waiter);
    } catch (error) {
      if (!(error instanceof LockedSessionError)) throw error;
      if (error.code !== 'lock-upgrade') expect([error.code, cycle]).toEqual(['deadlock', true]);
    }
  }

  /** Nobody is overtaken but those who waited for the scope itself, or for one around it. */
  private granted(waiter: Waiter): void {
    const after = this.line.splice(this.line.indexOf(waiter)).slice(1);
    const overtaken = this.line.filter(
      (each) =>
        each.scope.manager === waiter.scope.manager &&
        conflict(each, waiter) &&
        !waiter.mayOvertake.has(each),
    );
    if (overtaken.length > 0) expect(overtaken.map(({ scope }) => scope.label)).toEqual([]);
    this.line.push(...after);
    waiter.scope.has.push({ name: waiter.name, write: waiter.write });
  }

  private withdraw(scope: RandomScope): void {
    this.line.splice(
      this.line.findIndex((each) => each.scope === scope),
      1,
    );
    scope.manager.withdraw(scope.waiting!);
  }

  private leave(scope: RandomScope): void {
    this.live.splice(this.live.indexOf(scope), 1);
    scope.outer?.children.delete(scope);
    scope.parent?.has.push(...scope.has);
    scope.manager.leave(scope);
  }

  /** No two scopes have conflicting locks, unless one is around the other. */
  private checkExclusion(): void {
    for (const a of this.live) {
      for (const b of this.live) {
        if (a.manager !== b.manager || isAround(a, b) || isAround(b, a)) continue;
        const shared = a.has.find((x) => b.has.some((y) => conflict(x, y)));
        if (shared) expect.fail(`${a.label} and ${b.label} both have '${shared.name}'`);
      }
    }
  }

  /** Whoever waits is blocked. */
  private checkWakeUps(): void {
    const all = new Set(this.live);
    const free = this.live.find((one) => one.waiting && !this.isBlocked(one.waiting, one, all));
    if (free) expect.fail(`${free.label} waits for nobody`);
  }

  /**
   * Whether somebody could never end if `scope` waited for the holders of its wish and the others in the
   * line, and those behind it for it.
   */
  private wouldBeStuck(scope: RandomScope, wish: Wish, overtaken: ReadonlySet<Waiter>): boolean {
    const met = this.line.filter((each) => each.scope.manager === scope.manager && conflict(each, wish));
    const before = met.filter((each) => !overtaken.has(each));
    const behind = new Set(met.filter((each) => overtaken.has(each)).map((each) => each.scope));
    const stuck = this.stuck((one, some) => {
      if (behind.has(one)) return freeing(scope, one).some((each) => some.has(each));
      if (one !== scope) return false;
      return (
        this.isHeld(wish, one, some) ||
        before.some((waiter) => freeing(waiter.scope, one).some((each) => some.has(each)))
      );
    });
    return stuck.size > 0;
  }

  /**
   * Who could not end even if everybody ended who can. Of `besides`, these wait for some of those that are
   * stuck.
   */
  private stuck(
    besides: (one: RandomScope, some: ReadonlySet<LockOwner>) => boolean,
  ): ReadonlySet<LockOwner> {
    const stuck = new Set<LockOwner>(this.live);
    const mustStay = (one: RandomScope) =>
      besides(one, stuck) ||
      [...one.children].some((child) => stuck.has(child)) ||
      (one.waiting && this.isBlocked(one.waiting, one, stuck));
    for (let before = -1; before !== stuck.size;) {
      before = stuck.size;
      for (const one of this.live) if (stuck.has(one) && !mustStay(one)) stuck.delete(one);
    }
    return stuck;
  }

  /** Whether scopes among `some` hold what conflicts, or stand before the request and ask for it. */
  private isBlocked(request: LockRequest, waiter: RandomScope, some: ReadonlySet<LockOwner>): boolean {
    const wish = wishOf(request);
    for (let each = request.previous; each; each = each.previous) {
      if (conflict(wishOf(each), wish) && freeing(each.owner, waiter).some((one) => some.has(one)))
        return true;
    }
    return this.isHeld(wish, waiter, some);
  }

  private isHeld(wish: Wish, waiter: RandomScope, some: ReadonlySet<LockOwner>): boolean {
    return this.live.some(
      (other) =>
        other.manager === waiter.manager &&
        other.has.some((each) => conflict(each, wish)) &&
        freeing(other, waiter).some((one) => some.has(one)),
    );
  }
}

function wishOf({ name, write }: LockRequest): Wish {
  return { name, write };
}
