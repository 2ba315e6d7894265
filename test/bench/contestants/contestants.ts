/** All contestants, by the names that rows use. */
import type { Contestant, Program } from '../contest.js';
import { advisoryLock } from './advisory-lock.js';
import { demo } from './demo.js';
import { echo } from './echo.js';
import { httpExpressSession, httpLockedSession, httpRedlock, httpWithoutSession } from './http.js';
import { asyncLock, asyncMutex } from './in-process.js';
import { limit } from './limit.js';
import { lockedSession, perSession, perSessionQuorum, quorum } from './locked-session.js';
import { liveMutex, redisSemaphore, redisWithoutLock, redlock, redlock5ms } from './redis.js';

export const contestants = {
  'locked-session': lockedSession,
  'per-session': perSession,
  quorum,
  'per-session-quorum': perSessionQuorum,
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
  'http-locked-session': httpLockedSession,
  'http-no-session': httpWithoutSession,
  'http-express-session': httpExpressSession,
  'http-redlock': httpRedlock,
  demo,
} satisfies Record<string, Contestant | Program>;

export type ContestantName = keyof typeof contestants;
