/**
 * The attribute locks by behaviour, scope by scope. What holds for any run is in
 * attribute-locks.property.spec.ts, and what happens only where several rules meet in
 * attribute-locks.edges.spec.ts.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { AttributeLocks } from './attribute-locks.js';
import type { LockMode } from './lock-plan.js';
import { TestScope } from '../testing/test-scope.js';
import { describeBlockers, noteBlockers } from './wait-graph.js';

/** Those that had to wait and then got their lock, in order. */
let granted: string[];

let locks: AttributeLocks;
const scope = (label: string, manager = locks) => new TestScope(manager, label, undefined, granted);

beforeEach(() => {
  granted = [];
  locks = new AttributeLocks();
});

describe('scopes of their own', () => {
  it('use different attributes at once, and one attribute one after the other, first come, first served', () => {
    const [a, b, c, d] = [scope('a'), scope('b'), scope('c'), scope('d')];
    expect([a.write('cart'), b.write('user'), c.write('cart')]).toEqual(['has', 'has', 'waits']);
    d.write('cart');
    a.leave();
    c.leave();
    expect(granted).toEqual(['c', 'd']);
  });

  it('read one attribute together; a reader that comes after a waiting writer waits behind it', () => {
    const [a, b, writer, late] = [scope('a'), scope('b'), scope('writer'), scope('late')];
    expect([a.read('cart'), b.read('cart')]).toEqual(['has', 'has']);
    expect([writer.write('cart'), late.read('cart')]).toEqual(['waits', 'waits']);
    a.leave();
    expect(granted).toEqual([]);
    b.leave();
    writer.leave();
    expect(granted).toEqual(['writer', 'late']);
  });

  it('have what they have: to take it again, or less, changes nothing', () => {
    const [a, b] = [scope('a'), scope('b')];
    a.write('cart');
    b.write('cart');
    expect([a.write('cart'), a.read('cart')]).toEqual(['has', 'has']);
    expect(locks.holds(a, 'cart')).toBe('write');
    expect(locks.holds(a, 'user') ?? locks.holds(b, 'cart')).toBeUndefined();
  });

  it('lock the whole session against every attribute: to write against all, to read against writers', () => {
    const [reader, writer, all, late] = [scope('reader'), scope('writer'), scope('all'), scope('late')];
    reader.read('user');
    expect([all.read('*'), writer.write('cart'), late.read('user')]).toEqual(['has', 'waits', 'has']);
    expect(locks.holds(all, 'user')).toBe('read');
    all.leave();
    expect(granted).toEqual(['writer']);
    const whole = scope('whole');
    expect(whole.write('*')).toBe('waits');
    expect([scope('x').read('theme'), scope('y').write('theme')]).toEqual(['waits', 'waits']);
    for (const each of [reader, late, writer]) each.leave();
    expect(granted).toEqual(['writer', 'whole']);
    whole.leave();
    expect(granted).toEqual(['writer', 'whole', 'x']);
  });

  it('stand behind nobody who asks for something else', () => {
    scope('a').write('cart');
    scope('b').read('*');
    expect([scope('c').read('user'), scope('d').write('user')]).toEqual(['has', 'waits']);
  });

  it('are let past a request that is withdrawn', () => {
    const [a, b, c] = [scope('a'), scope('b'), scope('c')];
    a.read('cart');
    b.write('cart');
    c.read('cart');
    locks.withdraw(b.waiting!);
    expect(granted).toEqual(['c']);
    a.leave();
    c.leave();
    expect(granted).toEqual(['c']);
    expect(locks.snapshot()).toEqual([]);
  });

  it('are not called back after they withdrew, even if the lock was granted before', () => {
    const [a, b, c, d] = [scope('a'), scope('b'), scope('c'), scope('d')];
    a.write('cart');
    locks.take(b, 'cart', 'read', () => locks.withdraw(c.waiting!));
    c.read('cart');
    d.write('cart');
    a.leave();
    expect(granted).toEqual([]);
    b.leave();
    c.leave();
    expect(granted).toEqual(['d']);
  });

  it('are called back in the order of grants, also if one leaves at once', () => {
    const [a, b, c, d] = [scope('a'), scope('b'), scope('c'), scope('d')];
    a.write('cart');
    locks.take(b, 'cart', 'write', () => (granted.push('b'), b.leave()));
    locks.take(c, 'cart', 'read', () => (granted.push('c'), c.leave()));
    d.write('cart');
    a.leave();
    expect(granted).toEqual(['b', 'c', 'd']);
  });

  it('cannot go from reading to writing, whatever the names', () => {
    const upgrade = expect.objectContaining({ code: 'lock-upgrade' });
    const [a, b, c] = [scope('a'), scope('b'), scope('c')];
    a.read('cart');
    expect(() => a.write('cart')).toThrow(upgrade);
    expect(() => a.write('*')).toThrow('a asks to write the whole session, but a has locked it for reading');
    b.read('*');
    expect(() => b.write('user')).toThrow(upgrade);
    a.leave();
    b.leave();
    c.write('cart');
    expect([c.read('*'), c.write('cart')]).toEqual(['has', 'has']);
    expect(() => c.write('user')).toThrow(upgrade);
  });
});

describe('rule 18: nested scopes', () => {
  it('pass the locks of those around them, and what they lock stays locked to the end of the root', () => {
    const [root, stranger] = [scope('root'), scope('stranger')];
    root.write('cart');
    stranger.write('user');
    const child = root.within('child');
    expect([child.write('cart'), child.read('*')]).toEqual(['has', 'waits']);
    stranger.leave();
    expect(granted).toEqual(['child']);
    child.leave();
    expect(scope('late').write('theme')).toBe('waits');
    expect(scope('reader').read('user')).toBe('has');
    root.leave();
    expect(granted).toEqual(['child', 'late']);
  });

  it('race 12: two children of one scope take the same attribute, one after the other', () => {
    const root = scope('root');
    root.write('cart');
    const [a, b, other] = [root.within('a'), root.within('b'), root.within('other')];
    expect([a.write('cart'), b.write('cart'), other.write('user')]).toEqual(['has', 'waits', 'has']);
    const inner = a.within('inner');
    expect(inner.write('cart')).toBe('has');
    inner.leave();
    expect(granted).toEqual([]);
    a.leave();
    expect(granted).toEqual(['b']);
  });

  it('wait for their siblings only: a family that has the attribute goes before strangers', () => {
    const [root, stranger] = [scope('root'), scope('stranger')];
    const [a, b] = [root.within('a'), root.within('b')];
    a.write('cart');
    expect([stranger.write('cart'), b.write('cart')]).toEqual(['waits', 'waits']);
    const inner = a.within('inner');
    expect(inner.write('cart')).toBe('has');
    for (const each of [inner, a, b]) each.leave();
    expect(granted).toEqual(['b']);
    root.leave();
    expect(granted).toEqual(['b', 'stranger']);
  });

  it('go before strangers that stand behind a sibling of theirs', () => {
    const [holder, root, stranger] = [scope('holder'), scope('root'), scope('stranger')];
    holder.write('cart');
    const [a, b] = [root.within('a'), root.within('b')];
    a.write('cart');
    stranger.write('cart');
    b.write('cart');
    holder.leave();
    a.leave();
    expect(granted).toEqual(['a', 'b']);
  });

  it('lock the whole session though strangers wait for what their root has', () => {
    const root = scope('root');
    root.write('cart');
    scope('stranger').write('cart');
    scope('all').write('*');
    expect(root.within('child').write('*')).toBe('has');
  });

  it('do not write what their family reads, or waits to read', () => {
    const [holder, root] = [scope('holder'), scope('root')];
    holder.write('cart');
    const [a, b] = [root.within('a'), root.within('b')];
    a.read('cart');
    expect(() => b.write('cart')).toThrow(expect.objectContaining({ code: 'lock-upgrade' }));
    expect(b.read('cart')).toBe('waits');
  });

  it('are roots when they outlive theirs: they keep what they locked, and nothing else', () => {
    const root = scope('root');
    root.write('cart');
    const child = root.within('child');
    child.write('user');
    root.leave();
    expect([scope('a').write('cart'), scope('b').write('user')]).toEqual(['has', 'waits']);
    expect(child.within('inner').write('user')).toBe('has');
    child.leave();
    expect(granted).toEqual([]);
  });
});

describe('cycles', () => {
  it('are refused, and the error says who waits for whom', () => {
    const [a, b] = [scope('scope 3 (POST /cart)'), scope('scope 5 (GET /user)')];
    a.write('cart');
    b.write('user');
    expect(b.read('cart')).toBe('waits');
    expect(() => a.write('user')).toThrow(
      "scope 3 (POST /cart) would wait for 'user' behind scope 5 (GET /user), which waits for 'cart' " +
        'behind scope 3 (POST /cart).',
    );
    a.leave();
    expect(granted).toEqual([b.label]);
  });

  it("rule 18: are found through a child's wait, and through a child's lock", () => {
    const [a, b] = [scope('a'), scope('b')];
    a.write('cart');
    const [inA, inB] = [a.within('in a'), b.within('in b')];
    inB.write('user');
    expect(b.within('also in b').write('cart')).toBe('waits');
    expect(() => inA.write('user')).toThrow(
      "in a would wait for 'user' behind b, in which also in b runs, which waits for 'cart' behind a, " +
        'in which in a runs.',
    );
    expect(scope('stranger').write('user')).toBe('waits');
  });

  it('are found through the queue', () => {
    const [a, b, c] = [scope('a'), scope('b'), scope('c')];
    a.read('cart');
    b.write('user');
    c.write('cart');
    expect(b.read('cart')).toBe('waits');
    expect(() => a.read('user')).toThrow(
      "behind b, which waits for 'cart' behind c, which waits for 'cart' behind a.",
    );
  });

  it('are found across the sessions of this process', () => {
    const others = new AttributeLocks();
    const [a, b] = [scope('a'), scope('b', others)];
    a.write('cart');
    b.write('cart');
    expect(b.within('b in the first', locks).write('cart')).toBe('waits');
    expect(() => a.within('a in the second', others).write('cart')).toThrow(
      "a in the second would wait for 'cart' behind b, in which b in the first runs, which waits for " +
        "'cart' behind a, in which a in the second runs.",
    );
  });
  it('are refused where to overtake somebody would make it wait for more than it does', () => {
    const others = new AttributeLocks();
    const [a, b, c] = [scope('a'), scope('b'), scope('c')];
    a.read('cart');
    c.write('cart');
    const inB = b.within('in b', others);
    inB.read('cart');
    expect(a.within('in a', others).write('cart')).toBe('waits');
    expect(b.read('cart')).toBe('waits');
    expect(() => inB.within('within that', locks).read('cart')).toThrow(
      "within that asks for 'cart', but then c would wait for 'cart' behind b, which waits for 'cart' " +
        'behind c.',
    );
  });
});

describe('rule 18: a family goes on to write', () => {
  const family = () => {
    const root = scope('root');
    return [root, root.within('a'), root.within('b')] as const;
  };

  it('what it has not read, though it reads something else', () => {
    const [root, a] = family();
    root.read('user');
    expect([root.write('cart'), a.write('theme')]).toEqual(['has', 'has']);
  });

  it('what it writes, though a part or the whole of it is read there, too', () => {
    const [root, a, b] = family();
    root.write('cart');
    expect([a.read('*'), b.write('cart')]).toEqual(['has', 'waits']);
    locks = new AttributeLocks();
    const [other, reader, writer] = family();
    other.write('cart');
    expect([reader.read('cart'), writer.write('*')]).toEqual(['has', 'waits']);
    locks = new AttributeLocks();
    const [all, one, two] = family();
    all.write('*');
    expect([one.read('cart'), two.write('cart')]).toEqual(['has', 'waits']);
  });

  it('what it reads in another session', () => {
    const elsewhere = scope('elsewhere', new AttributeLocks());
    elsewhere.read('*');
    scope('stranger').read('user');
    expect(elsewhere.within('here', locks).write('cart')).toBe('has');
  });
});

describe('a scope that waits', () => {
  const ask = (owner: TestScope, name: string, mode: LockMode = 'write') =>
    locks.take(owner, name, mode, () => granted.push(owner.label))!;

  it('may leave, and nobody waits behind it any more', () => {
    const [a, b, c] = [scope('a'), scope('b'), scope('c')];
    a.write('cart');
    b.write('cart');
    c.write('cart');
    b.leave();
    a.leave();
    expect(granted).toEqual(['c']);
    expect(locks.holds(a, 'cart')).toBe(undefined);
  });

  it('waits on when an earlier wait of it is withdrawn late', () => {
    const [a, b, c] = [scope('a'), scope('b'), scope('c')];
    a.write('cart');
    const first = ask(b, 'cart');
    a.leave();
    c.write('user');
    const second = ask(b, 'user');
    locks.withdraw(first);
    expect(b.waiting).toBe(second);
    c.leave();
    expect(granted).toEqual(['b', 'b']);
  });

  it('can be told who is in its way, and since when', () => {
    const [a, b, c] = [scope('a'), scope('b'), scope('c')];
    a.read('cart');
    const request = ask(c, 'cart');
    expect(describeBlockers(request, 7_000)).toBe('a, for 0 s at least');
    noteBlockers(request, 1_000);
    noteBlockers(request, 5_000);
    expect(describeBlockers(request, 15_000)).toBe('a, for 14 s at least');
    locks.withdraw(request);
    b.read('cart');
    const another = ask(c, 'cart');
    expect(describeBlockers(another, 15_000)).toBe('a, for 14 s at least, and 1 more');
    a.leave();
    b.leave();
    expect(describeBlockers(another, 15_000)).toBe('nobody any more');
  });

  it('is seen by operators, with those that have the lock', () => {
    const [a, b, c] = [scope('a'), scope('b'), scope('c')];
    a.write('cart');
    c.read('user');
    b.read('cart');
    scope('d').write('*');
    const seen = () => locks.snapshot().toSorted((one, other) => one.name.localeCompare(other.name));
    const cart = { name: 'cart', holders: [{ label: 'a', mode: 'write' }], waiting: 1 };
    const whole = { name: '*', holders: [], waiting: 1 };
    expect(seen()).toEqual([
      whole,
      cart,
      { name: 'user', holders: [{ label: 'c', mode: 'read' }], waiting: 0 },
    ]);
    c.leave();
    expect(seen()).toEqual([whole, cart]);
  });

  it.each([
    [8, false],
    [10, true],
  ])('in a cycle of %i is told of a few of them', (length, isCut) => {
    const all = Array.from({ length }, (_, place) => scope(`s${place}`));
    for (const [place, each] of all.entries()) each.write(`n${place}`);
    for (const [place, each] of all.slice(0, -1).entries()) each.write(`n${place + 1}`);
    const cut = isCut ? `, and so on through ${length - 7} scopes, which` : "behind s4, which waits for 'n5'";
    expect(() => all.at(-1)!.write('n0')).toThrow(cut);
  });
});
