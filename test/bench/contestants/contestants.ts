/** All contestants, by the names that rows use. */
import type { Contestant } from '../contest.js';
import { advisoryLock } from './advisory-lock.js';
import { echo } from './echo.js';
import { asyncLock, asyncMutex } from './in-process.js';
import { limit } from './limit.js';
import { lockedSession } from './locked-session.js';
import { liveMutex, redisSemaphore, redisWithoutLock, redlock, redlock5ms } from './redis.js';

export const contestants = {
  'locked-session': lockedSession,
  limit,
  echo,
  'async-mutex': asyncMutex,
  'async-lock': asyncLock,
  redis: redisWithoutLock,
  redlock,
  'redlock-5ms': redlock5ms,
  'redis-semaphore': redisSemaphore,
  'live-mutex': liveMutex,
  'advisory-lock': advisoryLock,
} satisfies Record<string, Contestant>;

export type ContestantName = keyof typeof contestants;
