/** The store's settings for its connections: a wrong one stops the start, and is named. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { readStoreSettings, tlsOf } from './store.settings.js';

let folder: string;
const file = (name: string) => join(folder, name);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'locked-session-settings-'));
  writeFileSync(file('no.pem'), 'no certificate');
});
afterAll(() => rmSync(folder, { recursive: true }));

const secure = { AMQP_URL: 'amqps://broker.example' };

it.each([
  [
    'a file that cannot be read',
    { ...secure, AMQP_CA_FILE: '/nowhere/ca.pem' },
    /^AMQP_CA_FILE is '\/nowhere\/ca.pem', but must be a readable PEM file/,
  ],
  [
    'a name of the certificate without TLS',
    { AMQP_SERVER_NAME: 'broker' },
    /^AMQP_SERVER_NAME is of no use without .* amqps/,
  ],
  [
    'a heartbeat that is none',
    { AMQP_HEARTBEAT_SECONDS: '0' },
    /^AMQP_HEARTBEAT_SECONDS is '0', but must be .*: 1 to 600/,
  ],
  ['a setting that does not exist', { STORE_CERT_FILE: 'x' }, /^STORE_CERT_FILE is no setting of the store/],
])('names %s', (_what, env, message) => {
  expect(() => readStoreSettings(env)).toThrow(message);
});

it('names what is no PEM, and a certificate without its key', () => {
  const no = file('no.pem');
  expect(() => readStoreSettings({ ...secure, AMQP_CERT_FILE: no })).toThrow(
    /^AMQP_KEY_FILE must be given with the certificate/,
  );
  expect(() => readStoreSettings({ ...secure, AMQP_KEY_FILE: no })).toThrow(
    /^AMQP_CERT_FILE must be given with the key/,
  );
  const both = { ...secure, AMQP_CERT_FILE: no, AMQP_KEY_FILE: no };
  expect(() => readStoreSettings(both)).toThrow(/^AMQP_CERT_FILE is not PEM that can be used/);
});

it('says nothing of TLS that was not set', () => {
  expect(tlsOf(readStoreSettings({}))).toEqual({});
  expect(tlsOf(readStoreSettings({ ...secure, AMQP_SERVER_NAME: 'broker' }))).toEqual({
    servername: 'broker',
  });
});
