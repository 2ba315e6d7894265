/**
 * Locked Session as an application has it: the store's program over LevelDB, and the module in a Nest
 * application.
 */
import 'reflect-metadata';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { removeAmqpDeployment } from '#broker';
import { LockedSessionModule, LockedSessions, type SessionHandle } from '#locked-session';
import { startProcess } from '../../../scripts/processes/processes.js';
import {
  attributeNames,
  changed,
  changedBy,
  firstAttribute,
  type Attribute,
  type Contestant,
} from '../contest.js';

/** The session's handle, as the types of an application would have it. */
interface Handle {
  get(name: string): Attribute | undefined;
  set(name: string, value: Attribute): void;
}

const defaultPartitions = 16;

export const lockedSession: Contestant = {
  what: 'Locked Session, durability `process`',
  needs: ['amqp'],

  async start({ servers, name, settings: { partitions = defaultPartitions } }) {
    const directory = await mkdtemp(join(tmpdir(), 'locked-session-bench-'));
    const store = await startProcess({
      name: 'store',
      script: 'dist/apps/store/src/main.js',
      env: {
        AMQP_URL: servers.amqp,
        AMQP_PREFIX: name,
        STORE_PARTITIONS: `${partitions}`,
        STORE_DIRECTORY: directory,
      },
      ready: /the store is ready/,
    });
    return {
      async close() {
        await store.kill();
        await removeAmqpDeployment(servers.amqp, name, partitions);
        await rm(directory, { recursive: true, force: true });
      },
    };
  },

  async open({ servers, name, member, settings: { partitions = defaultPartitions, untilIdle = false } }) {
    @Module({
      imports: [
        LockedSessionModule.forRoot({
          resolve: () => 'the load names each session',
          broker: { url: servers.amqp, prefix: name },
          partitions,
          holdPolicy: untilIdle ? 'until-idle' : 'until-recalled',
          waitMs: 60_000,
          maxWaitingScopes: 100_000,
        }),
      ],
    })
    class AppServerModule {}

    const app = await NestFactory.createApplicationContext(AppServerModule, {
      logger: ['warn', 'error', 'fatal'],
    });
    const sessions = app.get(LockedSessions);
    const owner = `server-${member}`;
    const write = { write: [changed] as never[] };
    const read = { read: [changed] as never[] };
    const change = (handle: SessionHandle) => {
      const session = handle as unknown as Handle;
      const before = session.get(changed);
      session.set(changed, changedBy(before ?? firstAttribute, owner));
      return before?.owner;
    };
    const create = (handle: SessionHandle) => {
      const session = handle as unknown as Handle;
      for (const name of attributeNames) session.set(name, firstAttribute);
      session.set(changed, changedBy(firstAttribute, owner));
    };
    const countOf = (handle: SessionHandle) => (handle as unknown as Handle).get(changed)?.count ?? 0;
    return {
      read: (session) => sessions.run(session, read, (handle) => (handle as unknown as Handle).get(changed)),
      change: (session) => sessions.run(session, write, change),
      create: (session) => sessions.run(session, {}, create),
      count: (session) => sessions.run(session, read, countOf),
      close: () => app.close(),
    };
  },
};
