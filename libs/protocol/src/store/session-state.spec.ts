/** One session in the store's memory: what its next write says, and how many bytes it counts. */
import { beforeEach, expect, it } from 'vitest';
import { changes } from '../testing/message-text.js';
import { limits } from '../wire/limits.js';
import type { GrantRecord, SessionRecord } from './record.js';
import { SessionState } from './session-state.js';

const ttlMs = 1_000;
const grant = (n: number): GrantRecord => ({
  token: [1, n],
  holder: 'a',
  request: 1,
  queue: 'a.1',
  seq: 0,
  revoked: false,
});
const record = (): SessionRecord => ({
  version: [1, 1, 1],
  grant: undefined,
  ended: [],
  touched: 10,
  expiryEntry: 500,
  destroyed: undefined,
  attributes: new Map([['cart', { bytes: new Uint8Array(7), version: [1, 1, 1] }]]),
});

let session: SessionState;
beforeEach(() => {
  session = new SessionState('s', record());
});
const write = () => session.takeWrite(ttlMs);

it('counts the bytes of what was loaded, and none after its removal', () => {
  expect(session.bytes).toBe(7);
  session.remove();
  expect(session.bytes).toBe(0);
});

it('writes what changed, once', () => {
  session.begin(grant(2), undefined, 20);
  session.apply(changes({ user: 'u', cart: 'c' }), session.grant!, 1);
  session.apply(changes({}, ['user']), session.grant!, 2);
  expect(write()).toMatchObject({ set: ['cart'], removed: ['user'] });
  expect(write()).toMatchObject({ set: [], removed: [] });
});

it('rule 15: a grant does not move the entry in the index, and a first one makes it', () => {
  session.begin(grant(2), undefined, 20);
  expect(write()).not.toHaveProperty('expires');
  session = new SessionState('s', undefined);
  session.begin(grant(1), undefined, 20);
  expect(session.record!.attributes.size).toBe(0);
  expect(write().expires).toEqual({ was: undefined, is: 20 + ttlMs });
  expect(write()).not.toHaveProperty('expires');
});

it('rule 15: an entry that the index named too early moves, once', () => {
  session.moveExpiry(700);
  expect(write().expires).toEqual({ was: 500, is: 700 });
  expect(write()).not.toHaveProperty('expires');
});

it('rule 14: the entry of a destroyed session is the end of its tombstone, and moves when it is made anew', () => {
  session.begin(grant(2), undefined, 20);
  session.destroy(session.grant!, 1, 900);
  expect(write().expires).toEqual({ was: 500, is: 900 });
  session.end(session.grant!, 3);
  session.begin(grant(3), changes({ cart: 'c' }).set, 30);
  expect(write().expires).toEqual({ was: 900, is: 30 + ttlMs });
});

it('rule 15: the entry of a session that is removed goes, or moves when it is made anew before', () => {
  session.remove();
  expect(write()).toMatchObject({ record: undefined, expires: { was: 500, is: undefined } });
  session = new SessionState('s', record());
  session.remove();
  session.begin(grant(2), changes({ cart: 'c' }).set, 30);
  expect(write()).toMatchObject({ set: ['cart'], removed: [], expires: { was: 500, is: 30 + ttlMs } });
});

it('rule 4: the recall ends with its grant', () => {
  session.begin(grant(2), undefined, 20);
  session.recalledAt = 25;
  session.outOfUseAt = 26;
  session.end(session.grant!, 3);
  expect([session.recalledAt, session.outOfUseAt]).toEqual([undefined, undefined]);
});

it('counts a value that takes the place of another, and what an ended grant takes', () => {
  session.begin(grant(2), undefined, 20);
  session.apply(changes({ cart: 'abc' }), session.grant!, 1);
  expect(session.bytes).toBe(3);
  const { weight } = session;
  session.end(session.grant!, 3);
  expect(session.weight).toBeGreaterThan(weight);
});

it('takes off an old value once, when a change both removes and sets it', () => {
  const change = (bytes: number) => ({ set: new Map([['cart', new Uint8Array(bytes)]]), removed: ['cart'] });
  expect(session.fits(change(limits.sessionBytes))).toBe(true);
  expect(session.fits(change(limits.sessionBytes + 1))).toBe(false);
});

it('writes no attribute of a session that was removed after a change', () => {
  session.begin(grant(2), undefined, 20);
  session.apply(changes({ user: 'u' }), session.grant!, 1);
  session.remove();
  const { set, removed } = write();
  expect([set, removed.toSorted()]).toEqual([[], ['cart', 'user']]);
});

it('rule 15: the entry that the index named is the one that moves', () => {
  session.indexedAt(600);
  session.moveExpiry(700);
  expect(write().expires).toEqual({ was: 600, is: 700 });
});

it('rule 15: an entry that moved once is no later end', () => {
  session.moveExpiry(700);
  write();
  session.begin(grant(2), undefined, 20);
  session.destroy(session.grant!, 1, 900);
  expect(write().expires).toEqual({ was: 700, is: 900 });
});

it('rule 15: a record without an entry gets one with its next write', () => {
  session = new SessionState('s', { ...record(), expiryEntry: undefined });
  expect(write().expires).toEqual({ was: undefined, is: 10 + ttlMs });
});
