/**
 * What an app server can set, with defaults and limits. A wrong setting stops the start, with its name, its value and what is allowed.
 */
import type { ExecutionContext } from '@nestjs/common';
import { z } from 'zod';
import { wrongInTls, type Broker } from '#broker';
import { limits } from '#protocol';
import { LockedSessionError } from './errors.js';
import type { Served } from './session-handle.js';

const whole = (least: number, most: number) => z.number().int().min(least).max(most);

const cookie = z
  .strictObject({
    /** The first signs cookies; all are accepted, so that secrets can be rotated. At least 16 characters each. */
    secrets: z.array(z.string().min(16)).min(1).max(16),
    name: z
      .string()
      .regex(/^[\w!#$%&'*.^`|~+-]{1,64}$/)
      .default('locked-session'),
    path: z
      .string()
      .regex(/^\/[\x20-\x3a\x3c-\x7e]*$/)
      .default('/'),
    domain: z
      .string()
      .regex(/^\.?[a-z\d]([a-z\d-]{0,61}[a-z\d])?(\.[a-z\d]([a-z\d-]{0,61}[a-z\d])?)*$/i)
      .optional(),
    /**
     * Whether browsers send the cookie by TLS alone. `auto`: when the request that it answers came by TLS; behind a proxy that is what Express or
     * Fastify make of its headers, by their own setting (`trust proxy`, `trustProxy`).
     */
    secure: z.union([z.boolean(), z.literal('auto')]).default(false),
    sameSite: z.enum(['strict', 'lax', 'none']).default('lax'),
    /** How long browsers keep the cookie, in milliseconds; without it until they are closed. */
    maxAgeMs: whole(1_000, 400 * 86_400_000).optional(),
    /** Every answer within the session brings the cookie again, so that `maxAgeMs` counts from the last one; pointless without `maxAgeMs`. */
    rolling: z.boolean().default(false),
    /** A jar of its own for each site that embeds this one. */
    partitioned: z.boolean().default(false),
    /** Which cookies browsers drop first when there are too many. */
    priority: z.enum(['low', 'medium', 'high']).optional(),
  })
  .superRefine(({ name, path, domain, secure, sameSite, partitioned }, { addIssue }) => {
    const refuse = (setting: string, message: string) =>
      addIssue({ code: 'custom', path: [setting], message });
    // What browsers would drop without a word.
    const needsTls = "browsers take such a cookie with 'Secure' only: set 'cookie.secure' to true";
    if (secure !== true) {
      if (sameSite === 'none') refuse('sameSite', needsTls);
      if (partitioned) refuse('partitioned', needsTls);
      if (/^__(host|secure)-/i.test(name)) refuse('name', needsTls);
    }
    if (/^__host-/i.test(name) && (path !== '/' || domain !== undefined))
      refuse('name', "browsers take such a cookie with the path '/' and no domain only");
  });

const pem = z.union([z.string().min(1), z.instanceof(Buffer)]).optional();

const rabbitmq = z.strictObject({
  /** amqp:// or amqps:// */
  url: z.url({ protocol: /^amqps?$/ }),
  /** What exchange and queue names begin with: one per deployment, the same in the store. */
  prefix: z
    .string()
    .regex(/^[\w.-]{1,64}$/)
    .default('locked-session'),
  /** For amqps://: who signed RabbitMQ's certificate, and the certificate and key by which it knows this process, as PEM; the name in its certificate, when that is not the host. */
  tls: z
    .strictObject({
      ca: pem,
      cert: pem,
      key: pem,
      passphrase: z.string().optional(),
      servername: z.string().min(1).optional(),
    })
    .default({}),
  /** A silent connection counts as lost after two to three times this, in seconds. */
  heartbeatSeconds: whole(1, 600).default(5),
  /** The longest that connecting may take, in milliseconds. */
  connectTimeoutMs: whole(100, 600_000).default(5_000),
  /** The pause before the first new try to connect, doubled with each, and the longest, in milliseconds. */
  reconnectMinMs: whole(1, 60_000).default(100),
  reconnectMaxMs: whole(1, 600_000).default(1_000),
  /** Most bytes that wait while RabbitMQ takes none. */
  maxStalledBytes: whole(65_536, 1_073_741_824).default(67_108_864),
});

/** RabbitMQ must not remove a queue in which somebody waits. */
const waitsInExpiry = 2;

const table = z.strictObject({
  /** Where RabbitMQ is, or any other way to the store. */
  broker: z.union([
    z.custom<Broker>((value) => typeof (value as Broker | undefined)?.join === 'function'),
    rabbitmq,
  ]),
  /** The deployment's number of partitions: the same in the store. */
  partitions: whole(1, 1024).default(16),
  /**
   * Where requests for locks wait: in the queue of their partition, or in RabbitMQ queues of their sessions (docs/OPERATING.md has a table to choose by). The same in all app
   * servers; the store follows.
   */
  queues: z.enum(['partitioned', 'per-session']).default('partitioned'),
  /** Queues of sessions: how long RabbitMQ keeps one that nobody uses, in milliseconds; the same in all app servers, and at least twice `waitMs`. */
  sessionQueueExpiresMs: whole(2_000, 86_400_000).default(300_000),
  /** Queues of sessions: how many this process makes a second, and uses in all. */
  sessionQueuesPerSecond: whole(1, 100_000).default(100),
  sessionQueues: whole(1, 1_000_000).default(10_000),
  /** Queues of sessions: most app servers that may wait for one session. */
  waitersPerSession: whole(1, 10_000).default(256),
  /** How the client's session is found: by a signed cookie, */
  cookie: cookie.optional(),
  /** or by the application itself. */
  resolve: z
    .custom<(context: ExecutionContext) => string | Promise<string>>((value) => typeof value === 'function')
    .optional(),
  /** Called when a handler's scope has ended well and its changes are durable, before the answer leaves: for headers, logs, figures. */
  onServed: z
    .custom<(context: ExecutionContext, served: Served) => void>((value) => typeof value === 'function')
    .optional(),
  /** Keep a lock until it is recalled, or release it as soon as no scope needs it. */
  holdPolicy: z.enum(['until-recalled', 'until-idle']).default('until-recalled'),
  /** Results wait until their changes are durable, or only until they are made: then a crash loses up to `writeBackMs` of them (rule 20). */
  writePolicy: z.enum(['write-through', 'write-back']).default('write-through'),
  /** How long write-back holds changes back at most, in milliseconds; a recall sends them at once. */
  writeBackMs: whole(1, 60_000).default(1_000),
  /** How long a scope waits for its locks, in milliseconds. */
  waitMs: whole(1, 600_000).default(15_000),
  /** How long a nested scope waits for a session with a smaller id, in milliseconds. */
  nestedWaitMs: whole(1, 600_000).default(1_000),
  /** How long a result waits for the store's acknowledgement, in milliseconds. */
  commitWaitMs: whole(1, 600_000).default(15_000),
  /** How long after a recall scopes that are inside may still start, in milliseconds: at most half the store's recall time-out. */
  drainBudgetMs: whole(1, 300_000).default(1_000),
  /** After this long without an answer a message is sent again, in milliseconds. */
  repeatMs: whole(50, 60_000).default(1_000),
  /** How often the process shows partitions where it holds or waits that it lives, in milliseconds: a third of the lease or less. */
  renewMs: whole(50, 60_000).default(1_500),
  /** Most scopes that may wait for one session in this process. */
  maxWaitingScopes: whole(1, 1_000_000).default(10_000),
  /** Most sessions held at once; beyond it the least recently used are released. */
  heldSessions: whole(16, 10_000_000).default(10_000),
  /** A session that no scope used for this long is released, at twice this at the latest, in milliseconds. */
  idleReleaseMs: whole(1_000, 86_400_000).default(600_000),
  /** Most bytes of one attribute's value, encoded. */
  attributeBytes: whole(1, limits.valueBytes).default(256 * 1024),
  /** Most bytes of all of a session's values together. */
  sessionBytes: whole(1, limits.sessionBytes).default(1024 * 1024),
  /** Most attributes of a session. */
  attributes: whole(1, limits.attributes).default(256),
  /** How long a shutdown waits for running scopes, and then for answers, in milliseconds. */
  closeMs: whole(0, 600_000).default(2_000),
});

const schema = table.superRefine(({ broker, queues, waitMs, sessionQueueExpiresMs }, { addIssue }) => {
  const wrong = 'join' in broker ? undefined : wrongInTls(broker.url, broker.tls);
  if (wrong) addIssue({ code: 'custom', path: ['broker', 'tls', wrong.setting], message: wrong.why });
  if (queues !== 'per-session' || sessionQueueExpiresMs >= waitsInExpiry * waitMs) return;
  const message = `must be at least ${waitsInExpiry} times 'waitMs', or RabbitMQ would remove queues in which somebody waits`;
  addIssue({ code: 'custom', path: ['sessionQueueExpiresMs'], message });
});

export type LockedSessionOptions = z.input<typeof schema>;
export type LockedSessionSettings = z.output<typeof schema>;
export type CookieSettings = z.output<typeof cookie>;

/** Throws a `LockedSessionError` with the code `settings`: a line for each setting that is wrong. */
export function readLockedSessionOptions(options: LockedSessionOptions): LockedSessionSettings {
  const parsed = schema.safeParse(options);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map(({ path, message, code }) => {
    if (code === 'unrecognized_keys') return `LockedSessionModule: ${message}`;
    const value = path.reduce<unknown>(
      (at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key],
      options,
    );
    const secret = path[0] === 'broker' || path.includes('secrets');
    const shown = secret ? 'what is set' : (JSON.stringify(value)?.slice(0, 100) ?? 'not set');
    return `LockedSessionModule: '${path.join('.')}' (${shown}): ${message}`;
  });
  throw new LockedSessionError('settings', lines.join('\n'));
}
