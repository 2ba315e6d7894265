// What the meter leaves as it was, what it does with stores that fail, are slow or are no usual ones, and its
// bounds and settings.
import { EventEmitter } from 'node:events';
import { MemoryStore, Store } from 'express-session';
import { describe, expect, it } from 'vitest';
import { lostUpdateMeter, type MeteredStore } from './meter.js';
import { mergeReports, reportText } from './report.js';

type Answer = (error?: unknown, record?: object | null) => unknown;
type Record_ = Readonly<Record<string, unknown>>;

/** Answers when the spec says so. Reads and writes happen at once. */
class SlowStore {
  readonly texts = new Map<string, string>();
  readonly answers: (() => unknown)[] = [];
  readonly calls: string[] = [];

  get(id: string, callback: Answer): void {
    this.calls.push(`get ${id}`);
    const text = this.texts.get(id);
    this.answers.push(() => callback(null, text === undefined ? null : (JSON.parse(text) as object)));
  }

  set(id: string, session: object, callback?: Answer): void {
    this.calls.push(`set ${id}`);
    this.texts.set(id, JSON.stringify(session));
    this.answers.push(() => callback?.());
  }

  answer(): void {
    for (const one of this.answers.splice(0)) one();
  }
}

const read = (store: MeteredStore, id: string): Promise<Record<string, unknown>> =>
  new Promise((resolve, reject) => {
    const callback: Answer = (error, record) =>
      error ? reject(error) : resolve(record as Record<string, unknown>);
    store.get(id, callback as never);
  });
const save = (store: MeteredStore, id: string, session: Record_): Promise<unknown> =>
  new Promise((resolve) => void store.set(id, session as never, resolve as never));

async function twoReaders(store: MeteredStore, first: Record_ = { n: 0 }) {
  await save(store, 's', first);
  return [await read(store, 's'), await read(store, 's')] as const;
}

describe('a store', () => {
  it('keeps its class, its events and its other methods', async () => {
    const { store } = lostUpdateMeter(new MemoryStore());
    expect(store).toBeInstanceOf(MemoryStore);
    expect(store).toBeInstanceOf(Store);
    expect(store).toBeInstanceOf(EventEmitter);
    expect(Object.keys(store)).toEqual(Object.keys(new MemoryStore()));
    await save(store, 's', { cookie: {} });
    const count = await new Promise((resolve) => store.length((_error, length) => resolve(length)));
    expect(count).toBe(1);
    await new Promise((resolve) => store.clear(resolve));
    expect(await read(store, 's')).toBeUndefined();
  });

  it('gets each save in the turn in which it was made, with the same session and a single read more', () => {
    const slow = new SlowStore();
    const { store } = lostUpdateMeter(slow);
    store.get('s', () => undefined);
    store.answer();
    const session = { n: 1 };
    const records: object[] = [];
    store.get('s', (_error, record) => void records.push(record ?? session));
    store.answer();
    store.set('s', records[0]!);
    expect(slow.calls).toEqual(['get s', 'get s', 'set s']);
    expect(slow.texts.get('s')).toBe('{"n":1}');
  });

  it('may answer by a promise, when it gets no callback', async () => {
    const texts = new Map<string, string>([['s', '{"n":0}']]);
    const { store, report } = lostUpdateMeter({
      get: async (id: string) => JSON.parse(texts.get(id) ?? 'null') as Record_ | null,
      set: async (id: string, session: object) => void texts.set(id, JSON.stringify(session)),
    });
    const [one, other] = [await store.get('s'), await store.get('s')];
    await store.set('s', { ...one, a: 1 });
    expect(report()).toMatchObject({ saves: 1, unknown: 1 }); // nobody knows where that object is from
    await store.set('s', Object.assign(other!, { b: 1 }));
    await expect.poll(() => report()).toMatchObject({ saves: 2, lost: 1, unknown: 1 });
  });

  it('has its own methods again after stop', () => {
    const slow = new SlowStore();
    const own = slow.get.bind(slow);
    slow.get = own;
    const { store, stop } = lostUpdateMeter(slow);
    expect(store.get).not.toBe(own);
    stop();
    expect(store.get).toBe(own);
    expect(Object.keys(store)).toEqual(['texts', 'answers', 'calls', 'get']);
    expect(store.set).toBe(SlowStore.prototype.set);
    lostUpdateMeter(store).stop(); // and may have another meter
  });

  it('that somebody has wrapped since is not touched by stop', () => {
    const slow = new SlowStore();
    const { store, stop } = lostUpdateMeter(slow);
    const wrapper = () => undefined;
    store.set = wrapper;
    stop();
    expect(store.set).toBe(wrapper);
  });
});

describe('a session that an application reads from the store itself', () => {
  it('counts, too', async () => {
    const { store, report } = lostUpdateMeter<MeteredStore>(new MemoryStore());
    const [one, other] = await twoReaders(store);
    await save(store, 's', Object.assign(one, { a: 1 }));
    await save(store, 's', Object.assign(other, { b: 1 }));
    await expect.poll(report).toMatchObject({ saves: 3, lost: 1, unknown: 1 });
    expect(report().routes.map(({ route }) => route)).toEqual(['(no request)']);
  });
});

describe('what goes wrong', () => {
  const failing = (fails: { get?: boolean; set?: boolean }) => {
    const memory = new MemoryStore();
    const refuse = (callback: Answer | undefined) => void callback?.(new Error('refused'));
    return {
      fails,
      get: (id: string, callback: Answer) =>
        fails.get ? refuse(callback) : memory.get(id, callback as never),
      set: (id: string, session: object, callback?: Answer) =>
        fails.set ? refuse(callback) : memory.set(id, session as never, callback as never),
    };
  };

  it('a second read that fails: the save is unknown', async () => {
    const { store, report } = lostUpdateMeter(failing({}));
    const [one] = await twoReaders(store);
    store.fails.get = true;
    expect(await save(store, 's', Object.assign(one, { n: 2 }))).toBeUndefined();
    expect(report()).toMatchObject({ saves: 2, unknown: 2 });
  });

  it('a second read that throws: the save is made, and is unknown', async () => {
    const { store, report } = lostUpdateMeter({
      get: (_id: string, _callback: Answer) => {
        throw new Error('thrown');
      },
      set: (_id: string, _session: object, callback: Answer) => callback(),
      createSession: (request: object, record: object) => Object.assign(record, { req: request }),
    });
    const session = store.createSession({ method: 'POST', url: '/a?b' }, { n: 1 });
    Object.defineProperty(session, 'req', { value: session.req, enumerable: false });
    await save(store, 's', session);
    expect(report()).toMatchObject({ unknown: 1, routes: [{ route: 'POST /a', saves: 1 }] });
  });

  it('a second read that is never answered: the save is unknown, and further ones are not read again', () => {
    const slow = new SlowStore();
    slow.texts.set('s', '{"n":0}');
    const { store, report } = lostUpdateMeter(slow, { maxPending: 1 });
    const records: object[] = [];
    for (let count = 0; count < 3; count += 1) store.get('s', (_error, record) => records.push(record!));
    store.answer();
    slow.calls.length = 0;
    for (const record of records) store.set('s', record);
    expect(slow.calls).toEqual(['get s', 'set s', 'set s', 'set s']);
    expect(report()).toMatchObject({ saves: 3, unknown: 3 });
    store.answer();
    expect(report()).toMatchObject({ saves: 3, unknown: 2 });
  });

  it('a save that the store refuses overwrote nothing, and what was read before is still what was read', async () => {
    const { store, report } = lostUpdateMeter(failing({}));
    const [one, other] = await twoReaders(store);
    store.fails.set = true;
    expect(await save(store, 's', Object.assign(other, { b: 1 }))).toEqual(new Error('refused'));
    store.fails.set = false;
    expect(report()).toMatchObject({ saves: 1 });
    await save(store, 's', Object.assign(one, { a: 1 }));
    await save(store, 's', other);
    await expect.poll(report).toMatchObject({ saves: 3, lost: 1, keys: [{ key: 'a', saves: 1 }] });
  });

  it('a session that is no JSON: the store is asked all the same, and the save is unknown', async () => {
    const saved: object[] = [];
    const { store, report } = lostUpdateMeter({
      get: (_id: string, callback: Answer) => callback(null, { n: 1n }),
      set: (_id: string, session: object, callback: Answer) => {
        saved.push(session);
        return callback();
      },
    });
    const record = await read(store, 's');
    await save(store, 's', record);
    expect(saved).toEqual([record]);
    expect(report()).toMatchObject({ saves: 1, unknown: 1 });
  });

  it('an error of the application in its callback is its own', () => {
    const slow = new SlowStore();
    const { store } = lostUpdateMeter(slow);
    store.set('s', {}, () => {
      throw new Error('of the application');
    });
    expect(() => store.answer()).toThrow('of the application');
  });
});

describe('bounds', () => {
  it('of routes and keys: those beyond are counted together', () => {
    const meter = lostUpdateMeter(new MemoryStore() as MeteredStore, { maxRoutes: 2 });
    for (const url of ['/a', '/b', '/c', '/d']) {
      meter.store.set('s', { req: { method: 'GET', url } } as never, undefined as never);
    }
    const routes = meter.report().routes.map(({ route, saves }) => `${route} ${saves}`);
    expect(routes.sort()).toEqual(['(other routes) 2', 'GET /a 1', 'GET /b 1']);
  });

  it('of merged reports', () => {
    const counts = { saves: 2, lost: 1, same: 0, revived: 0, unknown: 0 };
    const report = (name: string) => ({
      ...counts,
      routes: [{ route: name, ...counts }],
      keys: [{ key: name, saves: 1 }],
    });
    const all = mergeReports(['a', 'b', 'b', 'c'].map(report), { maxRoutes: 2, maxKeys: 1 });
    expect(all).toMatchObject({ saves: 8, lost: 4 });
    expect(all.routes.map(({ route, lost }) => `${route} ${lost}`)).toEqual([
      'b 2',
      'a 1',
      '(other routes) 1',
    ]);
    expect(all.keys).toEqual([
      { key: '(other keys)', saves: 3 },
      { key: 'a', saves: 1 },
    ]);
  });

  it('of a name that would spoil the table', () => {
    const meter = lostUpdateMeter(new MemoryStore() as MeteredStore);
    const url = `/\u001b[31m\n${'x'.repeat(1_000)}`;
    meter.store.set('s', { req: { method: 'GET', url } } as never, undefined as never);
    expect(reportText(meter.report())).toMatch(/\nGET \/\?\[31m\?x{1,200} +1 /);
  });
});

describe('settings', () => {
  it.each<[options: object | null, told: string]>([
    [{ maxRoutes: 0 }, `lostUpdateMeter: 'maxRoutes' (0): `],
    [{ maxKeys: 1.5 }, `lostUpdateMeter: 'maxKeys' (1.5): `],
    [{ maxPending: 'many' }, `lostUpdateMeter: 'maxPending' ("many"): `],
    [{ ignoredKeys: 'a' }, `lostUpdateMeter: 'ignoredKeys' ("a"): `],
    [{ maxRoute: 1 }, 'lostUpdateMeter: Unrecognized key: "maxRoute"'],
    [null, 'lostUpdateMeter: the options are null'],
  ])('%s is refused', (options, told) => {
    expect(() => lostUpdateMeter(new MemoryStore(), options as never)).toThrow(told);
  });

  it.each<[what: string, store: unknown, told: string]>([
    ['nothing', undefined, 'must have the methods get and set'],
    ['one without set', { get: () => undefined }, 'must have the methods get and set'],
    ['a frozen one', Object.freeze(new SlowStore()), 'is frozen'],
    ['one with a meter', lostUpdateMeter(new MemoryStore()).store, 'has a meter already'],
  ])('a store that is %s is refused', (_what, store, told) => {
    expect(() => lostUpdateMeter(store as MeteredStore)).toThrow(told);
  });

  it('keys that are ignored do not count', async () => {
    const { store, report } = lostUpdateMeter<MeteredStore>(new MemoryStore(), { ignoredKeys: ['seen'] });
    const [one, other] = await twoReaders(store, { seen: 0 });
    await save(store, 's', Object.assign(one, { seen: 1 }));
    await save(store, 's', Object.assign(other, { seen: 2 }));
    await expect.poll(report).toMatchObject({ saves: 3, lost: 0, unknown: 1 });
  });
});
