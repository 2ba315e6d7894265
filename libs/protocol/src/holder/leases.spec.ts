/** What puts a holder's locks in doubt, and which answers of the store end a doubt (rule 9). */
import { beforeEach, describe, expect, it } from 'vitest';
import { limits } from '../wire/limits.js';
import type { Renew, Renewed, SessionToken } from '../wire/messages.js';
import { testParameters } from '../testing/pair.js';
import { Leases, type LeasedLock } from './leases.js';
import { holderRules } from './rules.js';

const { leaseMs } = testParameters;

let leases: Leases;
let lock: LeasedLock;
let time: number;
beforeEach(() => {
  time = 0;
  leases = new Leases(testParameters, holderRules);
  leases.received(0, 1);
  answer(renew());
  lock = held('s');
});

const now = () => ({ mono: time, wall: time });
const trusts = (one = lock) => leases.trusts(0, one, now());

function held(session: string): LeasedLock {
  const granted = { session, token: [1, 1], acknowledged: 0, confirmed: -1, revoked: false } as const;
  const taken: LeasedLock = { ...granted };
  leases.hold(0, taken, now());
  return taken;
}

/** Sends a full renewal. Returns its parts. */
function renew(): Renew[] {
  return leases.renewal(0, now()).filter((message) => message.kind === 'renew');
}

/** The store answers the first part of a renewal. All locks that it reclaims are valid. */
function answer([first]: readonly Renew[], more: Partial<Renewed> = {}) {
  const { n, reclaim = [] } = first!;
  const valid = reclaim.map(([session, token]): SessionToken => [session, token]);
  const head = { kind: 'renewed', n, leaseMs, ttlMs: 60_000, partitions: 1 } as const;
  return leases.answered(0, { ...head, recalled: [], revoked: [], valid, ...more }, now());
}

describe('rule 9: a lock is not used before a renewal that names it was answered', () => {
  it('after a new connection', () => {
    expect(trusts()).toBe(true);
    leases.connected();
    expect(trusts()).toBe(false);
    expect(answer(renew()).confirmed).toEqual([lock]);
    expect(trusts()).toBe(true);
  });

  it('after a new connection, where the answer to a renewal of the old one starts no lease', () => {
    const early = renew();
    leases.connected();
    answer(early);
    expect(leases.runs(0, now())).toBe(false);
    expect(trusts()).toBe(false);
  });

  it('after a new epoch', () => {
    expect(leases.received(0, 1)).toBe('same');
    expect(trusts()).toBe(true);
    expect(leases.received(0, 2)).toBe('new');
    expect(trusts()).toBe(false);
  });

  it('after a new epoch, by the answer to a renewal of before it, though that names the lock', () => {
    leases.connected();
    const early = renew();
    leases.received(0, 2);
    expect(answer(early).confirmed).toEqual([]);
    expect(trusts()).toBe(false);
    expect(answer(renew()).confirmed).toEqual([lock]);
    expect(trusts()).toBe(true);
  });

  it('after its lease ran out unnoticed, although a younger renewal is answered now', () => {
    time = leaseMs / 2;
    const young = renew();
    time = leaseMs;
    answer(young);
    expect(leases.runs(0, now())).toBe(true);
    expect(trusts()).toBe(false);
  });

  it('after an answer whose list of revoked locks is full', () => {
    const revoked = Array.from({ length: limits.listed }, (_, i): SessionToken => [`gone${i}`, [1, 9]]);
    answer(renew(), { revoked });
    expect(leases.runs(0, now())).toBe(true);
    expect(trusts()).toBe(false);
  });

  it('when the locks in doubt do not fit one renewal, and another part names it', () => {
    const locks = [lock, ...Array.from({ length: limits.listed }, (_, i) => held(`s${i}`))];
    leases.connected();
    const parts = renew();
    expect(parts.map(({ reclaim }) => reclaim?.length)).toEqual([limits.listed, 1]);
    answer(parts);
    expect([locks.at(0)!, locks.at(-1)!].map((one) => trusts(one))).toEqual([true, false]);
  });
});
