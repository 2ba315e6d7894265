/** The attribute locks where several of their rules meet. Plain cases are in attribute-locks.spec.ts. */
import { beforeEach, describe, expect, it } from 'vitest';
import { AttributeLocks } from './attribute-locks.js';
import { TestScope } from '../testing/test-scope.js';
import { describeBlockers, type LockRequest } from './wait-graph.js';

const deadlock = expect.objectContaining({ code: 'deadlock' });

/** Those that had to wait and then got their lock, in order. */
let granted: string[];
let locks: AttributeLocks;
/** Of another session in the same process. */
let others: AttributeLocks;
const scope = (label: string, manager = locks) => new TestScope(manager, label, undefined, granted);

beforeEach(() => {
  granted = [];
  locks = new AttributeLocks();
  others = new AttributeLocks();
});

/** The labels and modes of those that have the lock, sorted. */
const holdersOf = (name: string) =>
  locks
    .snapshot()
    .filter((lock) => lock.name === name)
    .flatMap(({ holders }) => holders.map(({ label, mode }) => `${label} ${mode}`))
    .toSorted();

describe('a look along the queue', () => {
  it('goes on behind readers and writers of one attribute, to who waits for another', () => {
    const [cart, user] = [scope('cart'), scope('user')];
    cart.write('cart');
    user.write('user');
    scope('reader').read('cart');
    scope('writer').write('cart');
    expect(scope('last').write('user')).toBe('waits');
    user.leave();
    expect(granted).toEqual(['last']);
    cart.leave();
    expect(granted).toEqual(['last', 'reader']);
  });

  it('goes on behind several readers that must wait', () => {
    const [cart, user] = [scope('cart'), scope('user')];
    cart.write('cart');
    user.write('user');
    for (const label of ['r1', 'r2', 'r3']) scope(label).read('cart');
    scope('w1').write('cart');
    scope('r4').read('cart');
    scope('w2').write('cart');
    for (const label of ['last', 'very last']) scope(label).read('user');
    user.leave();
    expect(granted).toEqual(['last', 'very last']);
    cart.leave();
    expect(granted).toEqual(['last', 'very last', 'r1', 'r2', 'r3']);
  });

  it('calls nobody back while another callback runs', () => {
    const [a, b, c, d] = [scope('a'), scope('b'), scope('c'), scope('d')];
    a.write('cart');
    locks.take(b, 'cart', 'read', () => {
      b.leave();
      granted.push('b');
    });
    locks.take(c, 'cart', 'read', () => {
      c.leave();
      granted.push('c');
    });
    d.write('cart');
    a.leave();
    expect(granted).toEqual(['b', 'c', 'd']);
  });
});

describe('who is in the way of a scope', () => {
  const ask = (owner: TestScope, name: string): LockRequest =>
    locks.take(owner, name, 'write', () => granted.push(owner.label))!;

  it('is the nearest writer before it, and not those for which that one waits', () => {
    scope('holder').write('cart');
    for (const label of ['w1', 'w2', 'w3']) ask(scope(label), 'cart');
    expect(describeBlockers(ask(scope('last'), 'cart'), 0)).toBe('holder, for 0 s at least, and 1 more');
  });

  it('is the nearest writer of the whole session before it, and not those for which that one waits', () => {
    scope('holder').write('cart');
    for (const name of ['cart', 'cart', '*']) ask(scope(name), name);
    expect(describeBlockers(ask(scope('last'), 'cart'), 0)).toBe('holder, for 0 s at least, and 1 more');
  });

  it('is every reader before it that waits', () => {
    scope('holder').write('cart');
    for (const label of ['r1', 'r2']) scope(label).read('cart');
    expect(describeBlockers(ask(scope('last'), 'cart'), 0)).toBe('holder, for 0 s at least, and 2 more');
  });

  it('is nobody once it has its lock, though it is not called back yet and a scope within it has it too', () => {
    const [all, first, second] = [scope('all'), scope('first'), scope('second')];
    all.write('*');
    let seen = '';
    locks.take(first, 'user', 'write', () => {
      expect(second.within('inner').write('cart')).toBe('has');
      seen = describeBlockers(request, 0);
    });
    const request = ask(second, 'cart');
    all.leave();
    expect([seen, granted]).toEqual(['nobody any more', ['second']]);
  });
});

describe('cycles are found', () => {
  it('through a reader that waits before another reader', () => {
    const [holder, writer, root] = [scope('holder'), scope('writer'), scope('root')];
    holder.write('cart');
    writer.write('user');
    expect([root.within('child').read('cart'), scope('reader').read('cart')]).toEqual(['waits', 'waits']);
    expect(writer.write('cart')).toBe('waits');
    expect(() => root.write('user')).toThrow(deadlock);
  });

  it("rule 18: through a scope that has outlived the other session's scope around it", () => {
    const [root, target] = [scope('root'), scope('target')];
    const between = root.within('between', others);
    const orphan = between.within('orphan', locks);
    orphan.write('cart');
    between.leave();
    target.write('user');
    expect(orphan.write('user')).toBe('waits');
    expect(() => target.write('cart')).toThrow(deadlock);
    target.leave();
    expect(granted).toEqual(['orphan']);
  });

  it('in a moment, however many ways lead to a scope', () => {
    const layers = 60;
    const pairs = Array.from({ length: layers }, (_, n) => [scope(`a${n}`), scope(`b${n}`)] as const);
    for (const [n, pair] of pairs.entries()) for (const each of pair) each.read(`n${n}`);
    for (let n = layers - 2; n >= 0; n--) for (const each of pairs[n]!) each.write(`n${n + 1}`);
    const [target, stranger] = [scope('target'), scope('stranger')];
    target.write('x');
    stranger.write('x');
    expect(target.write('n0')).toBe('waits');
  });
});

/**
 * `a` reads the cart. `root`, with `between` within it in another session, has what a scope within `a` waits
 * for. So whoever waits for `a` waits for `root`, and is overtaken by the scopes within `root`.
 */
function overtaking() {
  const [a, root] = [scope('a'), scope('root')];
  const between = root.within('between', others);
  between.read('theme');
  expect(a.within('in a', others).write('theme')).toBe('waits');
  return { a, root, inner: between.within('inner', locks) };
}

describe('a scope that would overtake others', () => {
  it('is refused when they wait for each other then, also when it would wait for somebody besides', () => {
    const { a, root, inner } = overtaking();
    a.read('cart');
    scope('besides').write('user');
    expect([scope('overtaken').write('cart'), root.read('cart')]).toEqual(['waits', 'waits']);
    expect(() => inner.read('*')).toThrow(deadlock);
    expect(inner.waiting).toBeUndefined();
  });

  it('waits for another attribute than they, and closes no cycle', () => {
    const { a, root, inner } = overtaking();
    a.read('cart');
    const besides = scope('besides');
    besides.write('user');
    expect([scope('overtaken').write('cart'), root.read('cart')]).toEqual(['waits', 'waits']);
    expect(inner.write('user')).toBe('waits');
    besides.leave();
    expect(granted).toEqual(['inner']);
  });

  it('reads beside them what they wait to read', () => {
    const { a, root, inner } = overtaking();
    a.write('user');
    expect([scope('overtaken').read('*'), root.write('cart')]).toEqual(['waits', 'waits']);
    expect(inner.read('cart')).toBe('has');
  });

  it('is refused to write what they wait to read, when its own root waits for them', () => {
    const { a, root, inner } = overtaking();
    a.write('user');
    expect([scope('overtaken').read('*'), root.write('cart')]).toEqual(['waits', 'waits']);
    expect(() => inner.write('cart')).toThrow(deadlock);
  });
});

describe('what a scope holds', () => {
  it('rule 18: may be written though a scope within it reads in another session', () => {
    const root = scope('root');
    root.within('elsewhere', others).read('*');
    scope('stranger').read('user');
    expect(root.write('cart')).toBe('has');
  });

  it('rule 18: is one lock of a name, that it first reads and then writes', () => {
    const root = scope('root');
    root.write('cart');
    const child = root.within('child');
    child.read('cart');
    expect(child.write('cart')).toBe('has');
    expect(holdersOf('cart')).toEqual(['child write', 'root write']);
  });

  it('rule 18: becomes one lock with that of the scope around, and writes if one of them does', () => {
    const root = scope('root');
    root.write('*');
    const [child, sibling] = [root.within('child'), root.within('sibling')];
    child.read('cart');
    const inner = child.within('inner');
    inner.write('cart');
    inner.leave();
    expect(holdersOf('cart')).toEqual(['child write']);
    expect([locks.holds(child, 'cart'), sibling.read('cart')]).toEqual(['write', 'waits']);
    child.leave();
    expect(granted).toEqual(['sibling']);
  });

  it('rule 18: belongs to the scope around when it ends', () => {
    const root = scope('root');
    const child = root.within('child');
    child.write('cart');
    child.leave();
    expect(holdersOf('cart')).toEqual(['root write']);
  });

  it('is no longer there when it leaves, and that of others still is', () => {
    const [a, b, c] = [scope('a'), scope('b'), scope('c')];
    for (const each of [a, b, c]) each.read('cart');
    a.leave();
    expect(holdersOf('cart')).toEqual(['b read', 'c read']);
    c.leave();
    expect(holdersOf('cart')).toEqual(['b read']);
  });

  it('is its own when it comes back after it has left', () => {
    const [a, b] = [scope('a'), scope('b')];
    a.leave();
    expect(a.write('cart')).toBe('has');
    expect([locks.holds(a, 'cart'), locks.holds(b, 'cart')]).toEqual(['write', undefined]);
    expect(b.write('cart')).toBe('waits');
    a.leave();
    expect(granted).toEqual(['b']);
  });
});

describe('a session of which many attributes are locked', () => {
  const names = Array.from({ length: 10 }, (_, n) => `name-${n}`);

  it('keeps the lock of a reader when another one leaves', () => {
    for (const name of names) scope('other').write(name);
    const [one, two, writer] = [scope('one'), scope('two'), scope('writer')];
    one.read('cart');
    two.read('cart');
    one.leave();
    expect(writer.write('cart')).toBe('waits');
    two.leave();
    expect(granted).toEqual(['writer']);
  });

  it('keeps the lock that was waited for, and is granted then', () => {
    const all = scope('all');
    for (const name of names) scope('other').read(name);
    all.read('*');
    expect(scope('writer').write('cart')).toBe('waits');
    all.leave();
    expect(granted).toEqual(['writer']);
    expect(scope('late').write('cart')).toBe('waits');
  });
});
