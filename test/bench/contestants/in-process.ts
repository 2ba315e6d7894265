/**
 * Mutexes of one process, for a read under a lock that the process holds already: async-mutex and async-lock.
 * They lock nothing between processes, and what they guard is in memory.
 */
import { createRequire } from 'node:module';
import {
  durabilities,
  firstSession,
  versionOf,
  changed,
  changedBy,
  type Client,
  type Contestant,
  type WholeSession,
} from '../contest.js';

type Exclusive = <T>(session: string, body: () => T | Promise<T>) => Promise<T>;

const require = createRequire(import.meta.url);

const inProcess = (what: string, open: () => Exclusive): Contestant => ({
  what: `${what} ${versionOf(what)}`,
  durability: durabilities.memory,
  lacks: 'locks nothing between processes',
  needs: [],
  async open({ member }) {
    const exclusive = open();
    const sessions = new Map<string, WholeSession>();
    const sessionOf = (id: string) => {
      let session = sessions.get(id);
      if (!session) sessions.set(id, (session = firstSession()));
      return session;
    };
    const change = (id: string) =>
      exclusive(id, () => {
        const session = sessionOf(id);
        const before = session[changed]!.owner;
        session[changed] = changedBy(session[changed]!, `server-${member}`);
        return before;
      });
    return {
      read: (id) => exclusive(id, () => sessionOf(id)[changed]),
      change,
      create: change,
      count: (id) => exclusive(id, () => sessionOf(id)[changed]!.count),
      close: async () => {},
    } satisfies Client;
  },
});

/** The CommonJS builds, which are the faster ones. */
export const asyncMutex = inProcess('async-mutex', () => {
  const { Mutex } = require('async-mutex') as typeof import('async-mutex');
  const mutexes = new Map<string, InstanceType<typeof Mutex>>();
  return (session, body) => {
    let mutex = mutexes.get(session);
    if (!mutex) mutexes.set(session, (mutex = new Mutex()));
    return mutex.runExclusive(body);
  };
});

export const asyncLock = inProcess('async-lock', () => {
  const AsyncLock = require('async-lock') as new () => { acquire: Exclusive };
  const lock = new AsyncLock();
  return (session, body) => lock.acquire(session, body);
});
