/** Which ids and names are valid, and the hash that gives each session its one partition. */
import { describe, expect, it } from 'vitest';
import { limits } from './limits.js';
import { isAttributeName, isSessionId, partitionHash, partitionOf } from './session-id.js';

describe('partitionOf', () => {
  it('is this hash and no other: one that differs would give a session two owners', () => {
    const ids = ['s', 'a', 'b', 'session', 'a-rather-long-session-id-0123456789', '~', '!'.repeat(128)];
    expect(ids.map((id) => partitionOf(id, 16))).toEqual([10, 3, 2, 0, 3, 12, 0]);
    expect(ids.map((id) => partitionOf(id, 1_000_003))).toEqual([
      557096, 640383, 901695, 131175, 69094, 123837, 490194,
    ]);
    expect(partitionHash, 'a new number when the hash changes').toBe(1);
  });

  it('is the one partition when there is one', () => {
    expect(partitionOf('whatever', 1)).toBe(0);
  });

  it.each([
    [
      'random ids',
      (random: () => number) => () =>
        Array.from({ length: 24 }, () => Math.floor(random() * 36).toString(36)).join(''),
    ],
    ['ids that count up', () => (i: number) => `session-${i}`],
    ['ids that differ in front', () => (i: number) => `${i}-session`],
  ])('spreads 10,000 %s evenly over 16', (_what, ids) => {
    const make = ids(lcg(20_261_101));
    const counts = Array.from({ length: 16 }, () => 0);
    for (let i = 0; i < 10_000; i++) counts[partitionOf(make(i), 16)]!++;
    const chiSquare = counts.reduce((sum, n) => sum + (n - 625) ** 2 / 625, 0);
    expect(chiSquare, `15 degrees of freedom, one in a thousand: ${counts.join()}`).toBeLessThan(37.7);
  });
});

describe('isSessionId', () => {
  it.each(['s', 'A-Z_0.9~!', '!', '~', 'x'.repeat(limits.idChars)])('takes %j', (id) => {
    expect(isSessionId(id)).toBe(true);
  });

  it.each([
    '',
    ' ',
    'a b',
    'a\n',
    '\u007f',
    'é',
    '😀',
    'x'.repeat(limits.idChars + 1),
    5,
    null,
    undefined,
    ['s'],
  ])('refuses %j', (id) => {
    expect(isSessionId(id)).toBe(false);
  });
});

describe('isAttributeName', () => {
  it.each(['cart', 'a b', 'é', '😀', '0', 'x'.repeat(limits.nameChars), 'toString'])('takes %j', (name) => {
    expect(isAttributeName(name)).toBe(true);
  });

  it.each([
    '',
    '*',
    '__proto__',
    'constructor',
    'prototype',
    'a\n',
    '\u0000',
    '\u007f',
    'x'.repeat(limits.nameChars + 1),
    5,
    null,
  ])('refuses %j', (name) => {
    expect(isAttributeName(name)).toBe(false);
  });

  it('refuses half a character: it would come back as another name', () => {
    expect(isAttributeName('a\ud83d')).toBe(false);
    expect(isAttributeName('\ude00')).toBe(false);
  });
});

/** A source of numbers that a seed decides. The test gives the same on each run. */
function lcg(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}
