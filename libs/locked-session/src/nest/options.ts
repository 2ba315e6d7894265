/**
 * What an app server can set, with the meaning of each option. docs/SETTINGS.md is made of these comments;
 * limits and defaults are in settings.ts.
 */
import type { ExecutionContext } from '@nestjs/common';
import type { AmqpSettings, AmqpTls, Broker } from '#broker';
import type { TraceOptions } from '#trace';
import type { Served } from '../scope/session-handle.js';

/** The options of `LockedSessionModule`. docs/SETTINGS.md has their limits and defaults. */
export interface LockedSessionOptions {
  /** Where RabbitMQ is, or another way to the store. */
  broker: RabbitMqOptions | Broker;
  /** The number of partitions of the deployment: the same as `STORE_PARTITIONS` of the store. */
  partitions?: number | undefined;
  /**
   * Requests for locks wait in the queue of their partition, or in a RabbitMQ queue of their session. It is
   * the same in all app servers, and the store follows. docs/OPERATING.md has a table to choose by.
   */
  queues?: 'partitioned' | 'per-session' | undefined;
  /**
   * With queues of sessions: how long RabbitMQ keeps a queue that nobody uses. It is the same in all app
   * servers, and at least twice `waitMs`.
   */
  sessionQueueExpiresMs?: number | undefined;
  /** With queues of sessions: how many of them this process makes. */
  sessionQueuesPerSecond?: number | undefined;
  /** With queues of sessions: how many of them this process uses at once. */
  sessionQueues?: number | undefined;
  /** With queues of sessions: most app servers that may wait for one session. */
  waitersPerSession?: number | undefined;
  /** The signed cookie that names the client's session. Either this or `resolve` is given. */
  cookie?: CookieOptions | undefined;
  /** Finds the id of a request's session, where no cookie names it. */
  resolve?: ((context: ExecutionContext) => string | Promise<string>) | undefined;
  /**
   * Called when the scope of a handler has ended well and its changes are durable, before the answer leaves.
   * It may set headers, or log.
   */
  onServed?: ((context: ExecutionContext, served: Served) => unknown) | undefined;
  /** A process keeps a lock until the store recalls it, or releases it as soon as no scope needs it. */
  holdPolicy?: 'until-recalled' | 'until-idle' | undefined;
  /**
   * A result waits until its changes are durable (`write-through`). Or it does not wait (`write-back`), and a
   * crash loses up to `writeBackMs` of changes.
   */
  writePolicy?: 'write-through' | 'write-back' | undefined;
  /** With write-back: how long changes are buffered at most. A recall sends them at once. */
  writeBackMs?: number | undefined;
  /** How long a scope waits for its locks. */
  waitMs?: number | undefined;
  /** How long a nested scope waits for a session with a smaller id than the one that it is in. */
  nestedWaitMs?: number | undefined;
  /** How long a handler that has returned a stream keeps its locks while the stream is sent. */
  streamMs?: number | undefined;
  /** How long a result waits for the store's acknowledgement. */
  commitWaitMs?: number | undefined;
  /**
   * How long after a recall a scope may still get its first attribute. It is at most half of
   * `STORE_RECALL_TIMEOUT_MS`.
   */
  drainBudgetMs?: number | undefined;
  /** A message without an answer is repeated after this time. */
  repeatMs?: number | undefined;
  /**
   * How often the process renews its leases, where it holds or waits. It is a third of `STORE_LEASE_MS` at
   * most.
   */
  renewMs?: number | undefined;
  /** Most scopes that may wait for one session in this process. */
  maxWaitingScopes?: number | undefined;
  /** Most sessions that this process holds. Beyond it the least recently used are released. */
  heldSessions?: number | undefined;
  /** A session that no scope has used for this long is released, at the latest after twice this. */
  idleReleaseMs?: number | undefined;
  /** Most bytes of the encoded value of one attribute. */
  attributeBytes?: number | undefined;
  /** Most bytes of all values of a session together. */
  sessionBytes?: number | undefined;
  /** Most attributes of a session. */
  attributes?: number | undefined;
  /** Instances of the application's classes in attributes are refused, or copied as plain objects. */
  classInstances?: 'refuse' | 'copy' | undefined;
  /** How long a shutdown lets scopes run and gives locks back. All of it ends one second later at most. */
  closeMs?: number | undefined;
  /** Writes down what this process does, for `locked-session verify` (docs/VERIFY.md). */
  trace?: TraceOptions | undefined;
}

type AmqpOptions = Pick<
  AmqpSettings,
  | 'url'
  | 'prefix'
  | 'heartbeatSeconds'
  | 'connectTimeoutMs'
  | 'reconnectMinMs'
  | 'reconnectMaxMs'
  | 'maxStalledBytes'
>;

export interface RabbitMqOptions extends OrUndefined<AmqpOptions> {
  /**
   * The password, when it is not in `url`. A function is called for every connection, so a new one needs no
   * restart.
   */
  password?: string | (() => string | Promise<string>) | undefined;
  /** Certificates and key for amqps://. A function is called for every connection. */
  tls?: AmqpTls | (() => AmqpTls | Promise<AmqpTls>) | undefined;
}

/** An option that is undefined counts as not given. */
type OrUndefined<T> = { [Name in keyof T]: T[Name] | (undefined extends T[Name] ? undefined : never) };

export interface CookieOptions {
  /** The first one signs cookies. All are accepted, so that secrets can be changed. */
  secrets: readonly string[];
  /** The name of the cookie. */
  name?: string | undefined;
  /** The path below which browsers send the cookie. */
  path?: string | undefined;
  /** The domain whose hosts browsers send the cookie to. Without it they send it to this host alone. */
  domain?: string | undefined;
  /**
   * Whether browsers send the cookie by TLS alone. With `auto` they do when the request came by TLS. Behind a
   * proxy Express and Fastify decide that by its headers (`trust proxy`, `trustProxy`).
   */
  secure?: boolean | 'auto' | undefined;
  /**
   * Whether browsers send the cookie with requests that begin at another site. `none` needs `secure: true`.
   */
  sameSite?: 'strict' | 'lax' | 'none' | undefined;
  /** How long browsers keep the cookie. Without it they keep it until they are closed. */
  maxAgeMs?: number | undefined;
  /** Every answer within the session brings the cookie again, so that `maxAgeMs` counts from the last one. */
  rolling?: boolean | undefined;
  /** Browsers keep a cookie of its own for each site that embeds this one. */
  partitioned?: boolean | undefined;
  /** Which cookies browsers drop first when there are too many. */
  priority?: 'low' | 'medium' | 'high' | undefined;
}
