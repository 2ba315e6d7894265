/** Which way a holder's messages go: to the partition's queue, or to the own queue of its owner (rule 22). */
import { beforeEach, expect, it } from 'vitest';
import type { HolderMessage } from '../wire/messages.js';
import { HolderMachine } from './holder-machine.js';
import { Routes } from './routes.js';
import { holderRules } from './rules.js';
import { changes } from '../testing/message-text.js';
import { testParameters } from '../testing/pair.js';

const repeatMs = 1_000;
const leave: HolderMessage = { kind: 'leave' };
const acquire: HolderMessage = {
  ...{ kind: 'acquire', session: 's', request: 1, mode: 'exclusive', waitMs: 5 },
  ...{ known: undefined, create: undefined },
};

let routes: Routes;
beforeEach(() => {
  routes = new Routes(holderRules);
});

const split = (mono: number, ...outbox: [partition: number, messages: HolderMessage[]][]) => {
  const { toStores, toPartitions } = routes.split(new Map(outbox), () => 7, mono);
  const told = (parts: readonly { partition: number; messages: readonly HolderMessage[] }[]) =>
    parts.map(({ partition, messages }) => `${partition}: ${messages.map(({ kind }) => kind).join(' ')}`);
  const direct = [...toStores].map(([key, parts]) => [key, ...told(parts)]);
  return [...direct, ...told(toPartitions)];
};

it('rule 22: what goes to one store is one frame for all its partitions, and no part is empty', () => {
  for (const partition of [0, 1]) routes.heard(partition, 'one');
  routes.heard(2, 'two');
  expect(split(0, [0, [leave, acquire]], [1, [leave]], [2, [leave]], [3, [leave]])).toEqual([
    ['one', '0: leave', '1: leave'],
    ['two', '2: leave'],
    '0: acquire',
    '3: leave',
  ]);
});

it('rule 22: only another key than the believed one says that what went there may be lost', () => {
  const heard = ['', 'one', 'one', 'two', ''].map((key) => routes.heard(0, key));
  expect(heard).toEqual([false, false, false, true, true]);
});

it('rule 22: an owner is found again after it was not believed, and nothing is sent twice for that', () => {
  routes.heard(0, 'one');
  expect([routes.disowned(0, 'one'), routes.disowned(0, 'one')]).toEqual([true, false]);
  expect(routes.heard(0, 'one')).toBe(false);
  expect(split(0, [0, [leave]])).toEqual([['one', '0: leave']]);
});

it('rule 22: a store disowns nothing of a partition that was never heard of', () => {
  expect(routes.disowned(5, 'one')).toBe(false);
});

it('rule 22: the first message without an answer begins the silence, and an answer ends it', () => {
  const from = 100_000;
  const isDirectAt = (mono: number) => {
    routes.tick(mono, repeatMs);
    return split(mono, [0, [leave]]).length === 1 && split(mono, [0, [leave]])[0] !== '0: leave';
  };
  routes.heard(0, 'one');
  expect(isDirectAt(from)).toBe(true);
  expect(isDirectAt(from + repeatMs / 2 - 1)).toBe(true);
  expect(isDirectAt(from + repeatMs / 2), 'silent').toBe(false);
  routes.heard(0, 'one');
  expect(isDirectAt(from + repeatMs)).toBe(true);
  routes.heard(0, 'one');
  expect(isDirectAt(from + 2 * repeatMs), 'it has answered').toBe(true);
});

it('rule 22: what comes back is sent again for its own partition, which is renewed', () => {
  const machine = new HolderMachine({ ...testParameters, partitions: 2 });
  const now = { mono: 0, wall: 0 };
  const lists = { leaseMs: 60_000, ttlMs: 60_000, partitions: 2, recalled: [], revoked: [] };
  const grant = { kind: 'grant', request: 0, token: [1, 1], mode: 'exclusive', version: [1, 1, 0] } as const;
  const rest = { seq: 0, set: new Map(), keep: [], contended: false };
  const held = new Set<number>();
  for (const id of 'abcdefgh') {
    machine.want(id, 10_000, undefined, now);
    const [[partition, messages]] = [...machine.takeMessages()] as [[number, HolderMessage[]]];
    const asked = messages.find(({ kind }) => kind === 'acquire');
    if (held.has(partition) || asked?.kind !== 'acquire') continue;
    held.add(partition);
    const granted = { ...grant, ...rest, session: id, request: asked.request };
    const sent = [{ kind: 'renewed', n: 1, ...lists } as const, granted];
    machine.receive({ partition, epoch: 1, messages: sent }, now, () => {}, `store ${partition}`);
    const [event] = machine.takeEvents().filter(({ kind }) => kind === 'granted');
    if (event?.kind === 'granted') machine.commit(event.grant, changes({ cart: '1' }), now);
  }
  expect(held.size).toBe(2);
  machine.takeMessages();
  machine.returned('store 1', now);
  const again = [...machine.takeMessages()].map(([partition, all]) => [partition, all.map((m) => m.kind)]);
  expect(again).toEqual([[1, ['commit', 'renew']]]);
});
