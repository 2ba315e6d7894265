// The verdict against a model that knows who wrote what: each write has a value of its own there, so the
// model needs no comparison of values. And what must never count, whatever the values are.
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { judge, snapshot, type Snapshot } from './verdict.js';

vi.setConfig({ testTimeout: 60_000 });

const ignored = new Set(['cookie']);
const keys = fc.constantFrom('a', 'b', 'c');
const session = fc.dictionary(keys, fc.jsonValue({ maxDepth: 3 }));
const taken = (value: unknown) => snapshot(value, ignored);

describe('what does not count', () => {
  it('a save of what nobody changed since it was read', () => {
    fc.assert(
      fc.property(session, session, (read, next) => {
        const verdict = judge({ base: taken(read), current: taken(read), next: taken(next) });
        expect(verdict).toEqual({ kind: 'clean', keys: [] });
      }),
    );
  });

  it('a save that has every change of others: it is never lost', () => {
    fc.assert(
      fc.property(session, session, session, (read, current, own) => {
        const changed = new Set(
          [...Object.keys(read), ...Object.keys(current)].filter(
            (key) => taken(read).get(key) !== taken(current).get(key),
          ),
        );
        const merged = Object.fromEntries([
          ...Object.entries(own).filter(([key]) => !changed.has(key)),
          ...Object.entries(current).filter(([key]) => changed.has(key)),
        ]);
        const { kind } = judge({ base: taken(read), current: taken(current), next: taken(merged) });
        expect(kind).toBe(changed.size > 0 ? 'same' : 'clean');
      }),
    );
  });

  it('the order of keys at any depth, and the cookie', () => {
    const turned = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(turned);
      if (typeof value !== 'object' || value === null) return value;
      const entries = Object.entries(value).reverse();
      return Object.fromEntries(entries.map(([key, inner]) => [key, turned(inner)]));
    };
    fc.assert(
      fc.property(session, fc.jsonValue(), fc.jsonValue(), (value, cookie, other) => {
        const turnedRound = { ...(turned(value) as object), cookie: other };
        expect(taken({ ...value, cookie })).toEqual(taken(turnedRound));
      }),
    );
  });
});

describe('what counts', () => {
  it('is what a model finds that knows the version of each key', () => {
    const step = fc.record({
      who: fc.nat(3),
      what: fc.oneof(
        fc.constant({ kind: 'read' as const }),
        fc.record({ kind: fc.constant('change' as const), key: keys, isDelete: fc.boolean() }),
        fc.constant({ kind: 'save' as const }),
        fc.constant({ kind: 'destroy' as const }),
      ),
    });
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), play), { numRuns: 1_000 });
  });
});

/** Each write has a number of its own. A key that was deleted keeps a number, too. */
interface Version {
  readonly at: number;
  readonly isGone: boolean;
}
type Versions = ReadonlyMap<string, Version>;

interface Step {
  readonly who: number;
  readonly what:
    | { readonly kind: 'read' | 'save' | 'destroy' }
    | { readonly kind: 'change'; readonly key: string; readonly isDelete: boolean };
}

function play(steps: readonly Step[]): void {
  let stored: Versions | undefined = new Map();
  const verdicts: (readonly [verdict: string, expected: string])[] = [];
  const readers = new Map<number, { base: Versions | undefined; own: Map<string, Version> }>();
  const snapshotOf = (versions: Versions): Snapshot =>
    new Map([...versions].filter(([, { isGone }]) => !isGone).map(([key, { at }]) => [key, String(at)]));
  let at = 0;
  for (const { who, what } of steps) {
    at += 1;
    const reader = readers.get(who);
    if (what.kind === 'destroy') stored = undefined;
    else if (what.kind === 'read' || !reader) readers.set(who, { base: stored, own: new Map(stored) });
    else if (what.kind === 'change') reader.own.set(what.key, { at, isGone: what.isDelete });
    else {
      const { base, own } = reader;
      const next: Versions = new Map(own);
      const verdict = judge({
        base: base && snapshotOf(base),
        current: stored && snapshotOf(stored),
        next: snapshotOf(next),
      });
      verdicts.push([verdict.kind, expected(base, stored, next)]);
      stored = next;
      reader.base = next;
    }
  }
  expect(verdicts.map(([verdict]) => verdict)).toEqual(verdicts.map(([, expected]) => expected));
}

function expected(base: Versions | undefined, current: Versions | undefined, next: Versions) {
  if (!current) return base ? 'revived' : 'clean';
  const versionOf = (versions: Versions | undefined, key: string) => {
    const version = versions?.get(key);
    return version && !version.isGone ? version.at : 0; // a deletion is like another one
  };
  const unread = ['a', 'b', 'c'].filter((key) => versionOf(base, key) !== versionOf(current, key));
  if (unread.some((key) => versionOf(next, key) !== versionOf(current, key))) return 'lost';
  return unread.length > 0 ? 'same' : 'clean';
}
