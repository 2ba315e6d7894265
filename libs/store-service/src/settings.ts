/**
 * The store's settings, from the environment: one table for their names, defaults, limits and meanings.
 * `--help` and docs/SETTINGS.md are made of it. A wrong setting stops the start with its name, its value and
 * what is allowed.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import {
  amqpDefaults,
  amqpLimits,
  amqpPrefix,
  localAmqpUrl,
  wrongInAddresses,
  wrongInTls,
  type AmqpSecrets,
  type AmqpTls,
} from '#broker';
import { checkEveryMsLimits, levelDefaults, postgresDefaults, schemaName } from '#repository';
import { settingRows, wholeInText, type SettingRow } from '#settings';
import { tombstoneMs } from '#store';
import { traceDefaults, traceLimits } from '#trace';

const mebibyte = 1024 * 1024;

const ofAmqp = (name: keyof typeof amqpLimits) => {
  const [least, most] = amqpLimits[name];
  return wholeInText(least, most).default(amqpDefaults[name]);
};

/** A file that must be readable at the start. It is read again whenever its content is needed. */
const file = (what: string, meaning: string) =>
  z
    .string()
    .superRefine((path, context) => {
      try {
        readFileSync(path);
      } catch (error) {
        context.addIssue({ code: 'custom', message: (error as Error).message });
      }
    })
    .optional()
    .meta({ limits: `a readable ${what}`, description: `${meaning} Read again for every connection.` });

const table = {
  AMQP_URL: z
    .string()
    .refine((url) => wrongInAddresses(url) === undefined)
    .default(localAmqpUrl)
    .meta({
      limits: `amqp:// or amqps:// addresses, several with commas between them; ?heartbeat= of ${amqpLimits.heartbeatSeconds.join(' to ')}`,
      description: 'Where RabbitMQ is. Of several addresses, those of a cluster, each is tried.',
    }),
  AMQP_PASSWORD_FILE: file('file', 'The password for RabbitMQ, when it is not in AMQP_URL.'),
  AMQP_PREFIX: z
    .string()
    .regex(amqpPrefix)
    .default(amqpDefaults.prefix)
    .meta({
      limits: '1 to 64 letters, digits, . _ -',
      description:
        'The names of the exchange and the queues begin with it. Each deployment has its own, the same ' +
        'in the store and ' +
        'in the app servers.',
    }),
  AMQP_QUEUE_TYPE: z
    .enum(['classic', 'quorum'])
    .default(amqpDefaults.queueType)
    .describe(
      'The type of the partition queues. Quorum queues are for clusters of RabbitMQ, and about three ' +
        'times slower. It is ' +
        'fixed once the queues are made.',
    ),
  AMQP_CA_FILE: file(
    'PEM file',
    'The certificates that may sign that of RabbitMQ. Without it those count that Node trusts.',
  ),
  AMQP_CERT_FILE: file('PEM file', 'The certificate by which RabbitMQ knows the store.'),
  AMQP_KEY_FILE: file('PEM file', 'The key of that certificate.'),
  AMQP_KEY_PASSPHRASE: z.string().optional().describe('The passphrase of the key, when it is encrypted.'),
  AMQP_SERVER_NAME: z
    .string()
    .optional()
    .describe('The name in the certificate of RabbitMQ, when it is not the host in AMQP_URL.'),
  AMQP_HEARTBEAT_SECONDS: ofAmqp('heartbeatSeconds').describe(
    'A silent connection counts as lost after two to three times this.',
  ),
  AMQP_CONNECT_TIMEOUT_MS: ofAmqp('connectTimeoutMs').describe(
    'The longest that connecting to one address may take.',
  ),
  AMQP_RECONNECT_MIN_MS: ofAmqp('reconnectMinMs').describe(
    'The pause before the first new try to connect. It doubles with each try.',
  ),
  AMQP_RECONNECT_MAX_MS: ofAmqp('reconnectMaxMs').describe('The longest pause between two tries to connect.'),
  AMQP_MAX_QUEUED_FRAMES: ofAmqp('maxQueuedFrames').describe(
    'Most frames that wait in the queue of one partition. It is fixed once the queue is made.',
  ),
  AMQP_MAX_STALLED_BYTES: ofAmqp('maxStalledBytes').describe(
    'Most bytes that wait in one channel for a slow connection. More are refused.',
  ),
  STORE_PARTITIONS: wholeInText(1, 1024)
    .default(16)
    .describe('The number of partitions of the deployment. It is fixed, and the same in every app server.'),
  STORE_REPOSITORY: z
    .enum(['level', 'postgres', 'memory'])
    .default('level')
    .describe(
      'Where sessions are kept: in STORE_DIRECTORY (level), at STORE_DATABASE_URL (postgres), or in the ' +
        'memory of this ' +
        'process (memory), whose end ends them.',
    ),
  STORE_DIRECTORY: z
    .string()
    .min(1)
    .default(levelDefaults.directory)
    .meta({ limits: 'a path', description: 'The data directory. It is made when it is missing.' }),
  STORE_DIRECTORY_CHECK_MS: wholeInText(...checkEveryMsLimits)
    .default(levelDefaults.checkEveryMs)
    .describe(
      'How often the store checks that the data directory is still its own. A store that cannot know ' +
        'whether the last ' +
        'one has ended waits for twice as long before it opens the directory.',
    ),
  STORE_DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/ })
    .default('postgres://postgres@127.0.0.1:5432/postgres')
    .meta({
      limits: 'postgres://user:password@host:port/database, with ?sslmode=verify-full for TLS',
      description: 'Where PostgreSQL is.',
    }),
  STORE_DATABASE_PASSWORD_FILE: file(
    'file',
    'The password for PostgreSQL, when it is not in STORE_DATABASE_URL.',
  ),
  STORE_DATABASE_SCHEMA: z.string().regex(schemaName).default(postgresDefaults.schema).meta({
    limits: '1 to 63 of a-z, 0-9 and _, no digit first',
    description: 'The schema of this deployment in the database. It is made when it is missing.',
  }),
  STORE_DATABASE_CONNECTIONS: wholeInText(2, 100)
    .default(postgresDefaults.connections)
    .describe('Most connections to the database. One of them writes.'),
  STORE_DATABASE_CONNECT_TIMEOUT_MS: wholeInText(100, 60_000)
    .default(postgresDefaults.connectTimeoutMs)
    .describe('The longest that connecting to the database may take.'),
  STORE_DATABASE_STATEMENT_TIMEOUT_MS: wholeInText(100, 600_000)
    .default(postgresDefaults.statementTimeoutMs)
    .describe('The longest that a statement in the database may take.'),
  STORE_DURABILITY: z
    .enum(['process', 'disk'])
    .default('process')
    .describe(
      'An acknowledged change survives a killed store (process), or a loss of power and a killed ' +
        'database too (disk).',
    ),
  STORE_LEASE_MS: wholeInText(500, 600_000)
    .default(5_000)
    .describe('How long an app server may trust its locks without an answer of the store.'),
  STORE_RECALL_TIMEOUT_MS: wholeInText(500, 600_000)
    .default(10_000)
    .describe('How long an app server has to give a recalled lock back.'),
  STORE_TURN_MS: wholeInText(0, 1_000)
    .default(10)
    .describe(
      'How long an app server may keep a lock that goes back and forth between app servers, while others ' +
        'wait. Its requests are served together then. 0: each is asked back at once.',
    ),
  STORE_UNREACHABLE_HOLDER: z
    .enum(['wait-for-lease', 'revoke'])
    .default('wait-for-lease')
    .describe(
      'When the queue of an app server is gone, its locks go to others after its lease (wait-for-lease), ' +
        'or at once ' +
        '(revoke), though it may still run.',
    ),
  STORE_TTL_MS: wholeInText(1_000, 31_536_000_000)
    .default(86_400_000)
    .describe('How long a session is kept after its last use.'),
  STORE_DESTROYED_NOTICE_MS: wholeInText(0, tombstoneMs)
    .default(60_000)
    .describe(
      'How long a request with the cookie of a destroyed session is told so. After that its cookie ' +
        'begins another ' +
        'session.',
    ),
  STORE_WAITERS_PER_SESSION: wholeInText(2, 10_000)
    .default(256)
    .describe('Most app servers that may wait for one session.'),
  STORE_WAITERS_PER_PARTITION: wholeInText(1, 30_000)
    .default(4_096)
    .describe(
      'Most requests that may wait in one partition, and most queues of sessions that the store consumes ' +
        'for it.',
    ),
  STORE_WINDOW: wholeInText(1, 5_000)
    .default(256)
    .describe(
      "Most frames under way in one partition beside those that wait, and as many in the store's own queue.",
    ),
  STORE_ENDED_GRANTS: wholeInText(1, 64)
    .default(8)
    .describe('How many ended grants of each session the store remembers, to answer repeats.'),
  STORE_CACHE_MIB: wholeInText(1, 65_536)
    .default(256)
    .describe(
      'The memory for sessions in use and for the database, over all partitions. LevelDB takes its part of ' +
        'it, half at most. The whole process takes up to twice this and 150 MiB.',
    ),
  STORE_LEVEL_CACHE_MIB: wholeInText(1, 16_384)
    .default(levelDefaults.cacheBytes / mebibyte)
    .describe('What LevelDB keeps of its tables in memory. It is a part of STORE_CACHE_MIB.'),
  STORE_LEVEL_WRITE_BUFFER_MIB: wholeInText(1, 1_024)
    .default(levelDefaults.writeBufferBytes / mebibyte)
    .describe(
      'What LevelDB keeps in memory before it writes a table. It has two of them while it writes one, and ' +
        'both are a part of STORE_CACHE_MIB. A larger one makes the start after a crash slower.',
    ),
  STORE_CLOSE_MS: wholeInText(0, 60_000)
    .default(5_000)
    .describe(
      'How long an orderly stop may take. It may last one second more, so keep both below what the ' +
        'supervisor gives.',
    ),
  STORE_STANDBY_POLL_MS: wholeInText(10, 60_000)
    .default(50)
    .describe('How often a store that stands by checks whether the data directory is free.'),
  STORE_RETRY_MIN_MS: wholeInText(1, 60_000)
    .default(100)
    .describe('The pause after a failure before a partition is claimed again. It doubles with each failure.'),
  STORE_RETRY_MAX_MS: wholeInText(1, 600_000).default(5_000).describe('The longest such pause.'),
  STORE_TRACE_DIRECTORY: z.string().min(1).optional().meta({
    limits: 'a path',
    description:
      'The store writes down there what it does, for locked-session verify. Without it nothing is written.',
  }),
  STORE_TRACE_MAX_BYTES: wholeInText(...traceLimits.maxBytes)
    .default(traceDefaults.maxBytes)
    .describe('Most bytes of a trace. Then it is cut.'),
  STORE_TRACE_KEY: z
    .string()
    .min(traceLimits.keyChars)
    .optional()
    .meta({
      limits: `${traceLimits.keyChars} characters or more`,
      description:
        'Sessions and values are hashed with it. It is a secret of the deployment, the same in all app ' +
        'servers and stores.',
    }),
};

const schema = z.object(table);

export type StoreSettings = z.infer<typeof schema>;

/** The message has a line for each wrong setting, with its name, its value and what is allowed. */
export class StoreSettingsError extends Error {
  override name = 'StoreSettingsError';
}

/** The parts of `STORE_CACHE_MIB`: what LevelDB does not take is for sessions, and half of it at least. */
export function sharesOfCache(settings: StoreSettings) {
  const mib = settings.STORE_CACHE_MIB;
  const [cache, buffer] = [settings.STORE_LEVEL_CACHE_MIB, settings.STORE_LEVEL_WRITE_BUFFER_MIB];
  const level = settings.STORE_REPOSITORY === 'level' ? cache + 2 * buffer : 0;
  return {
    sessionBytes: Math.max(mib / 2, mib - level) * mebibyte,
    levelCacheBytes: Math.min(cache, mib / 4) * mebibyte,
    levelWriteBufferBytes: Math.min(buffer, mib / 8) * mebibyte,
  };
}

/** Throws a `StoreSettingsError`. An empty variable counts as not set. */
export function readStoreSettings(env: Readonly<Record<string, string | undefined>>): StoreSettings {
  const given = Object.fromEntries(Object.keys(table).map((name) => [name, env[name] || undefined]));
  const parsed = schema.safeParse(given);
  const unknown = Object.keys(env).filter((name) => name.startsWith('STORE_') && !(name in table));
  const lines = unknown.map((name) => `${name} is no setting of the store; see --help`);
  const rows = new Map(storeSettingRows().map((row) => [row.name, row]));
  for (const { path } of parsed.error?.issues ?? []) {
    const { name, limits, meaning } = rows.get(String(path[0]))!;
    const shown = name === 'STORE_TRACE_KEY' ? '***' : withoutPassword(given[name]);
    lines.push(`${name} is '${shown}', but must be ${limits}. ${meaning}`);
  }
  if (parsed.data) lines.push(...wrongInSecrets(parsed.data));
  if (given.STORE_TRACE_DIRECTORY !== undefined && given.STORE_TRACE_KEY === undefined)
    lines.push('STORE_TRACE_KEY is not set, but STORE_TRACE_DIRECTORY needs it');
  if (lines.length > 0 || !parsed.success) throw new StoreSettingsError([...new Set(lines)].join('\n'));
  return parsed.data;
}

const tlsNames = {
  ca: 'AMQP_CA_FILE',
  cert: 'AMQP_CERT_FILE',
  key: 'AMQP_KEY_FILE',
  passphrase: 'AMQP_KEY_PASSPHRASE',
  servername: 'AMQP_SERVER_NAME',
} as const;

/** Each setting that names a file with a password, and the URL that must have none then. */
const passwordFiles = {
  AMQP_PASSWORD_FILE: 'AMQP_URL',
  STORE_DATABASE_PASSWORD_FILE: 'STORE_DATABASE_URL',
} as const;

/**
 * The password and the certificates as their files have them now. Throws an error that names the setting that
 * is wrong.
 */
export function readAmqpSecrets(settings: StoreSettings): AmqpSecrets {
  const tls = tlsOf(settings);
  const wrong = wrongInTls(settings.AMQP_URL, tls);
  if (wrong) throw new Error(`${tlsNames[wrong.setting]} ${wrong.why}`);
  const password = passwordOf(settings, 'AMQP_PASSWORD_FILE');
  return password === undefined ? { tls } : { tls, password };
}

/**
 * The password for PostgreSQL, as its file has it now. Undefined when no file is named. Throws like
 * `readAmqpSecrets`.
 */
export const readDatabasePassword = (settings: StoreSettings): string | undefined =>
  passwordOf(settings, 'STORE_DATABASE_PASSWORD_FILE');

function passwordOf(settings: StoreSettings, name: keyof typeof passwordFiles): string | undefined {
  const [path, urlName] = [settings[name], passwordFiles[name]];
  if (path === undefined) return undefined;
  if (/:\/\/[^/@]*:[^/]*@|[?&]password=/.test(settings[urlName]))
    throw new Error(`${name} is of no use beside a password in ${urlName}: leave one of them out`);
  const password = readFileSync(path, 'utf8').replace(/\r?\n$/, ''); // an editor adds it
  if (password === '') throw new Error(`${name} names an empty file`);
  return password;
}

function wrongInSecrets(settings: StoreSettings): string[] {
  return [readAmqpSecrets, readDatabasePassword].flatMap((read) => {
    try {
      read(settings);
      return [];
    } catch (error) {
      return [(error as Error).message];
    }
  });
}

/** The settings of TLS that are set. */
export function tlsOf(settings: StoreSettings): AmqpTls {
  const given = Object.entries(tlsNames).flatMap(([key, name]) => {
    const value = settings[name];
    if (value === undefined) return [];
    return [[key, name.endsWith('_FILE') ? readFileSync(value, 'utf8') : value]];
  });
  return Object.fromEntries(given) as AmqpTls;
}

/** A row for each setting, for `--help` and docs/SETTINGS.md. */
export const storeSettingRows = (): SettingRow[] => settingRows(schema);

/** A line for each setting: name, meaning, limits and default. */
export function describeStoreSettings(): string {
  const rows = storeSettingRows();
  const width = Math.max(...rows.map(({ name }) => name.length));
  return rows
    .map(({ name, meaning, limits, unit, default: fallback = 'none' }) => {
      const allowed = unit === '' ? limits : `${limits} ${unit}`;
      return `  ${name.padEnd(width)}  ${meaning} (${allowed}) [${fallback}]`;
    })
    .join('\n');
}

/** Hides a password with any characters, in any place of a URL. */
function withoutPassword(value: string | undefined): string {
  return String(value)
    .replace(/^(.*?:\/\/)?([^:@/]*):.*@/s, '$1$2:***@')
    .replace(/([?&](?:ssl)?password=)[^&]*/gi, '$1***');
}
