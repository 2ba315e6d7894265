/** The store's settings for its connections: a wrong one stops the start, and is named. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  readAmqpSecrets,
  readDatabasePassword,
  readStoreSettings,
  sharesOfCache,
  tlsOf,
} from './settings.js';

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
    /^AMQP_CA_FILE is '\/nowhere\/ca.pem', but must be a readable PEM file\. The certificates/,
  ],
  [
    'a name of the certificate without TLS',
    { AMQP_SERVER_NAME: 'broker' },
    /^AMQP_SERVER_NAME is of no use without .* amqps/,
  ],
  [
    'a heartbeat that is none',
    { AMQP_HEARTBEAT_SECONDS: '0' },
    /^AMQP_HEARTBEAT_SECONDS is '0', but must be 1 to 600\. A silent/,
  ],
  [
    'a heartbeat in the URL that switches the detection of dead connections off',
    { AMQP_URL: 'amqp://broker.example?heartbeat=0' },
    /^AMQP_URL is 'amqp:.*', but must be .*heartbeat= of 1 to 600\. Where/,
  ],
  [
    'one wrong address of several, without any password',
    { AMQP_URL: 'amqp://a:open@one,http://a:sesame@two' },
    /^(?!.*(open|sesame))AMQP_URL is/,
  ],
  [
    'a password in two places',
    { AMQP_URL: 'amqp://user:secret@broker', AMQP_PASSWORD_FILE: '/dev/null' },
    /^AMQP_PASSWORD_FILE is of no use beside a password in AMQP_URL/,
  ],
  [
    'a password file that is empty',
    { AMQP_URL: 'amqp://user@broker', AMQP_PASSWORD_FILE: '/dev/null' },
    /^AMQP_PASSWORD_FILE names an empty file/,
  ],
  [
    'a password of the database in two places',
    {
      STORE_DATABASE_URL: 'postgres://user:secret@database/shop',
      STORE_DATABASE_PASSWORD_FILE: '/dev/null',
    },
    /^STORE_DATABASE_PASSWORD_FILE is of no use beside a password in STORE_DATABASE_URL/,
  ],
  [
    'a password of the database among the parameters, too',
    {
      STORE_DATABASE_URL: 'postgres://user@database/shop?password=secret',
      STORE_DATABASE_PASSWORD_FILE: '/dev/null',
    },
    /^STORE_DATABASE_PASSWORD_FILE is of no use/,
  ],
  [
    'what is wrong with both password files',
    {
      AMQP_URL: 'amqp://user@broker',
      AMQP_PASSWORD_FILE: '/dev/null',
      STORE_DATABASE_PASSWORD_FILE: '/dev/null',
    },
    /^AMQP_PASSWORD_FILE names an empty file\nSTORE_DATABASE_PASSWORD_FILE names an empty file$/,
  ],
  [
    'a trace without its key',
    { STORE_TRACE_DIRECTORY: '/traces' },
    /^STORE_TRACE_KEY is not set, but STORE_TRACE_DIRECTORY needs it/,
  ],
  [
    'a key of traces that is too short, without telling it',
    { STORE_TRACE_KEY: 'sesame' },
    /^(?!.*sesame)STORE_TRACE_KEY is '\*\*\*', but must be 16 characters or more/,
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

it('secrets are read again at each call, so that a rotation needs no restart', () => {
  const path = file('password');
  writeFileSync(path, 'first\n');
  const settings = readStoreSettings({
    AMQP_URL: 'amqp://user@one,amqp://user@two',
    AMQP_PASSWORD_FILE: path,
  });
  expect(readAmqpSecrets(settings)).toEqual({ tls: {}, password: 'first' });
  writeFileSync(path, 'second');
  expect(readAmqpSecrets(settings)).toEqual({ tls: {}, password: 'second' });
  rmSync(path);
  expect(() => readAmqpSecrets(settings)).toThrow(/ENOENT.*password/);
});

it('so is the password of the database', () => {
  const path = file('database-password');
  writeFileSync(path, 'first\r\n');
  const settings = readStoreSettings({
    STORE_DATABASE_URL: 'postgres://user@database/shop',
    STORE_DATABASE_PASSWORD_FILE: path,
  });
  expect(readDatabasePassword(settings)).toBe('first');
  writeFileSync(path, 'second');
  expect(readDatabasePassword(settings)).toBe('second');
  writeFileSync(path, '');
  expect(() => readDatabasePassword(settings)).toThrow('STORE_DATABASE_PASSWORD_FILE names an empty file');
  rmSync(path);
  expect(() => readDatabasePassword(settings)).toThrow(/ENOENT.*database-password/);
  expect(readDatabasePassword(readStoreSettings({}))).toBeUndefined();
});

it.each([
  ['what LevelDB leaves goes to sessions', {}, [240, 8, 4]],
  [
    'the memory for the database is set',
    { STORE_LEVEL_CACHE_MIB: '32', STORE_LEVEL_WRITE_BUFFER_MIB: '16' },
    [192, 32, 16],
  ],
  ['sessions have half of it at least', { STORE_CACHE_MIB: '16' }, [8, 4, 2]],
  ['another database takes nothing of it', { STORE_REPOSITORY: 'postgres' }, [256, 8, 4]],
])('the memory of the store is shared out: %s', (_what, env, mebibytes) => {
  const { sessionBytes, levelCacheBytes, levelWriteBufferBytes } = sharesOfCache(readStoreSettings(env));
  expect([sessionBytes, levelCacheBytes, levelWriteBufferBytes].map((bytes) => bytes / 1024 ** 2)).toEqual(
    mebibytes,
  );
});
