/** The kinds of fields: values that look like a good one, and are none. */
import { describe, expect, it } from 'vitest';
import * as field from './fields.js';
import { FrameError, shown } from './fields.js';
import { limits } from './limits.js';

const refusal = (read: () => unknown): string => {
  try {
    return `taken as ${String(read())}`;
  } catch (error) {
    if (error instanceof FrameError) return error.message.replace(' within the limits', '');
    throw error;
  }
};

describe('what is read', () => {
  it.each<[string, field.Field<never>, unknown, string]>([
    ['a number as a flag', field.flag as field.Field<never>, 1, '1 is no flag'],
    ['a list as a text', field.queue as field.Field<never>, ['a'], 'a list of 1 is no queue'],
    ['bytes as a token', field.token as field.Field<never>, new Uint8Array(2), '2 bytes is no token'],
    ['bytes as a version', field.version as field.Field<never>, new Uint8Array(3), '3 bytes is no version'],
    ['an empty text as values', field.values as field.Field<never>, '', '"" is no values'],
    ['nothing as values', field.values as field.Field<never>, null, 'null is no values'],
    ['a text as a list', field.names as field.Field<never>, '', '"" is no list'],
  ])('%s is refused', (_what, { read }, wire, said) => {
    expect(refusal(() => read(wire))).toBe(said);
  });

  it.each([[['s']], [['s', [1, 1], 1]], ['ab'], [null], [{ 0: 's', 1: [1, 1], length: 2 }]])(
    'a list with an item of another shape is refused (%j)',
    (item) => {
      expect(refusal(() => field.sessionTokens.read([item]))).toBe(`${shown(item)} is no session and token`);
    },
  );

  it('a list is taken up to its limit', () => {
    const ages = Array.from({ length: limits.listed }, () => ['s', 1]);
    expect(field.sessionAges.read(ages)).toHaveLength(limits.listed);
    expect(refusal(() => field.sessionAges.read([...ages, ['s', 1]]))).toMatch(/ is no list$/);
  });
});

it('a value is shown to people in a few words, whatever it is', () => {
  const values = [null, undefined, {}, Object.create(null), [1, 2], new Uint8Array(3), true, 1n, 'a"b'];
  expect(values.map(shown)).toEqual([
    'null',
    'undefined',
    'an object',
    'an object',
    'a list of 2',
    '3 bytes',
    'true',
    '1',
    '"a\\"b"',
  ]);
  expect(shown('x'.repeat(61))).toBe(`"${'x'.repeat(60)}"`);
});
