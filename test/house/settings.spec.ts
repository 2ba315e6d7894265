/**
 * The settings and what is written about them: in docs/SETTINGS.md, in the comments of the options and in
 * `--help`.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { lockedSessionSettingRows } from '#locked-session';
import { settingRows, whole } from '#settings';
import { describeStoreSettings, storeSettingRows } from '#store-service';
import { z } from 'zod';
import { Meanings, optionFiles, settingsDocument, settingsText } from '../../scripts/settings.js';
import { root } from './sources.js';

const source = `
export interface Inner {
  /** Where it is. */
  url: string;
  /** How long. */
  waitMs?: number;
  other: string;
}
type Picked = Pick<Inner, 'url' | 'waitMs'>;
export interface Chosen extends Partial<Picked> {}
export interface Options {
  /** What is
   *  inside. */
  inner?: Chosen;
  /** How many. */
  count: number;
}`;
const rows = settingRows(
  z.object({ inner: z.object({ url: z.string(), waitMs: whole(1, 2) }), count: whole(1, 2) }),
);

describe('the meanings of options', () => {
  it('are the comments of their interface, and of those that it names', () => {
    const told = Meanings.of([source]).added(rows, 'Options');
    expect(told.map(({ name, meaning }) => `${name}: ${meaning}`)).toEqual([
      'inner: What is inside.',
      'inner.url: Where it is.',
      'inner.waitMs: How long.',
      'count: How many.',
    ]);
  });

  it('must be there for each option of the schema, and the schema must have each', () => {
    const without = (text: string) => Meanings.of([source.replace(text, '')]);
    expect(() => without('/** How many. */').added(rows, 'Options')).toThrow(
      'Options must have the option count, with a comment',
    );
    expect(() => without('count: number;').added(rows, 'Options')).toThrow('Options must have');
    expect(() => Meanings.of([source]).added(rows.slice(1), 'Options')).toThrow(
      'Options has the option inner, but its schema has not',
    );
  });
});

it('docs/SETTINGS.md is as the sources have it: npm run settings', () => {
  expect(readFileSync(join(root, settingsDocument), 'utf8')).toBe(settingsText(root));
});

it('what both sides can set has one meaning, one default and the same limits', () => {
  const meanings = Meanings.of(optionFiles.map((file) => readFileSync(join(root, file), 'utf8')));
  const ofModule = meanings.added(lockedSessionSettingRows(), 'LockedSessionOptions');
  const stores = new Map(storeSettingRows().map((row) => [row.name, row]));
  const both = ofModule.flatMap((row) => {
    const name = row.name.replace(/^broker\./, '').replaceAll(/[A-Z]/g, (letter) => `_${letter}`);
    const store = row.name.startsWith('broker.') && stores.get(`AMQP_${name.toUpperCase()}`);
    return store ? [{ row, store }] : [];
  });
  expect(both.map(({ store }) => store.name)).toEqual([
    'AMQP_URL',
    'AMQP_PREFIX',
    'AMQP_HEARTBEAT_SECONDS',
    'AMQP_CONNECT_TIMEOUT_MS',
    'AMQP_RECONNECT_MIN_MS',
    'AMQP_RECONNECT_MAX_MS',
    'AMQP_MAX_STALLED_BYTES',
  ]);
  const differs = ({ row, store }: (typeof both)[number]) =>
    row.meaning !== store.meaning ||
    (store.name !== 'AMQP_URL' && (row.limits !== store.limits || row.default !== store.default));
  expect(both.filter(differs)).toEqual([]);
});

it('--help has each setting of the store on a line of its own', () => {
  const lines = describeStoreSettings().split('\n');
  expect(lines).toHaveLength(storeSettingRows().length);
  expect(lines.find((line) => line.includes('STORE_LEASE_MS'))).toMatch(
    /^ {2}STORE_LEASE_MS +How long .*\. \(500 to 600000 ms\) \[5000\]$/,
  );
});
