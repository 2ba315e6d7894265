/** Scripted scenes on virtual time: what scopes of one and of several processes may count on, one scene per promise. */
import { describe, expect, it } from 'vitest';
import type { LockedSessions, RunOptions } from '#locked-session';
import { Deployment, type DeploymentOptions } from './deployment.js';

/** A handle where every attribute is a list of strings. */
interface Lists {
  readonly signal: AbortSignal;
  get(name: string): readonly string[] | undefined;
  draft(name: string, initial: () => string[]): string[];
  set(name: string, value: unknown): void;
  delete(name: string): void;
  names(): string[];
  readonly id: string;
  destroy(): void;
  regenerate(): string;
  commit(): Promise<void>;
}

type Body<T> = (session: Lists) => T | Promise<T>;

const run = <T>(holder: LockedSessions, options: RunOptions, body: Body<T>, id = 's') =>
  holder.run(id, options, (session) => body(session as unknown as Lists));
const add = (holder: LockedSessions, mark: string, id = 's') =>
  run(holder, { write: ['a'] }, (session) => void session.draft('a', () => []).push(mark), id);
const read = (holder: LockedSessions, id = 's') =>
  run(holder, { read: ['a'] }, (session) => [...(session.get('a') ?? [])], id);
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'fulfilled',
    (error: Error & { code?: string }) => error.code ?? error.message,
  );

async function scene(options: DeploymentOptions = {}) {
  const deployment = new Deployment(options);
  await deployment.start();
  const { world } = deployment;
  const until = <T>(promise: Promise<T>, limitMs?: number) => deployment.until(promise, limitMs);
  const [one, two] = [await deployment.holder('one'), await deployment.holder('two')];
  return { deployment, world, until, one, two };
}

/** Something that a test lets go on. */
function gate() {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { open, opened };
}

describe('the lock between processes', () => {
  it('rule 3: a read under a held lock sends no message, a change one commit', async () => {
    const { until, one } = await scene();
    await until(add(one, 'first'));
    const before = one.counters();
    await until(read(one));
    expect(one.counters()).toMatchObject({
      messagesSent: before.messagesSent,
      servedFromHeldLock: 1,
      servedWithoutMessage: 1,
    });
    await until(add(one, 'second'));
    expect(one.counters()).toMatchObject({ commits: before.commits + 1, grants: 1 });
  });

  it('rules 4 and 5: a recalled holder finishes what runs, and its newcomers wait behind the other process', async () => {
    const { until, world, one, two } = await scene();
    const order: string[] = [];
    const inside = gate();
    const goOn = gate();
    const first = run(one, { write: ['a'] }, async () => {
      inside.open();
      await goOn.opened;
      order.push('one');
    });
    await until(inside.opened);
    const other = run(two, {}, () => void order.push('two'));
    await world.run(() => one.counters().recalls === 1, 1_000);
    const newcomer = run(one, { write: ['b'] }, () => void order.push('newcomer'));
    await world.run(() => false, 500);
    expect(order).toEqual([]);
    goOn.open();
    await until(Promise.all([first, other, newcomer]));
    expect(order).toEqual(['one', 'two', 'newcomer']);
  });

  it('rule 5: a nested run of an admitted scope passes the shut gate', async () => {
    const { until, world, one, two } = await scene();
    const inside = gate();
    const goOn = gate();
    const first = run(one, { write: ['a'] }, async () => {
      inside.open();
      await goOn.opened;
      return run(one, { write: ['b'] }, (session) => void session.set('b', ['nested']));
    });
    await until(inside.opened);
    const other = run(two, { read: ['b'] }, (session) => session.get('b'));
    await world.run(() => one.counters().recalls === 1, 1_000);
    goOn.open();
    await until(first);
    expect(await until(other)).toEqual(['nested']);
  });

  it('rule 2: the deadline of the first scope does not end the request that later scopes wait for', async () => {
    const { until, world, one, two } = await scene();
    const goOn = gate();
    const inside = gate();
    const holding = run(two, {}, async () => {
      inside.open();
      await goOn.opened;
    });
    await until(inside.opened);
    const impatient = codeOf(run(one, { waitMs: 500 }, () => {}));
    const patient = run(one, { waitMs: 5_000 }, () => 'served');
    expect(await until(impatient)).toBe('wait-timeout');
    await world.run(() => false, 2_000);
    goOn.open();
    expect(await until(patient)).toBe('served');
    await until(holding);
    expect(one.counters().grants).toBe(1);
  });

  it('rule 3: until-idle gives the lock back as soon as no scope is inside', async () => {
    const { until, world, one } = await scene({ holder: { holdPolicy: 'until-idle' } });
    await until(add(one, 'first'));
    await world.run(() => one.counters().held === 0, 1_000);
    expect(one.counters()).toMatchObject({ held: 0, releases: 1, recalls: 0 });
    expect(await until(read(one))).toEqual(['first']);
  });

  it('rule 3: beyond its cap a holder releases the sessions that it used least recently', async () => {
    const { until, world, one } = await scene({ holder: { heldSessions: 16 } });
    for (let i = 1; i <= 17; i++) await until(add(one, 'x', `s${i}`));
    await world.run(() => false, 100);
    expect(one.counters().held).toBe(15);
    const { grants } = one.counters();
    await until(read(one, 's17'));
    expect(one.counters().grants).toBe(grants);
    await until(read(one, 's1'));
    expect(one.counters().grants).toBe(grants + 1);
  });

  it('rule 3: a session that nobody uses is released by and by', async () => {
    const { until, world, one } = await scene({ holder: { idleReleaseMs: 1_000 } });
    await until(Promise.all([add(one, 'x', 'used'), add(one, 'x', 'unused')]));
    for (let i = 0; i < 4; i++) {
      await world.run(() => false, 600);
      await until(read(one, 'used'));
    }
    expect(one.counters()).toMatchObject({ held: 1, grants: 2, releases: 1, recalls: 0 });
  });

  it('brings only what changed since, when the lock comes back', async () => {
    const { until, world, one, two } = await scene();
    await until(
      run(one, {}, (session) => (session.set('a', ['1']), session.set('b', ['1']), session.set('c', ['1']))),
    );
    const mine = run(one, { write: ['a'] }, async (session) => {
      await run(one, {}, () => {}, 'other');
      session.set('a', ['2']);
    });
    const theirs = run(two, {}, (session) => (session.set('b', ['3']), session.delete('c')));
    await world.run(() => one.counters().recalls === 1, 1_000);
    const again = run(one, { read: '*' }, (session) =>
      session.names().map((name) => [name, session.get(name)]),
    );
    await until(Promise.all([mine, theirs]));
    expect(new Map((await until(again)) as [string, unknown][])).toEqual(
      new Map([
        ['a', ['2']],
        ['b', ['3']],
      ]),
    );
  });

  it('rule 12: a grant that went to the queue of a dead connection comes back once the holder has another', async () => {
    const { until, world, deployment, one, two } = await scene();
    const inside = gate();
    const goOn = gate();
    const holding = run(two, {}, async () => {
      inside.open();
      await goOn.opened;
    });
    await until(inside.opened);
    const impatient = codeOf(run(one, { waitMs: 100 }, () => {}));
    await world.run(() => two.counters().recalls === 1, 1_000);
    deployment.network.breakHolder('one', 500);
    goOn.open();
    await until(holding);
    expect(await until(impatient)).toBe('wait-timeout');
    expect(await until(codeOf(run(two, {}, () => {})))).toBe('fulfilled');
  });

  it('an orderly end releases everything, and the other process goes on at once', async () => {
    const { until, deployment, one, two } = await scene();
    await until(Promise.all([add(one, 'x', 's1'), add(one, 'x', 's2')]));
    await until(one.close());
    expect(await until(codeOf(add(one, 'late')))).toBe('shutting-down');
    const { recalls } = one.counters();
    expect(await until(read(two, 's1'))).toEqual(['x']);
    expect(one.counters().recalls).toBe(recalls);
    await deployment.rest();
    expect(deployment.checkers.violations).toEqual([]);
  });
});

describe('scopes of one process', () => {
  it('C6: readers share an attribute, a writer has it alone, other attributes are free', async () => {
    const { until, world, one } = await scene();
    const log: string[] = [];
    const visit = (name: string, options: RunOptions) =>
      run(one, options, async () => {
        log.push(`+${name}`);
        await world.sleep(10);
        log.push(`-${name}`);
      });
    await until(add(one, 'held'));
    await until(
      Promise.all([
        visit('r1', { read: ['a'] }),
        visit('r2', { read: ['a'] }),
        visit('w', { write: ['a'] }),
        visit('r3', { read: ['a'] }),
        visit('b', { write: ['b'] }),
      ]),
    );
    expect(log).toEqual(['+r1', '+r2', '+b', '-r1', '-r2', '+w', '-b', '-w', '+r3', '-r3']);
  });

  it('a scope that fails changes nothing, unless it committed on the way', async () => {
    const { until, one, two } = await scene();
    const failing = run(one, { write: ['a'] }, async (session) => {
      session.draft('a', () => []).push('committed');
      await session.commit();
      session.draft('a', () => []).push('not');
      throw new Error('deliberate');
    });
    await expect(until(failing)).rejects.toThrow('deliberate');
    expect(await until(read(one))).toEqual(['committed']);
    expect(await until(read(two))).toEqual(['committed']);
  });

  it('a value that JSON cannot carry fails the scope with the path to it, and changes nothing', async () => {
    const { until, one } = await scene();
    await until(add(one, 'before'));
    const failing = run(one, { write: ['a', 'b'] }, (session) => {
      session.draft('a', () => []).push('more');
      session.set('b', { items: [{ at: new Date(0) }] });
    });
    await expect(until(failing)).rejects.toThrow("attribute 'b': items[0].at is a Date");
    expect(await until(read(one))).toEqual(['before']);
  });

  it('what is over a limit fails the scope before anything is sent, and the lock stays', async () => {
    const { until, one } = await scene();
    await until(add(one, 'first'));
    const { commits } = one.counters();
    const attempt = (changes: Body<void>) =>
      until(
        run(one, {}, changes).then(
          () => '',
          (error: Error) => error.message,
        ),
      );
    expect(await attempt((session) => session.set('a', 'x'.repeat(5_000)))).toMatch(
      /'a' would take 5003 bytes.*4096/,
    );
    const some = (session: Lists, count: number, size: number) => {
      for (let i = 0; i < count; i++) session.set(`n${i}`, 'x'.repeat(size));
    };
    expect(await attempt((session) => some(session, 8, 1))).toMatch(/9 attributes.*8/);
    expect(await attempt((session) => some(session, 3, 3_000))).toMatch(/bytes.*8192/);
    expect(await until(read(one))).toEqual(['first']);
    expect(one.counters()).toMatchObject({ commits, held: 1, grants: 1 });
  });

  it('what a scope has not locked it cannot touch, nor write what it only reads', async () => {
    const { until, one } = await scene();
    await until(
      run(one, { read: ['a'], write: ['b'] }, async (session) => {
        expect(() => session.get('c')).toThrow("'c' is locked not at all");
        expect(() => session.set('a', [])).toThrow("'a' is locked only for reading");
        expect(await codeOf(run(one, { write: ['a'] }, () => {}))).toBe('lock-upgrade');
      }),
    );
  });

  it('a handle is dead after its scope', async () => {
    const { until, one } = await scene();
    const kept = await until(run(one, {}, (session) => session));
    expect(() => kept.get('a')).toThrow('has ended');
  });

  it('what is read is frozen; a draft is a copy that nobody else sees before the end', async () => {
    const { until, one } = await scene();
    await until(add(one, 'first'));
    await until(
      run(one, { write: ['a'] }, async (session) => {
        expect(() => (session.get('a') as string[]).push('x')).toThrow('not extensible');
        session.draft('a', () => []).push('second');
        expect(session.get('a')).toEqual(['first', 'second']);
      }),
    );
    expect(await until(read(one))).toEqual(['first', 'second']);
  });

  it('rule 18: a child that outlives its root goes on as a root of its own', async () => {
    const { until, world, one, two } = await scene();
    let child!: Promise<void>;
    await until(
      run(one, { write: ['a'] }, (session) => {
        session.set('a', ['root']);
        child = run(one, { write: ['b'] }, async (inner) => {
          await world.sleep(100);
          inner.set('b', ['child']);
        });
      }),
    );
    const others = run(two, { read: '*' }, (session) => [session.get('a'), session.get('b')]);
    await until(child);
    expect(await until(others)).toEqual([['root'], ['child']]);
  });

  it('a circle of waits is refused at once, and the message names it', async () => {
    const { until, one } = await scene();
    const both = gate();
    let inside = 0;
    const nest = (first: string, second: string) =>
      run(one, { write: [first], label: `${first} first` }, async () => {
        if (++inside === 2) both.open();
        await both.opened;
        await run(one, { write: [second] }, () => {});
      });
    const results = await until(Promise.all([codeOf(nest('a', 'b')), codeOf(nest('b', 'a'))]));
    expect(results.sort()).toEqual(['fulfilled', 'lock-circle']);
  });
});

describe('a new visitor (rule 16)', () => {
  it('has a session without any message until something is set, and holds it then', async () => {
    const { until, deployment, one, two } = await scene();
    const before = one.counters();
    await until(run(one, { isNew: true }, (session) => void session.get('a'), 'bot'));
    expect(one.counters()).toMatchObject({ messagesSent: before.messagesSent, grants: 0, held: 0 });
    await until(run(one, { isNew: true }, (session) => session.set('a', ['first']), 'guest'));
    expect(one.counters()).toMatchObject({ grants: 1, commits: 0, held: 1 });
    expect(await until(read(two, 'guest'))).toEqual(['first']);
    await deployment.rest();
    expect(deployment.checkers.violations).toEqual([]);
  });

  it('may commit on the way and go on, nested scopes and all', async () => {
    const { until, one, two } = await scene();
    const visit = run(
      one,
      { isNew: true },
      async (session) => {
        session.set('a', ['first']);
        await session.commit();
        await run(one, { write: ['b'] }, (nested) => nested.set('b', ['nested']), 'guest');
        session.draft('a', () => []).push('last');
      },
      'guest',
    );
    await until(visit);
    expect(await until(run(two, {}, (session) => [session.get('a'), session.get('b')], 'guest'))).toEqual([
      ['first', 'last'],
      ['nested'],
    ]);
  });

  it('is told outcome-unknown when no store makes the session, and nothing is kept here', async () => {
    const { until, deployment, one } = await scene({ holder: { commitWaitMs: 1_000 } });
    await until(add(one, 'x'));
    await until(deployment.stores[0]!.stop());
    const visit = run(one, { isNew: true }, (session) => session.set('a', ['first']), 'guest');
    expect(await until(codeOf(visit))).toBe('outcome-unknown');
    expect(one.counters()).toMatchObject({ waiting: 0, held: 1 });
  });
});

describe('the life of a session (rules 14, 15 and 17)', () => {
  it('ends by destroy: nothing is left, and nobody brings it back', async () => {
    const { until, deployment, one, two } = await scene();
    await until(add(one, 'first'));
    await until(run(one, {}, (session) => session.destroy()));
    expect(await until(codeOf(read(two)))).toBe('session-destroyed');
    expect(await until(codeOf(add(one, 'again')))).toBe('session-destroyed');
    await deployment.rest();
    expect(deployment.checkers.violations).toEqual([]);
  });

  it('a slower request of a destroyed session changes nothing', async () => {
    const { until, world, one, two } = await scene();
    const inside = gate();
    const goOn = gate();
    await until(add(one, 'first'));
    const logout = run(one, {}, async (session) => {
      inside.open();
      await goOn.opened;
      session.destroy();
    });
    await until(inside.opened);
    const slower = [add(two, 'late'), add(one, 'later')].map(codeOf);
    await world.run(() => one.counters().recalls === 1, 1_000);
    goOn.open();
    await until(logout);
    expect(await until(Promise.all(slower))).toEqual(['session-destroyed', 'session-destroyed']);
  });

  it('whoever asks while it is being destroyed is answered', async () => {
    const { until, world, one } = await scene({ holder: { maxWaitingScopes: 1_000 } });
    await until(add(one, 'first'));
    const inside = gate();
    const logout = run(one, {}, async (session) => {
      inside.open();
      await world.sleep(5);
      session.destroy();
    });
    await until(inside.opened);
    const asking: Promise<string>[] = [];
    for (let at = 0; at < 20; at += 0.1) world.after(at, () => asking.push(codeOf(read(one))));
    await until(logout);
    await world.run(() => asking.length === 200, 1_000);
    expect(new Set(await until(Promise.all(asking), 10_000))).toEqual(new Set(['session-destroyed']));
  });

  it('is not ended by a scope that fails, nor by one that has only a part of it', async () => {
    const { until, one } = await scene();
    await until(add(one, 'first'));
    const failing = run(one, {}, (session) => {
      session.destroy();
      expect(() => session.get('a')).toThrow('was destroyed');
      throw new Error('deliberate');
    });
    await expect(until(failing)).rejects.toThrow('deliberate');
    await until(
      run(one, { write: ['a'] }, (session) => expect(() => session.destroy()).toThrow('all of it')),
    );
    expect(await until(read(one))).toEqual(['first']);
  });

  it('goes on under another id after regenerate, with everything in it; the old id is destroyed', async () => {
    const { until, one, two } = await scene();
    await until(add(one, 'guest'));
    const next = await until(
      run(one, {}, (session) => {
        session.draft('a', () => []).push('user');
        const id = session.regenerate();
        expect(session.id).toBe(id);
        return id;
      }),
    );
    expect(await until(read(two, next))).toEqual(['guest', 'user']);
    expect(await until(codeOf(read(two)))).toBe('session-destroyed');
  });

  it('may be destroyed or renamed by the visit that begins it', async () => {
    const { until, one, two } = await scene();
    const visit = (id: string, body: Body<string | void>) => until(run(one, { isNew: true }, body, id));
    await visit('gone', (session) => (session.set('a', ['x']), session.destroy()));
    await visit(
      'kept',
      async (session) => (session.set('a', ['x']), await session.commit(), session.destroy()),
    );
    const next = await visit('named', (session) => (session.set('a', ['x']), session.regenerate()));
    const known = (id: string) => until(codeOf(run(two, { create: false }, () => {}, id)));
    expect(await known('gone')).toBe('unknown-session');
    expect(await known('kept')).toBe('session-destroyed');
    expect(await known('named')).toBe('unknown-session');
    expect(await until(read(two, next!))).toEqual(['x']);
  });

  it('is over when nobody used it for its time to live, held or not', async () => {
    const { until, world, deployment, one, two } = await scene({
      store: { ttlMs: 10_000 },
      holder: { idleReleaseMs: 3_600_000 },
    });
    await until(Promise.all([add(one, 'x', 'held'), add(one, 'x', 'released')]));
    await until(read(two, 'released'));
    await world.run(() => false, 15_000);
    const known = (id: string) => until(codeOf(run(two, { create: false }, () => {}, id)));
    expect([await known('held'), await known('released')]).toEqual(['unknown-session', 'unknown-session']);
    expect(await until(read(one, 'held'))).toEqual([]);
    await deployment.rest();
    expect(deployment.checkers.violations).toEqual([]);
  });

  it('is kept while its holder only reads it, without a message for each read', async () => {
    const { until, world, one, two } = await scene({ store: { ttlMs: 10_000 } });
    await until(add(one, 'x'));
    for (let i = 0; i < 20; i++) {
      await world.run(() => false, 2_000);
      expect(await until(read(one))).toEqual(['x']);
    }
    expect(one.counters()).toMatchObject({ grants: 1, recalls: 0, commits: 1 });
    expect(await until(read(two))).toEqual(['x']);
  });

  it('may be made again by the application long after it was destroyed', async () => {
    const { until, world, one } = await scene({ store: { tombstoneMs: 20_000 } });
    await until(add(one, 'first'));
    await until(run(one, {}, (session) => session.destroy()));
    await world.run(() => false, 10_000);
    expect(await until(codeOf(add(one, 'soon')))).toBe('session-destroyed');
    await world.run(() => false, 15_000);
    await until(add(one, 'later'));
    expect(await until(read(one))).toEqual(['later']);
  });
});

describe('waits that end', () => {
  it('with wait-timeout, aborted or too-many-waiting, and leave nothing behind', async () => {
    const { until, deployment, one, two } = await scene({ holder: { maxWaitingScopes: 3 } });
    const goOn = gate();
    const inside = gate();
    const holding = run(two, {}, async () => {
      inside.open();
      await goOn.opened;
    });
    await until(inside.opened);
    const aborter = new AbortController();
    const waits = [
      run(one, { waitMs: 1_000 }, () => {}),
      run(one, { signal: aborter.signal }, () => {}),
      run(one, {}, () => 'patient'),
      run(one, {}, () => {}),
    ].map(codeOf);
    aborter.abort();
    expect(await until(Promise.all([waits[0], waits[1], waits[3]]))).toEqual([
      'wait-timeout',
      'aborted',
      'too-many-waiting',
    ]);
    goOn.open();
    expect(await until(waits[2]!)).toBe('fulfilled');
    await until(holding);
    await deployment.rest();
    expect(deployment.checkers.violations).toEqual([]);
  });

  it('a change that no store acknowledges ends with outcome-unknown', async () => {
    const { until, deployment, one } = await scene({ holder: { commitWaitMs: 2_000 } });
    await until(add(one, 'first'));
    await until(deployment.stores[0]!.stop());
    expect(await until(codeOf(add(one, 'second')))).toBe('outcome-unknown');
  });

  it('a reader that saw an unacknowledged change waits for its acknowledgement too', async () => {
    const { until, world, deployment, one } = await scene({ holder: { commitWaitMs: 2_000 } });
    await until(add(one, 'first'));
    await until(deployment.stores[0]!.stop());
    const writing = codeOf(add(one, 'second'));
    let seen: readonly string[] = [];
    const reading = codeOf(run(one, { read: ['a'] }, (session) => void (seen = session.get('a')!)));
    await world.run(() => seen.length > 0, 100);
    expect(seen).toEqual(['first', 'second']);
    expect(await until(Promise.all([writing, reading]))).toEqual(['outcome-unknown', 'outcome-unknown']);
  });
});
