/** The servers that contestants need: each is found or started when the first contestant needs it. */
import { findBroker } from '../../scripts/services/broker.js';
import { findDatabase } from '../../scripts/services/database.js';
import { startPrivateRedis } from '../../scripts/services/private-redis.js';
import type { ServerKind } from './contest.js';

export class Services {
  readonly servers: Record<ServerKind, string> = { amqp: '', redis: '', postgres: '' };
  private readonly origins = new Map<ServerKind, string>();
  private readonly stops: (() => Promise<void>)[] = [];

  /** Resolves with where it comes from. */
  async start(kind: ServerKind): Promise<string> {
    const known = this.origins.get(kind);
    if (known !== undefined) return known;
    const { url, origin, stop } = await this.find(kind);
    this.servers[kind] = url;
    this.origins.set(kind, origin);
    this.stops.push(stop);
    return origin;
  }

  async stop(): Promise<void> {
    await Promise.all(this.stops.map((stop) => stop()));
  }

  private async find(kind: ServerKind): Promise<{ url: string; origin: string; stop(): Promise<void> }> {
    const log = { log: () => {}, warn: console.warn, error: console.error };
    if (kind === 'amqp') return findBroker({ log, mode: 'test' });
    if (kind === 'postgres') return findDatabase({ log });
    const redis = await startPrivateRedis(log, ['--appendonly', 'yes', '--appendfsync', 'everysec']);
    return { ...redis, origin: 'a private Redis' };
  }
}
