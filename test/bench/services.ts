/**
 * The servers that contestants need: each is found or started when the first contestant needs it. Each is
 * asked for its version, and where it is a process of this machine, that process is known.
 */
import { connect } from 'amqplib';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { findBroker } from '../../scripts/services/broker.js';
import { findDatabase } from '../../scripts/services/database.js';
import { startPrivateRedis } from '../../scripts/services/private-redis.js';
import type { ServerKind } from './contest.js';
import { pidListeningOn } from './usage.js';

export class Services {
  readonly servers: Record<ServerKind, string> = { amqp: '', redis: '', postgres: '' };
  readonly pids: Partial<Record<ServerKind, number>> = {};
  /** The version and where it comes from. */
  readonly told: Partial<Record<ServerKind, string>> = {};
  private readonly starting: Partial<Record<ServerKind, Promise<void>>> = {};
  private readonly stops: (() => Promise<void>)[] = [];

  start(kind: ServerKind): Promise<void> {
    return (this.starting[kind] ??= this.begin(kind));
  }

  async stop(): Promise<void> {
    await Promise.all(this.stops.map((stop) => stop()));
  }

  private async begin(kind: ServerKind): Promise<void> {
    const { url, origin, stop } = await this.find(kind);
    this.stops.push(stop);
    this.servers[kind] = url;
    this.told[kind] = `${await versions[kind](url)}, ${origin}`;
    const pid = await pidListeningOn(Number(new URL(url).port));
    if (pid !== undefined) this.pids[kind] = pid;
  }

  private async find(kind: ServerKind): Promise<{ url: string; origin: string; stop(): Promise<void> }> {
    const log = { log: () => {}, warn: console.warn, error: console.error };
    if (kind === 'amqp') return findBroker({ log, mode: 'test' });
    if (kind === 'postgres') return findDatabase({ log });
    const redis = await startPrivateRedis(log, ['--appendonly', 'yes', '--appendfsync', 'everysec']);
    return { ...redis, origin: 'a private one' };
  }
}

const versions: Record<ServerKind, (url: string) => Promise<string>> = {
  async amqp(url) {
    const connection = await connect(url);
    const { product, version } = connection.connection.serverProperties as Record<string, string>;
    await connection.close();
    return `${product} ${version}`;
  },
  async redis(url) {
    const redis = new Redis(url);
    const [, version] = /redis_version:(\S+)/.exec(await redis.info('server'))!;
    redis.disconnect();
    return `Redis ${version}`;
  },
  async postgres(url) {
    const client = new Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query<{ server_version: string }>('SHOW server_version');
    await client.end();
    return `PostgreSQL ${rows[0]!.server_version}`;
  },
};
