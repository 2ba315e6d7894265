/**
 * A random walk over a repository beside a model too simple to be wrong: claims, applies (some with an old epoch),
 * looks and, where the adapter can, reopenings. Claims and applies are awaited only at the next look, so the walk
 * tries the order of calls and the group commit too.
 */
import * as fc from 'fast-check';
import { expect } from 'vitest';
import { EpochLostError } from '#repository';
import { deployment, stored, write, type Place, type Text } from './repository.place.js';

interface Change {
  readonly id: string;
  /** Null removes the session; a null among the attributes deletes that one. */
  readonly head: string | null;
  readonly attributes: Readonly<Record<string, string | null>>;
}

type Step =
  | { what: 'apply'; to: number; stale: boolean; changes: readonly Change[] }
  | { what: 'claim'; to: number }
  | { what: 'look' }
  | { what: 'reopen' };

const PARTITIONS = [0, 1];
const IDS = ['a', 'a!', 'b'];

const to = fc.constantFrom(...PARTITIONS);
const text = fc.string({ maxLength: 3 });
const aChange: fc.Arbitrary<Change> = fc.record({
  id: fc.constantFrom(...IDS),
  head: fc.option(text),
  attributes: fc.dictionary(fc.constantFrom('x', 'head', '😀'), fc.option(text, { freq: 2 })),
});
const anApply: fc.Arbitrary<Step> = fc.record({
  what: fc.constant('apply'),
  to,
  stale: fc.nat({ max: 4 }).map((n) => n === 4),
  changes: fc.array(aChange, { maxLength: 3 }),
});
const another: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ what: fc.constant('claim'), to }),
  fc.record({ what: fc.constant('look') }),
  fc.record({ what: fc.constant('reopen') }),
);

const aStep = fc.oneof({ weight: 3, arbitrary: anApply }, { weight: 1, arbitrary: another });
export const walks = fc.array(aStep, { maxLength: 40 });

/** Walks, and fails where the repository answers otherwise than the model. */
export async function walk(place: Place, steps: readonly Step[]): Promise<void> {
  let { repository } = place;
  const model = PARTITIONS.map(() => ({ epoch: 0, sessions: new Map<string, Text>() }));
  const called: Promise<unknown>[] = [];

  const claim = (partition: number) => {
    const epoch = (model[partition]!.epoch += 1);
    called.push(repository.claim(partition, deployment).then((made) => expect(made.epoch).toBe(epoch)));
  };
  const look = async () => {
    await Promise.all(called.splice(0));
    for (const partition of PARTITIONS)
      expect(await stored(repository, partition, IDS)).toEqual(
        Object.fromEntries(model[partition]!.sessions),
      );
  };

  PARTITIONS.forEach(claim);
  for (const step of steps) {
    if (step.what === 'claim') {
      claim(step.to);
    } else if (step.what === 'look') {
      await look();
    } else if (step.what === 'reopen') {
      await look();
      if (!place.reopen) continue;
      repository = await place.reopen();
      PARTITIONS.forEach(claim);
    } else {
      const { epoch, sessions } = model[step.to]!;
      const writes = step.changes.map(({ id, head, attributes }) => write(id, head, attributes));
      const call = repository.apply(step.to, step.stale ? epoch - 1 : epoch, writes);
      called.push(step.stale ? refused(call) : call);
      if (!step.stale) for (const change of step.changes) follow(sessions, change);
    }
  }
  await look();
}

async function refused(call: Promise<void>): Promise<void> {
  await expect(call).rejects.toBeInstanceOf(EpochLostError);
}

/** What a change does to the model. */
function follow(sessions: Map<string, Text>, { id, head, attributes }: Change): void {
  if (head === null) {
    sessions.delete(id);
    return;
  }
  const next = new Map([...Object.entries(sessions.get(id)?.[1] ?? {}), ...Object.entries(attributes)]);
  const kept = Array.from(next).filter((entry): entry is [string, string] => entry[1] !== null);
  sessions.set(id, [head, Object.fromEntries(kept)]);
}
