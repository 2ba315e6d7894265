/**
 * What a partition's owner knows of the holders. It may overestimate a lease. It never underestimates one.
 */
import { beforeEach, describe, expect, it } from 'vitest';
import { testParameters } from '../testing/pair.js';
import { HolderLeases } from './holder-leases.js';
import { storeRules } from './rules.js';

const { leaseMs } = testParameters;
const at = (mono: number) => ({ mono, wall: mono });

describe('rule 8: a known holder that ten thousand others pushed out of memory', () => {
  const crowded = () => {
    const holders = new HolderLeases(testParameters, { since: 0, longestLeaseMs: leaseMs }, storeRules);
    holders.received('a', 'a.1', at(leaseMs));
    for (let i = 0; i < 10_000; i++) holders.received(`h${i}`, `h${i}.1`, at(leaseMs));
    expect(holders.queueOf('a')).toBeUndefined();
    return holders;
  };

  it('keeps its lease', () => {
    expect(crowded().leaseEnd('a', at(leaseMs + 1))).toBe(2 * leaseMs);
  });

  it('keeps it too when its old queue is found to be gone', () => {
    const holders = crowded();
    holders.unreachable('a.1', ['a']);
    expect(holders.leaseEnd('a', at(leaseMs + 1))).toBe(2 * leaseMs);
  });
});

it('rule 8: of ten thousand holders the one that was not heard for longest is forgotten', () => {
  const holders = new HolderLeases(testParameters, { since: 0, longestLeaseMs: leaseMs }, storeRules);
  for (let i = 0; i < 10_000; i++) holders.received(`h${i}`, `h${i}.1`, at(0));
  holders.received('h0', 'h0.1', at(1));
  expect(holders.queueOf('h1')).toBe('h1.1');
  holders.received('a', 'a.1', at(1));
  expect(['h0', 'h1', 'h2'].map((name) => holders.queueOf(name))).toEqual(['h0.1', undefined, 'h2.1']);
});

it('rule 13: an earlier owner can have granted its longest lease until the claim, and not later', () => {
  const ownership = { since: 1_000, longestLeaseMs: 4 * leaseMs };
  const holders = new HolderLeases(testParameters, ownership, storeRules);
  expect(holders.leaseEnd('a', at(1_000 + 4 * leaseMs - 1))).toBe(1_000 + 4 * leaseMs);
  expect(holders.leaseEnd('a', at(1_000 + 4 * leaseMs))).toBe(1_000 + leaseMs);
});

describe("rule 13: after a claim a holder's lease counts", () => {
  const longestLeaseMs = 4 * leaseMs;
  let holders: HolderLeases;
  beforeEach(() => {
    holders = new HolderLeases(testParameters, { since: 0, longestLeaseMs }, storeRules);
  });

  it('as the longest that any owner has granted, though this owner grants shorter ones', () => {
    expect(holders.leaseEnd('a', at(longestLeaseMs - 1))).toBe(longestLeaseMs);
    holders.received('b', 'b.1', at(1));
    expect(holders.leaseEnd('b', at(longestLeaseMs - 1))).toBe(1 + longestLeaseMs);
  });

  it('as one of this owner when all earlier ones are over', () => {
    holders.received('b', 'b.1', at(longestLeaseMs));
    expect(holders.leaseEnd('b', at(longestLeaseMs))).toBe(longestLeaseMs + leaseMs);
  });
});

describe('rule 10: after the owner stood still', () => {
  it('each holder counts as just renewed, known or not', () => {
    const holders = new HolderLeases(testParameters, { since: 0, longestLeaseMs: leaseMs }, storeRules);
    holders.received('a', 'a.1', at(1));
    const woken = 2 * leaseMs;
    holders.hearing.woke(woken - leaseMs, at(woken));
    expect(['a', 'b'].map((name) => holders.leaseEnd(name, at(woken)))).toEqual([3 * leaseMs, 3 * leaseMs]);
  });
});
