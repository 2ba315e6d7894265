/** What a schema tells people of each of its settings. */
import { expect, it } from 'vitest';
import { z } from 'zod';
import { settingRows, whole, wholeInText } from './setting.js';

const rows = settingRows(
  z.object({
    waitMs: whole(1, 600).default(15),
    CACHE_MIB: wholeInText(1, 9).default(2).describe('How much is kept.'),
    mode: z.enum(['fast', 'safe']).optional(),
    secure: z.union([z.boolean(), z.literal('auto')]).default(false),
    url: z.string().meta({ limits: 'amqp://…, or amqps://…', description: 'Where it is.' }),
    tls: z
      .union([z.custom<() => void>().meta({ limits: 'a function' }), z.object({ ca: z.string().optional() })])
      .default({}),
  }),
);

it.each([
  ['waitMs', { unit: 'ms', limits: '1 to 600', default: '15', isRequired: false, meaning: '' }],
  ['CACHE_MIB', { unit: 'MiB', limits: '1 to 9', default: '2', meaning: 'How much is kept.' }],
  ['mode', { unit: '', limits: 'fast or safe', default: undefined, isRequired: false }],
  ['secure', { limits: 'true, false or auto', default: 'false' }],
  ['url', { limits: 'amqp://…, or amqps://…', isRequired: true, meaning: 'Where it is.' }],
  ['tls', { limits: 'a function or an object', default: undefined, isRequired: false }],
  ['tls.ca', { limits: 'a text', isRequired: false }],
])('of %s: name, unit, limits, default and meaning', (name, told) => {
  expect(rows.find((row) => row.name === name)).toMatchObject(told);
});

it('a number in an environment variable keeps its limits', () => {
  const schema = wholeInText(1, 9);
  expect(schema.parse('7')).toBe(7);
  for (const wrong of ['0', '10', '1.5', 'x']) expect(schema.safeParse(wrong).success).toBe(false);
});
