/**
 * Locked Session as an application has it: the store's program over LevelDB, and the module in a Nest
 * application. Four contestants differ by where requests for locks wait, and by the type of the partitions'
 * queues.
 */
import 'reflect-metadata';
import { randomUUID } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { AmqpBroker, removeAmqpDeployment } from '#broker';
import {
  LockedSessionModule,
  LockedSessions,
  sessionsToken,
  type LockedSessionOptions,
  type SessionHandle,
} from '#locked-session';
import { startProcess, type RunningProcess } from '../../../scripts/processes/processes.js';
import {
  attributeNames,
  changed,
  changedBy,
  durabilities,
  firstAttribute,
  versionOf,
  type Attribute,
  type Backend,
  type Client,
  type Contestant,
  type ContestSettings,
  type Place,
} from '../contest.js';

/** The session's handle, as the types of an application would have it. */
export interface Handle {
  get(name: string): Attribute | undefined;
  set(name: string, value: Attribute): void;
}

/** What the deployments of the contestants differ by. */
interface Layout {
  readonly queues: 'partitioned' | 'per-session';
  readonly queueType: 'classic' | 'quorum';
}

const defaultPartitions = 16;
const defaultWaiters = 256;

const inLayout = (layout: Layout): Contestant => ({
  what: `Locked Session, ${layout.queues} queues, ${layout.queueType}; amqplib ${versionOf('amqplib')}`,
  durability: durabilities.killedStore,
  lacks: '–',
  needs: ['amqp'],
  start: (place) => startStores(place, layout),
  open: (place) => openApp(place, layout),
});

export const lockedSession = inLayout({ queues: 'partitioned', queueType: 'classic' });
export const perSession = inLayout({ queues: 'per-session', queueType: 'classic' });
export const quorum = inLayout({ queues: 'partitioned', queueType: 'quorum' });
export const perSessionQuorum = inLayout({ queues: 'per-session', queueType: 'quorum' });

/** Starts a store, and one that stands by if the contest asks for it. */
export async function startStores(
  { servers, name, settings }: Place,
  { queueType }: Pick<Layout, 'queueType'>,
): Promise<Backend> {
  const { partitions = defaultPartitions, standby = false, holders = 1 } = settings;
  const directory = await mkdtemp(join(tmpdir(), 'locked-session-bench-'));
  const start = (ready: RegExp) =>
    startProcess({
      name: 'store',
      script: 'dist/apps/store/src/main.js',
      env: {
        AMQP_URL: servers.amqp,
        AMQP_PREFIX: name,
        AMQP_QUEUE_TYPE: queueType,
        STORE_PARTITIONS: `${partitions}`,
        STORE_DIRECTORY: directory,
        STORE_WAITERS_PER_SESSION: `${Math.max(defaultWaiters, holders)}`,
      },
      ready,
    });
  const stores: RunningProcess[] = [await start(/the store is ready/)];
  const standBy = async () => stores.push(await start(/standing by/));
  if (standby) await standBy();
  return {
    store: stores[0]!.pid,
    async disturb() {
      await stores.shift()!.kill('SIGKILL');
      await standBy();
    },
    async close() {
      await Promise.all(stores.map((store) => store.kill()));
      await removeAmqpDeployment(servers.amqp, name, partitions);
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** The options that an application would give. The waits are long, so that a slow machine is no failure. */
export function optionsOf(settings: ContestSettings, { queues }: Pick<Layout, 'queues'>) {
  const { partitions = defaultPartitions, untilIdle = false, heldSessions, holders = 1 } = settings;
  return {
    partitions,
    queues,
    holdPolicy: untilIdle ? 'until-idle' : 'until-recalled',
    waitMs: 60_000,
    maxWaitingScopes: 100_000,
    sessionQueuesPerSecond: 100_000,
    sessionQueues: 1_000_000,
    waitersPerSession: Math.max(defaultWaiters, holders),
    ...(heldSessions !== undefined && { heldSessions }),
  } satisfies Partial<LockedSessionOptions>;
}

async function openApp({ servers, name, member, settings }: Place, layout: Layout): Promise<Client> {
  const { holders = 1 } = settings;
  // Many app servers in one process share its connection.
  const url = { url: servers.amqp, prefix: name };
  const log = { log() {}, warn: console.warn, error: console.error };
  const shared = holders > 1 ? new AmqpBroker({ ...url, log }) : undefined;
  const instances = Array.from({ length: holders }, () => `server-${randomUUID()}`);

  @Module({
    imports: instances.map((instance, at) =>
      LockedSessionModule.forRoot({
        isGlobal: holders === 1,
        ...(at > 0 && { instance }),
        resolve: () => 'the load names each session',
        broker: shared ?? url,
        ...optionsOf(settings, layout),
      }),
    ),
  })
  class AppServerModule {}

  const app = await NestFactory.createApplicationContext(AppServerModule, {
    logger: ['warn', 'error', 'fatal'],
  });
  const servants = instances.map((instance, at) =>
    at === 0 ? app.get(LockedSessions) : app.get<LockedSessions>(sessionsToken(instance)),
  );
  const first = servants[0]!;
  const of = (scope: number) => servants[scope % holders]!;
  const ownerOf = (scope: number) =>
    holders === 1 ? `server-${member}` : `server-${member}-${scope % holders}`;
  const owners = Array.from({ length: holders }, (_, scope) => ownerOf(scope));
  const initial = firstAttribute(settings);
  const write = { write: [changed] as never[] };
  const read = { read: [changed] as never[] };
  const changers = owners.map((owner) => (handle: SessionHandle) => {
    const session = handle as unknown as Handle;
    const before = session.get(changed);
    session.set(changed, changedBy(before ?? initial, owner));
    return before?.owner;
  });
  const create = (handle: SessionHandle) => {
    const session = handle as unknown as Handle;
    for (const name of attributeNames) session.set(name, initial);
    session.set(changed, changedBy(initial, owners[0]!));
  };
  const get = (handle: SessionHandle) => (handle as unknown as Handle).get(changed);
  return {
    read: (session, scope) => of(scope).run(session, read, get),
    change: (session, scope) => of(scope).run(session, write, changers[scope % holders]!),
    create: (session) => first.run(session, {}, create),
    count: (session) => first.run(session, read, (handle) => get(handle)?.count ?? 0),
    async close() {
      await app.close();
      await shared?.close();
    },
  };
}
