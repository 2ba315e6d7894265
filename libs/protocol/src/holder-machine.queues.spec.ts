/** The holder's side of queues of sessions (rule 21): what is put into them and when, and what is said to the store instead of it. */
import { beforeEach, expect, it } from 'vitest';
import { HolderMachine } from './holder-machine.js';
import type { Acquire, HolderMessage, StoreMessage } from './messages.js';
import { testRules } from './pair.harness.js';
import { shown } from './words.harness.js';

let machine: HolderMachine;
let time: number;
beforeEach(() => {
  machine = new HolderMachine({ ...testRules, queues: 'per-session' });
  time = 0;
  machine.connected(now());
  said();
});

const now = () => ({ mono: time, wall: 1_000_000 + time });
/** Without renewals. */
const messages = (): HolderMessage[] =>
  [...machine.takeMessages().values()].flat().filter(({ kind }) => kind !== 'renew');
const said = () => messages().map(shown);

function want(waitMs = 10_000): Acquire {
  machine.want('s', time + waitMs, new Map(), now());
  const [acquire, ...more] = messages();
  expect([acquire?.kind, more]).toEqual(['acquire', []]);
  return acquire as Acquire;
}

function hear(...heard: StoreMessage[]): void {
  machine.receive({ version: 1, partition: 0, epoch: 1, messages: heard }, now());
}

function tick(ms: number): string[] {
  time += ms;
  machine.tick(now());
  return said();
}

const unheard = (request: number) => ({ kind: 'refused', session: 's', request, why: 'unheard' }) as const;

it('an acquire is put into the queue once; a knock says so, and is said again until it is answered', () => {
  const acquire = want();
  expect(tick(1_000)).toEqual([]); // it is on its way into the queue
  machine.asked(acquire, true, now());
  expect(messages()).toMatchObject([{ kind: 'knock', request: 1, ageMs: 0, waitMs: 9_000 }]);
  time += 1_000;
  machine.tick(now());
  expect(messages()).toMatchObject([{ kind: 'knock', request: 1, ageMs: 1_000, waitMs: 8_000 }]);
});

it('an acquire that found no way into the queue is put there by the next repeat', () => {
  machine.asked(want(), false, now());
  expect(said()).toEqual([]);
  expect(tick(1_000)).toHaveLength(1);
});

it('a new connection puts it there once more: the first one keeps the place, the second says where answers go', () => {
  machine.asked(want(), true, now());
  said();
  machine.connected(now());
  expect(messages()).toMatchObject([{ kind: 'acquire', request: 1 }]);
});

it('what came of an acquire before a new connection does not count any more', () => {
  const first = want();
  machine.connected(now());
  const [second] = messages() as Acquire[];
  machine.asked(first, true, now());
  expect(said()).toEqual([]);
  machine.asked(second!, true, now());
  expect(messages()).toMatchObject([{ kind: 'knock', ageMs: 0 }]);
});

it('an acquire that the store misses is put there again, once for each time that it says so', () => {
  const acquire = want();
  hear(unheard(1)); // an old answer: it is on its way
  expect(said()).toEqual([]);
  machine.asked(acquire, true, now());
  said();
  hear(unheard(1));
  expect(messages()).toMatchObject([{ kind: 'acquire', request: 1 }]);
  hear(unheard(1));
  expect(said()).toEqual([]);
  expect(machine.takeEvents()).toEqual([]); // nobody is refused
});

it('who waits longer than an acquire stands in the queue puts it there again', () => {
  machine.asked(want(2_000), true, now());
  said();
  machine.want('s', 5_000, new Map(), now());
  said();
  time = 1_999;
  machine.tick(now());
  expect(messages()).toMatchObject([{ kind: 'knock' }]);
  time = 3_000;
  machine.tick(now());
  expect(messages()).toMatchObject([{ kind: 'acquire', request: 1, waitMs: 2_000 }]);
});

it('a limit ends the request, and is told', () => {
  const acquire = want();
  machine.turnedAway(acquire, 'too-many-queues', 'a limit', now());
  expect(machine.takeEvents()).toEqual([
    { kind: 'refused', session: 's', why: 'too-many-queues', detail: 'a limit' },
  ]);
  expect(tick(5_000)).toEqual([]);
});

it('a request that was given up on its way into the queue is cancelled, and no knock follows', () => {
  const acquire = want();
  machine.giveUp('s', now());
  expect(said()).toEqual(['cancel s #1']);
  machine.asked(acquire, true, now());
  expect(said()).toEqual([]);
});
