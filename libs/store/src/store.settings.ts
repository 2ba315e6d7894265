/**
 * The store's settings, from the environment: one table for their names, defaults, limits and explanations. A wrong one stops the start
 * with its name, its value and what is allowed.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { wrongInTls, type AmqpTls } from '#broker';
import { schemaName } from '#repository';

const whole = (least: number, most: number) => z.coerce.number().int().min(least).max(most);

/** A file that must be readable at the start. Its content is the setting. */
const file = (what: string) =>
  z
    .string()
    .transform((path, context) => {
      try {
        return readFileSync(path, 'utf8');
      } catch (error) {
        context.addIssue({ code: 'custom', message: (error as Error).message });
        return z.NEVER;
      }
    })
    .optional()
    .describe(`a readable PEM file, ${what}`);

const table = {
  AMQP_URL: z
    .url({ protocol: /^amqps?$/ })
    .default('amqp://guest:guest@127.0.0.1:5672')
    .describe('where RabbitMQ is: amqp:// or amqps://'),
  AMQP_PREFIX: z
    .string()
    .regex(/^[\w.-]{1,64}$/)
    .default('locked-session')
    .describe('what exchange and queue names begin with: 1 to 64 letters, digits, . _ -'),
  AMQP_QUEUE_TYPE: z
    .enum(['classic', 'quorum'])
    .default('classic')
    .describe('the kind of the partition queues: classic or quorum'),
  AMQP_CA_FILE: file('of those who signed the certificate of RabbitMQ; without it whom Node trusts'),
  AMQP_CERT_FILE: file('of the certificate by which RabbitMQ knows the store'),
  AMQP_KEY_FILE: file('of the key of that certificate'),
  AMQP_KEY_PASSPHRASE: z.string().optional().describe('what the key is encrypted with'),
  AMQP_SERVER_NAME: z
    .string()
    .optional()
    .describe('the name in the certificate of RabbitMQ, when it is not the host in AMQP_URL'),
  AMQP_HEARTBEAT_SECONDS: whole(1, 600)
    .default(5)
    .describe('a silent connection counts as lost after two to three times this, in seconds: 1 to 600'),
  AMQP_CONNECT_TIMEOUT_MS: whole(100, 600_000)
    .default(5_000)
    .describe('the longest that connecting to RabbitMQ may take, in milliseconds: 100 to 600000'),
  AMQP_RECONNECT_MIN_MS: whole(1, 60_000)
    .default(100)
    .describe('pause before the first new try to connect, in milliseconds, doubled with each: 1 to 60000'),
  AMQP_RECONNECT_MAX_MS: whole(1, 600_000)
    .default(1_000)
    .describe('the longest such pause, in milliseconds: 1 to 600000'),
  AMQP_MAX_QUEUED_FRAMES: whole(1_000, 10_000_000)
    .default(100_000)
    .describe('most frames that wait in the queue of one partition; fixed once it is made: 1000 to 10000000'),
  AMQP_MAX_STALLED_BYTES: whole(65_536, 1_073_741_824)
    .default(67_108_864)
    .describe('most bytes that wait in a channel while RabbitMQ takes none: 65536 to 1073741824'),
  STORE_PARTITIONS: whole(1, 1024)
    .default(16)
    .describe('the number of partitions, fixed for a deployment, the same in every app server: 1 to 1024'),
  STORE_REPOSITORY: z
    .enum(['level', 'postgres', 'memory'])
    .default('level')
    .describe(
      'where sessions are kept: level (in STORE_DIRECTORY), postgres (at STORE_DATABASE_URL) or memory (gone when the store stops)',
    ),
  STORE_DIRECTORY: z
    .string()
    .min(1)
    .default('./data')
    .describe('the data directory; made when it is not there'),
  STORE_DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/ })
    .default('postgres://postgres@127.0.0.1:5432/postgres')
    .describe(
      'where PostgreSQL is: postgres://user:password@host:port/database, and ?sslmode=verify-full for TLS',
    ),
  STORE_DATABASE_SCHEMA: z
    .string()
    .regex(schemaName)
    .default('locked_session')
    .describe(
      'the schema of this deployment in the database, made when it is not there: 1 to 63 of a-z, 0-9, _, no digit first',
    ),
  STORE_DATABASE_CONNECTIONS: whole(2, 100)
    .default(4)
    .describe('most connections to the database, of which one writes: 2 to 100'),
  STORE_DATABASE_CONNECT_TIMEOUT_MS: whole(100, 60_000)
    .default(5_000)
    .describe('the longest that connecting to the database may take, in milliseconds: 100 to 60000'),
  STORE_DATABASE_STATEMENT_TIMEOUT_MS: whole(100, 600_000)
    .default(10_000)
    .describe('the longest that a statement in the database may take, in milliseconds: 100 to 600000'),
  STORE_DURABILITY: z
    .enum(['process', 'disk'])
    .default('process')
    .describe(
      'what an acknowledged change survives: process (a killed store) or disk (power loss and a killed database, too)',
    ),
  STORE_LEASE_MS: whole(500, 600_000)
    .default(5_000)
    .describe('how long a holder may trust its locks unheard, in milliseconds: 500 to 600000'),
  STORE_RECALL_TIMEOUT_MS: whole(500, 600_000)
    .default(10_000)
    .describe(
      'how long an app server has to give a lock back that others wait for, in milliseconds: 500 to 600000',
    ),
  STORE_UNREACHABLE_HOLDER: z
    .enum(['wait-for-lease', 'revoke'])
    .default('wait-for-lease')
    .describe(
      'what becomes of the locks of an app server whose queue is gone: wait-for-lease (nobody else gets in while it might ' +
        'still run) or revoke (at once)',
    ),
  STORE_TTL_MS: whole(1_000, 31_536_000_000)
    .default(86_400_000)
    .describe('how long a session is kept after its last use, in milliseconds: 1000 to 31536000000'),
  STORE_WAITERS_PER_SESSION: whole(2, 10_000)
    .default(256)
    .describe('most app servers that may wait for one session: 2 to 10000'),
  STORE_WAITERS_PER_PARTITION: whole(1, 60_000)
    .default(4_096)
    .describe(
      'most requests that may wait in one partition, and most queues of sessions that are consumed for it: 1 to 60000',
    ),
  STORE_WINDOW: whole(1, 5_000)
    .default(256)
    .describe('most frames under way in one partition beside those that wait: 1 to 5000'),
  STORE_ENDED_GRANTS: whole(1, 64)
    .default(8)
    .describe('ended grants remembered for each session, to answer repeats: 1 to 64'),
  STORE_CACHE_MIB: whole(1, 65_536)
    .default(256)
    .describe('most memory for session state, in MiB, over all partitions: 1 to 65536'),
  STORE_STANDBY_POLL_MS: whole(10, 60_000)
    .default(50)
    .describe(
      'how often a store that stands by looks whether the data directory is free, in milliseconds: 10 to 60000',
    ),
  STORE_RETRY_MIN_MS: whole(1, 60_000)
    .default(100)
    .describe('pause before a partition is claimed anew after a failure, in milliseconds: 1 to 60000'),
  STORE_RETRY_MAX_MS: whole(1, 600_000)
    .default(5_000)
    .describe('the longest such pause, in milliseconds: 1 to 600000'),
};

export type StoreSettings = z.infer<z.ZodObject<typeof table>>;

/** A setting is wrong: the message has a line for each, with its name, its value and what is allowed. */
export class StoreSettingsError extends Error {
  override name = 'StoreSettingsError';
}

/** Throws a `StoreSettingsError`. An empty variable counts as not set. */
export function readStoreSettings(env: Readonly<Record<string, string | undefined>>): StoreSettings {
  const given = Object.fromEntries(Object.keys(table).map((name) => [name, env[name] || undefined]));
  const parsed = z.object(table).safeParse(given);
  const unknown = Object.keys(env).filter((name) => name.startsWith('STORE_') && !(name in table));
  const lines = unknown.map((name) => `${name} is no setting of the store; see --help`);
  for (const issue of parsed.error?.issues ?? []) {
    const name = issue.path[0] as keyof typeof table;
    lines.push(`${name} is '${withoutPassword(given[name])}', but must be ${table[name].description}`);
  }
  const wrong = parsed.data && wrongInTls(parsed.data.AMQP_URL, tlsOf(parsed.data));
  if (wrong) lines.push(`${tlsNames[wrong.setting]} ${wrong.why}`);
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

/** What the settings say of TLS: nothing that is not set. */
export function tlsOf(settings: StoreSettings): AmqpTls {
  const given = Object.entries(tlsNames).filter(([, name]) => settings[name] !== undefined);
  return Object.fromEntries(given.map(([key, name]) => [key, settings[name]]));
}

/** A line for each setting: name, default, explanation. */
export function describeStoreSettings(): string {
  const width = Math.max(...Object.keys(table).map((name) => name.length));
  return Object.entries(table)
    .map(([name, schema]) => {
      const fallback = schema.parse(undefined);
      return `  ${name.padEnd(width)}  ${schema.description} [${fallback === undefined ? 'none' : String(fallback)}]`;
    })
    .join('\n');
}

/** Whatever a password may contain, and wherever it may stand. */
function withoutPassword(value: string | undefined): string {
  return String(value)
    .replace(/^(.*?:\/\/)?([^:@/]*):.*@/s, '$1$2:***@')
    .replace(/([?&](?:ssl)?password=)[^&]*/gi, '$1***');
}
