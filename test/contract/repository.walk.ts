/**
 * A random walk over a repository beside a simple model: claims, applies (some with an old epoch), looks (at
 * the sessions, and at some that are due) and, for some adapters, reopenings. The walk awaits claims and
 * applies only at the next look. So it tries the order of calls and the group commit, too.
 */
import * as fc from 'fast-check';
import { expect } from 'vitest';
import { EpochLostError, type SessionWrite } from '#repository';
import { deployment, marks, stored, write, type Fixture, type Text } from './repository.fixture.js';

interface Change {
  readonly id: string;
  /** Null removes the session. A null attribute removes the attribute. */
  readonly head: string | null;
  readonly attributes: Readonly<Record<string, string | null>>;
  /** The new mark of its expiry. Null removes the mark, undefined keeps it. */
  readonly expires?: number | null;
}

/** A query of the expiry index. */
interface Due {
  readonly before: number;
  readonly limit: number;
}

type Step =
  | { what: 'apply'; to: number; stale: boolean; changes: readonly Change[] }
  | { what: 'claim'; to: number }
  | { what: 'look'; due: Due }
  | { what: 'reopen' };

const PARTITIONS = [0, 1];
const IDS = ['a', 'a!', 'b'];

const to = fc.constantFrom(...PARTITIONS);
const text = fc.string({ maxLength: 3 });
const aChange: fc.Arbitrary<Change> = fc.record(
  {
    id: fc.constantFrom(...IDS),
    head: fc.option(text),
    attributes: fc.dictionary(fc.constantFrom('x', 'head', '😀'), fc.option(text, { freq: 2 })),
    expires: fc.option(fc.nat({ max: 12 })),
  },
  { requiredKeys: ['id', 'head', 'attributes'] },
);
const anApply: fc.Arbitrary<Step> = fc.record({
  what: fc.constant('apply'),
  to,
  stale: fc.nat({ max: 4 }).map((n) => n === 4),
  changes: fc.array(aChange, { maxLength: 3 }),
});
const another: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ what: fc.constant('claim'), to }),
  fc.record({
    what: fc.constant('look'),
    due: fc.record({ before: fc.nat({ max: 12 }), limit: fc.nat({ max: 3 }) }),
  }),
  fc.record({ what: fc.constant('reopen') }),
);

const aStep = fc.oneof({ weight: 3, arbitrary: anApply }, { weight: 1, arbitrary: another });
export const walks = fc.array(aStep, { maxLength: 40 });

/** Walks, and fails when the repository answers differently from the model. */
export async function walk(fixture: Fixture, steps: readonly Step[]): Promise<void> {
  let { repository } = fixture;
  const model = PARTITIONS.map(() => ({
    epoch: 0,
    sessions: new Map<string, Text>(),
    marks: new Map<string, number>(),
  }));
  const called: Promise<unknown>[] = [];

  const claim = (partition: number) => {
    const epoch = (model[partition]!.epoch += 1);
    called.push(repository.claim(partition, deployment).then((made) => expect(made.epoch).toBe(epoch)));
  };
  const look = async (due: Due = { before: Number.MAX_SAFE_INTEGER, limit: IDS.length + 1 }) => {
    await Promise.all(called.splice(0));
    for (const partition of PARTITIONS) {
      const { sessions, marks: expected } = model[partition]!;
      expect(await stored(repository, partition, IDS)).toEqual(Object.fromEntries(sessions));
      expectDue(await marks(repository, partition, due), expected, due);
    }
  };

  PARTITIONS.forEach(claim);
  for (const step of steps) {
    if (step.what === 'claim') {
      claim(step.to);
    } else if (step.what === 'look') {
      await look(step.due);
    } else if (step.what === 'reopen') {
      await look();
      if (!fixture.reopen) continue;
      repository = await fixture.reopen();
      PARTITIONS.forEach(claim);
    } else {
      const { epoch, ...state } = model[step.to]!;
      const writes = step.changes.map((change) => {
        const made = asWrite(change, state.marks.get(change.id));
        if (!step.stale) follow(state, change);
        return made;
      });
      const call = repository.apply(step.to, step.stale ? epoch - 1 : epoch, writes);
      called.push(step.stale ? refused(call) : call);
    }
  }
  await look();
}

async function refused(call: Promise<void>): Promise<void> {
  await expect(call).rejects.toBeInstanceOf(EpochLostError);
}

/** A removal names the old mark, as a caller must. */
function asWrite({ id, head, attributes, expires }: Change, was: number | undefined): SessionWrite {
  const moves = head === null || expires !== undefined;
  return write(id, head, attributes, moves ? { was, is: expires ?? undefined } : undefined);
}

/** Checks that exactly these are due up to the limit. Equal marks may come in any order. */
function expectDue(
  found: readonly [id: string, expires: number][],
  expected: ReadonlyMap<string, number>,
  { before, limit }: Due,
): void {
  const due = Array.from(expected.values())
    .filter((mark) => mark <= before)
    .toSorted((a, b) => a - b);
  expect(found.map(([, mark]) => mark)).toEqual(due.slice(0, limit));
  expect(new Set(found.map(([id]) => id)).size).toBe(found.length);
  for (const [id, mark] of found) expect(mark).toBe(expected.get(id));
}

interface State {
  readonly sessions: Map<string, Text>;
  readonly marks: Map<string, number>;
}

/** Applies a change to the model. */
function follow({ sessions, marks }: State, { id, head, attributes, expires }: Change): void {
  if (head === null || expires === null) marks.delete(id);
  else if (expires !== undefined) marks.set(id, expires);
  if (head === null) {
    sessions.delete(id);
    return;
  }
  const next = new Map([...Object.entries(sessions.get(id)?.[1] ?? {}), ...Object.entries(attributes)]);
  const kept = Array.from(next).filter((entry): entry is [string, string] => entry[1] !== null);
  sessions.set(id, [head, Object.fromEntries(kept)]);
}
