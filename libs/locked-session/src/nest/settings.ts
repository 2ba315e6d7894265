/**
 * The limits and defaults of the module's options. A wrong option stops the start, with its name, its value
 * and what is allowed.
 */
import type { ExecutionContext } from '@nestjs/common';
import { z } from 'zod';
import {
  amqpDefaults,
  amqpLimits,
  amqpPrefix,
  wrongInAddresses,
  wrongInTls,
  type AmqpTls,
  type Broker,
} from '#broker';
import { limits } from '#protocol';
import { settingRows, whole, wrongOptions, wrongWhole, type SettingRow } from '#settings';
import { isTraceSecret, traceSettings } from '#trace';
import { LockedSessionError } from '../errors.js';
import type { LockedSessionOptions } from './options.js';
import type { Served } from '../scope/session-handle.js';

/** A function of the application. */
const callback = <F extends (...args: never[]) => unknown>() =>
  z.custom<F>((value) => typeof value === 'function').meta({ limits: 'a function' });

const cookie = z
  .strictObject({
    secrets: z
      .array(z.string().min(16))
      .min(1)
      .max(16)
      .readonly()
      .meta({ limits: '1 to 16 texts of 16 characters or more' }),
    name: z
      .string()
      .regex(/^[\w!#$%&'*.^`|~+-]{1,64}$/)
      .default('locked-session')
      .meta({ limits: '1 to 64 characters of those that the name of a cookie may have' }),
    path: z
      .string()
      .regex(/^\/[\x20-\x3a\x3c-\x7e]*$/)
      .default('/')
      .meta({ limits: 'a path that begins with /' }),
    domain: z
      .string()
      .regex(/^\.?[a-z\d]([a-z\d-]{0,61}[a-z\d])?(\.[a-z\d]([a-z\d-]{0,61}[a-z\d])?)*$/i)
      .optional()
      .meta({ limits: 'the name of a domain' }),
    secure: z.union([z.boolean(), z.literal('auto')]).default(false),
    sameSite: z.enum(['strict', 'lax', 'none']).default('lax'),
    maxAgeMs: whole(1_000, 400 * 86_400_000).optional(),
    rolling: z.boolean().default(false),
    partitioned: z.boolean().default(false),
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

const pem = z
  .union([z.string().min(1), z.instanceof(Buffer)])
  .optional()
  .meta({ limits: 'PEM' });

const ofAmqp = (name: keyof typeof amqpLimits) => {
  const [least, most] = amqpLimits[name];
  return whole(least, most).default(amqpDefaults[name]);
};

const rabbitMq = z.strictObject({
  url: z
    .union([z.string(), z.array(z.string()).readonly()])
    .superRefine((url, context) => {
      const message = wrongInAddresses(url);
      if (message !== undefined) context.addIssue({ code: 'custom', message });
    })
    .meta({ limits: 'amqp:// or amqps:// addresses' }),
  password: z
    .custom<string | (() => string | Promise<string>)>(
      (value) => typeof value === 'function' || (typeof value === 'string' && value !== ''),
      'must be a text, or a function that gives one',
    )
    .optional()
    .meta({ limits: 'a text or a function' }),
  prefix: z
    .string()
    .regex(amqpPrefix)
    .default(amqpDefaults.prefix)
    .meta({ limits: '1 to 64 letters, digits, . _ -' }),
  tls: z
    .union([
      callback<() => AmqpTls | Promise<AmqpTls>>(),
      z.strictObject({
        ca: pem,
        cert: pem,
        key: pem,
        passphrase: z.string().optional(),
        servername: z.string().min(1).optional(),
      }),
    ])
    .default({}),
  heartbeatSeconds: ofAmqp('heartbeatSeconds'),
  connectTimeoutMs: ofAmqp('connectTimeoutMs'),
  reconnectMinMs: ofAmqp('reconnectMinMs'),
  reconnectMaxMs: ofAmqp('reconnectMaxMs'),
  maxStalledBytes: ofAmqp('maxStalledBytes'),
});

/** RabbitMQ must not remove a queue in which somebody waits. */
const waitsInExpiry = 2;

const table = z.strictObject({
  // A Broker comes first: it may have a `url`, too, and would be taken for options.
  broker: z.union([
    z
      .custom<Broker>((value) => typeof (value as Broker | undefined)?.join === 'function')
      .meta({ limits: 'a Broker' }),
    rabbitMq,
  ]),
  partitions: whole(1, 1024).default(16),
  queues: z.enum(['partitioned', 'per-session']).default('partitioned'),
  sessionQueueExpiresMs: whole(2_000, 86_400_000).default(amqpDefaults.sessionQueueExpiresMs),
  sessionQueuesPerSecond: whole(1, 100_000).default(100),
  sessionQueues: whole(1, 1_000_000).default(10_000),
  waitersPerSession: whole(1, 10_000).default(256),
  cookie: cookie.optional(),
  resolve: callback<(context: ExecutionContext) => string | Promise<string>>().optional(),
  onServed: callback<(context: ExecutionContext, served: Served) => unknown>().optional(),
  holdPolicy: z.enum(['until-recalled', 'until-idle']).default('until-recalled'),
  writePolicy: z.enum(['write-through', 'write-back']).default('write-through'),
  writeBackMs: whole(1, 60_000).default(1_000),
  waitMs: whole(1, 600_000).default(15_000),
  nestedWaitMs: whole(1, 600_000).default(1_000),
  streamMs: whole(0, 3_600_000).default(60_000),
  commitWaitMs: whole(1, 600_000).default(15_000),
  drainBudgetMs: whole(1, 300_000).default(1_000),
  repeatMs: whole(50, 60_000).default(1_000),
  renewMs: whole(50, 60_000).default(1_500),
  maxWaitingScopes: whole(1, 1_000_000).default(10_000),
  heldSessions: whole(16, 10_000_000).default(10_000),
  idleReleaseMs: whole(1_000, 86_400_000).default(600_000),
  attributeBytes: whole(1, limits.valueBytes).default(256 * 1024),
  sessionBytes: whole(1, limits.sessionBytes).default(1024 * 1024),
  attributes: whole(1, limits.attributes).default(256),
  classInstances: z.enum(['refuse', 'copy']).default('refuse'),
  closeMs: whole(0, 600_000).default(2_000),
  trace: traceSettings.optional(),
});

const schema = table.superRefine(({ broker, queues, waitMs, sessionQueueExpiresMs }, { addIssue }) => {
  const tls = 'join' in broker || typeof broker.tls === 'function' ? {} : broker.tls;
  const wrong = 'join' in broker ? undefined : wrongInTls(broker.url, tls);
  if (wrong) addIssue({ code: 'custom', path: ['broker', 'tls', wrong.setting], message: wrong.why });
  if (queues !== 'per-session' || sessionQueueExpiresMs >= waitsInExpiry * waitMs) return;
  const message = `must be at least ${waitsInExpiry} times 'waitMs', or RabbitMQ would remove queues in which somebody waits`;
  addIssue({ code: 'custom', path: ['sessionQueueExpiresMs'], message });
}) satisfies z.ZodType<unknown, LockedSessionOptions>;

export type LockedSessionSettings = z.output<typeof schema>;
export type CookieSettings = z.output<typeof cookie>;

/** A row for each option, for docs/SETTINGS.md. Their meanings are the comments of options.ts. */
export const lockedSessionSettingRows = (): SettingRow[] => settingRows(schema);

/** Throws a `LockedSessionError` with the code `settings`: a line for each setting that is wrong. */
export function readLockedSessionOptions(options: LockedSessionOptions): LockedSessionSettings {
  const module = 'LockedSessionModule';
  const none = wrongWhole(module, options);
  if (none !== undefined) throw new LockedSessionError('settings', none);
  const given: z.input<typeof schema> = options;
  const parsed = schema.safeParse(given);
  if (parsed.success) return parsed.data;
  const isSecret = (path: readonly PropertyKey[]) =>
    path[0] === 'broker' || path.includes('secrets') || isTraceSecret(path);
  const lines = wrongOptions({ module, options, issues: parsed.error.issues, isSecret });
  throw new LockedSessionError('settings', lines.join('\n'));
}
