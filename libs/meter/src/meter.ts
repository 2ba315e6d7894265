/**
 * The meter of a session store: it reads each session again just before it is saved, and counts how many
 * saves overwrote a change that they had not read. It changes nothing of what the store does, and an error of
 * its own reaches nobody.
 */
import { Readings } from './readings.js';
import type { MeterReport } from './report.js';
import { routeOf } from './requests.js';
import { readMeterOptions, type LostUpdateMeterOptions, type MeterSettings } from './settings.js';
import { Tally } from './tally.js';
import { judge, sharedKeys, snapshot, type Snapshot, type Verdict } from './verdict.js';

/** A store as express-session and @fastify/session take it. */
export interface MeteredStore {
  // Each product has types of its own for the arguments, and none of them is read here.
  get: (id: string, callback: never) => unknown;
  set: (id: string, session: never, callback: never) => unknown;
}

export interface LostUpdateMeter<S extends MeteredStore> {
  /** The store that the meter was given. */
  readonly store: S;
  /** What was counted so far. Saves whose second read is not answered yet are `unknown`. */
  report(): MeterReport;
  /** The store is as it was before. What was counted stays. */
  stop(): void;
}

type Callback = (error?: unknown, session?: unknown) => unknown;
type Method = (...given: unknown[]) => unknown;

/** Of every copy of this library: two meters would take each other's reads for the application's. */
const mark = Symbol.for('locked-session.meter');

/**
 * Puts a meter into a store, whose methods `get`, `set` and `createSession` are replaced in place. Throws a
 * `TypeError` when the store has a meter already, cannot be changed or is none, and when an option is wrong.
 */
export function lostUpdateMeter<S extends MeteredStore>(
  store: S,
  options: LostUpdateMeterOptions = {},
): LostUpdateMeter<S> {
  const settings = readMeterOptions(options);
  const { get, set, createSession } = storeMethods(store);
  const tally = new Tally(settings);
  const readings = new Readings();
  const watch = new SaveWatch(settings, tally, readings, get.bind(store));
  const note = (id: unknown, record: unknown) => {
    if (typeof record === 'object' && record !== null)
      readings.got(String(id), record, watch.snapshot(record));
  };
  const restore = replaceMethods(store, {
    get: (id, callback, ...more) => {
      if (typeof callback === 'function') {
        const noted: Method = (...answer) => {
          harmless(() => note(id, answer[1]));
          return (callback as Method)(...answer);
        };
        return get.call(store, id, noted, ...more);
      }
      const found = get.call(store, id, callback, ...more);
      if (!(found instanceof Promise)) return found;
      return found.then((record: unknown) => {
        harmless(() => note(id, record));
        return record;
      });
    },
    set: (id, session, callback, ...more) => {
      const save = harmless(() => watch.begin(String(id), session as object));
      if (typeof callback !== 'function') {
        harmless(() => save?.ended(undefined));
        return set.call(store, id, session, callback, ...more);
      }
      const ended: Method = (...answer) => {
        harmless(() => save?.ended(answer[0]));
        return (callback as Method)(...answer);
      };
      return set.call(store, id, session, ended, ...more);
    },
    ...(createSession && {
      createSession: (...given: unknown[]) => {
        const session = createSession.apply(store, given);
        harmless(() => readings.made(session as object, given[1] as object, () => watch.snapshot(session)));
        return session;
      },
    }),
  });
  return { store, report: () => tally.report(), stop: restore };
}

/** The saves that are under way: each waits for its second read and for the store's answer. */
class SaveWatch {
  private pending = 0;
  private readonly ignored: ReadonlySet<string>;

  constructor(
    private readonly settings: MeterSettings,
    private readonly tally: Tally,
    private readonly readings: Readings,
    private readonly get: (id: string, callback: Callback) => unknown,
  ) {
    this.ignored = new Set(['cookie', ...settings.ignoredKeys]);
  }

  snapshot(record: unknown): Snapshot {
    return snapshot(record, this.ignored);
  }

  /**
   * Asks for the session in the same turn in which the save is handed to the store. So no save waits for the
   * meter, and the store gets what it would get without it.
   */
  begin(id: string, session: object): { ended(error: unknown): void } {
    const reading = this.readings.of(id, session);
    const counted = this.tally.save(routeOf(reading?.request));
    const next = harmless(() => this.snapshot(session));
    const before = reading?.base;
    reading?.rebase(next);
    let outcome: 'open' | 'taken' | 'failed' = 'open';
    let verdict: Verdict | undefined;
    const countWhenKnown = () => void (outcome === 'taken' && verdict && counted.judged(verdict));
    if (reading && next) {
      this.readAgain(id, (record) => {
        const current = record && this.snapshot(record);
        const shared = record && sharedKeys(record, session);
        verdict = judge({ base: before, current, next, ...(shared && { shared }) });
        countWhenKnown();
      });
    }
    return {
      ended: (error) => {
        if (outcome !== 'open') return;
        outcome = isNone(error) ? 'taken' : 'failed';
        if (outcome === 'taken') return countWhenKnown();
        counted.failed();
        reading?.rebase(before);
      },
    };
  }

  /** Calls back once, or never where the session cannot be read. */
  private readAgain(id: string, answer: (record: object | undefined) => void): void {
    if (this.pending >= this.settings.maxPending) return;
    this.pending += 1;
    let isOpen = true;
    const close = () => {
      if (isOpen) this.pending -= 1;
      isOpen = false;
    };
    const take = (record: unknown) => {
      if (!isOpen) return;
      close();
      harmless(() => answer(isNone(record) ? undefined : (record as object)));
    };
    try {
      const found = this.get(id, (error, record) => {
        if (isNone(error) || isMissing(error)) take(record);
        else close();
      });
      // A store that answers by its promise alone. Without a value the callback is still to come.
      if (found instanceof Promise) found.then((record) => record !== undefined && take(record), close);
    } catch {
      close();
    }
  }
}

const isNone = (value: unknown): boolean => value === undefined || value === null;

/** So stores of files say that a session is not there. */
const isMissing = (error: unknown): boolean => (error as { code?: unknown }).code === 'ENOENT';

function storeMethods(store: MeteredStore): { get: Method; set: Method; createSession: Method | undefined } {
  const given: unknown = store; // an application may be without types
  const { get, set, createSession } = (given ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof get !== 'function' || typeof set !== 'function')
    throw new TypeError('lostUpdateMeter: the store must have the methods get and set');
  if (mark in store) throw new TypeError('lostUpdateMeter: the store has a meter already');
  return {
    get: get as Method,
    set: set as Method,
    createSession: typeof createSession === 'function' ? (createSession as Method) : undefined,
  };
}

/** On the store itself, so that its class, its events and its other methods are what they were. */
function replaceMethods(store: object, methods: Readonly<Record<string, Method>>): () => void {
  const before = Object.keys(methods).map(
    (name) => [name, Object.getOwnPropertyDescriptor(store, name)] as const,
  );
  if (!Object.isExtensible(store) || before.some(([, own]) => own?.configurable === false))
    throw new TypeError('lostUpdateMeter: the store is frozen, so no meter can be put into it');
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(store, name, { value, writable: true, configurable: true, enumerable: false });
  }
  Object.defineProperty(store, mark, { value: true, configurable: true, enumerable: false });
  return () => {
    for (const [name, own] of before) {
      const now: unknown = Reflect.get(store, name);
      if (now !== methods[name]) continue; // somebody has replaced it since
      Reflect.deleteProperty(store, name);
      if (own) Object.defineProperty(store, name, own);
    }
    Reflect.deleteProperty(store, mark);
  };
}

/** An error of the meter is nothing that an application should see. */
function harmless<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch {
    return undefined;
  }
}
