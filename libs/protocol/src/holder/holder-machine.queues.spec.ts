/**
 * The holder's side of the queues of sessions (rule 21): what it puts into them and when, and what it sends
 * to the store instead.
 */
import { beforeEach, expect, it } from 'vitest';
import { HolderMachine } from './holder-machine.js';
import type { Acquire, HolderMessage, StoreMessage } from '../wire/messages.js';
import { testParameters } from '../testing/pair.js';
import { asText } from '../testing/message-text.js';

let machine: HolderMachine;
let time: number;
beforeEach(() => {
  machine = new HolderMachine({ ...testParameters, queues: 'per-session' });
  time = 0;
  machine.connected(now());
  said();
});

const now = () => ({ mono: time, wall: 1_000_000 + time });
/** Without renewals. */
const messages = (): HolderMessage[] =>
  [...machine.takeMessages().values()].flat().filter(({ kind }) => kind !== 'renew');
const said = () => messages().map(asText);

function want(waitMs = 10_000): Acquire {
  machine.want('s', time + waitMs, new Map(), now());
  const [acquire, ...more] = messages();
  expect([acquire?.kind, more]).toEqual(['acquire', []]);
  return acquire as Acquire;
}

function hear(...heard: StoreMessage[]): void {
  machine.receive({ partition: 0, epoch: 1, messages: heard }, now());
}

function tick(ms: number): string[] {
  time += ms;
  machine.tick(now());
  return said();
}

const unheard = (request: number) => ({ kind: 'refused', session: 's', request, why: 'unheard' }) as const;

it('rule 21: an acquire is put into the queue once, and its knock is repeated until it is answered', () => {
  const acquire = want();
  expect(tick(1_000)).toEqual([]); // it is on its way into the queue
  machine.enqueued(acquire, true, now());
  expect(messages()).toMatchObject([{ kind: 'knock', request: 1, ageMs: 0, waitMs: 9_000 }]);
  time += 1_000;
  machine.tick(now());
  expect(messages()).toMatchObject([{ kind: 'knock', request: 1, ageMs: 1_000, waitMs: 8_000 }]);
});

it('rule 21: an acquire that did not reach the queue is put there by the next repeat', () => {
  machine.enqueued(want(), false, now());
  expect(said()).toEqual([]);
  expect(tick(1_000)).toHaveLength(1);
});

it('rule 21: a new connection puts another acquire there, which names the new queue for answers', () => {
  machine.enqueued(want(), true, now());
  said();
  machine.connected(now());
  expect(messages()).toMatchObject([{ kind: 'acquire', request: 1 }]);
});

it('rule 21: an acquire on its way into the queue does not count after a new connection', () => {
  const first = want();
  machine.connected(now());
  const [second] = messages() as Acquire[];
  machine.enqueued(first, true, now());
  expect(said()).toEqual([]);
  machine.enqueued(second!, true, now());
  expect(messages()).toMatchObject([{ kind: 'knock', ageMs: 0 }]);
});

it('rule 21: an acquire that the store misses is put there again, once for each of its refusals', () => {
  const acquire = want();
  hear(unheard(1)); // an old answer. It is on its way
  expect(said()).toEqual([]);
  machine.enqueued(acquire, true, now());
  said();
  hear(unheard(1));
  expect(messages()).toMatchObject([{ kind: 'acquire', request: 1 }]);
  hear(unheard(1));
  expect(said()).toEqual([]);
  expect(machine.takeEvents()).toEqual([]); // no request is refused
});

it('rule 21: an acquire whose time in the queue ends before the wait is put there again', () => {
  machine.enqueued(want(2_000), true, now());
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

it('rule 21: a limit ends the request, with an event', () => {
  const acquire = want();
  machine.turnedAway(acquire, 'too-many-queues', 'a limit', now());
  expect(machine.takeEvents()).toEqual([
    { kind: 'refused', session: 's', why: 'too-many-queues', detail: 'a limit' },
  ]);
  expect(tick(5_000)).toEqual([]);
});

it('rule 21: a request that is given up on its way into the queue is cancelled without a knock', () => {
  const acquire = want();
  machine.giveUp('s');
  expect(said()).toEqual(['cancel s #1']);
  machine.enqueued(acquire, true, now());
  expect(said()).toEqual([]);
});

it('rule 12: an empty release is in the frame of a renewal, although a knock follows in the same turn', () => {
  const acquire = want();
  const astray = { kind: 'recall', session: 't', token: [1, 7] } as const;
  machine.receive({ partition: 0, epoch: 1, messages: [astray] }, now(), () =>
    machine.enqueued(acquire, true, now()),
  );
  const all = [...machine.takeMessages().values()].flat().map(({ kind }) => kind);
  expect(all).toEqual(['release', 'renew', 'knock']);
});
