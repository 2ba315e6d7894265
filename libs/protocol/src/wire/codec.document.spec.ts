/**
 * The tables of messages in docs/PROTOCOL.md. A runtime in another language is written from them. So they
 * must match the codec.
 */
import { readFileSync } from 'node:fs';
import { pack } from 'msgpackr';
import { describe, expect, it } from 'vitest';
import { decodeHolderFrame, decodeStoreFrame } from './codec.js';

const protocol = readFileSync(new URL('../../../../docs/PROTOCOL.md', import.meta.url), 'utf8');

/** A value for each field of the tables, as it is on the wire. */
const onWire: Readonly<Record<string, unknown>> = {
  session: 's',
  request: 11,
  mode: 'exclusive',
  known: [21, 22, 23],
  create: [],
  waitMs: 12,
  token: [24, 25],
  seq: 13,
  set: [],
  delete: ['gone'],
  keep: ['kept'],
  n: 14,
  reclaim: [['r', [26, 27], 28]],
  touches: [['t', 29]],
  ageMs: 15,
  version: [31, 32, 33],
  contended: true,
  untilIdle: true,
  leaseMs: 16,
  ttlMs: 17,
  partitions: 18,
  valid: [['v', [34, 35]]],
  recalled: [['c', [36, 37]]],
  revoked: [['k', [38, 39]]],
  appliedThrough: 19,
  detail: 'a detail',
  store: 41,
  holder: 42,
};
const why: Readonly<Record<string, string>> = { revoked: 'lease-over', refused: 'gap' };
/** A field's name in the code, where it differs. */
const inCode: Readonly<Record<string, string>> = { delete: 'removed' };

const decoders = {
  'Holder to store': (message: unknown[]) =>
    decodeHolderFrame(pack([3, 'h', 0, 'h', 'q', [[0, 0, [message]]]])).parts[0]!.messages,
  'Store to holder': (message: unknown[]) =>
    decodeStoreFrame(pack([3, 's', 0, '', [[0, 0, [message]]]])).parts[0]!.messages,
};

/** The rows of the table below a heading: kind, code and names of fields. */
function messagesBelow(heading: string) {
  const [, section] = protocol.split(`### ${heading}\n`);
  const rows = section!.split('\n### ')[0]!.matchAll(/^\| `([a-z]+)` \| (\d+) \| ([^|;:]*)/gm);
  return Array.from(rows, ([, kind, code, fields]) => ({
    kind: kind!,
    code: Number(code),
    fields: fields!.split(',').flatMap((name) => name.trim().replace('?', '') || []),
  }));
}

describe.each(Object.entries(decoders))('docs/PROTOCOL.md, %s', (heading, decode) => {
  const messages = messagesBelow(heading);

  it.each(messages)('has $kind with its code and its fields, in their order', ({ kind, code, fields }) => {
    const values = fields.map((name) => (name === 'why' ? why[kind] : onWire[name]));
    const [message] = decode([code, ...values]);
    const asMap = (value: unknown) => (Array.isArray(value) && value.length === 0 ? new Map() : value);
    const expected = fields.map((name, i) => [inCode[name] ?? name, asMap(values[i])]);
    expect(message).toEqual({ kind, ...Object.fromEntries(expected) });
  });

  it('has every message', () => {
    const documented = new Set(messages.map(({ code }) => code));
    const others = Array.from({ length: 32 }, (_, code) => code).filter((code) => !documented.has(code));
    for (const code of others) expect(() => decode([code])).toThrow(`no message has the code ${code}`);
  });
});
