/**
 * An application that only the library keeps alive: it has no server and no timer. It plays the scene of its
 * argument, prints a line for each step, and ends by itself.
 */
import 'reflect-metadata';
import { Inject, Injectable, Module, type DynamicModule, type OnModuleInit } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { MemoryBroker, MemoryExchange, systemClock } from '#broker';
import { EmbeddedLockedSessionModule } from '#embedded';
import { LockedSessionModule, LockedSessions } from '#locked-session';

interface Loose {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
}

const { AMQP_URL: url = '', AMQP_PREFIX: prefix = '', PARTITIONS: partitions, STORE_DIRECTORY } = process.env;
const resolve = () => 'nobody';
const closeMs = 300;
const waitMs = 400;

const embedded = (more: object = {}) =>
  EmbeddedLockedSessionModule.forRoot({ resolve, closeMs, waitMs, directory: STORE_DIRECTORY!, ...more });

const say = (line: string) => console.log(`lone: ${line}`);
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'fulfilled',
    (error: Error & { code?: string }) => error.code ?? error.message,
  );
const set = (sessions: LockedSessions, id: string, value: unknown) =>
  sessions.run(id, {}, (session) => (session as unknown as Loose).set('a', value));
const get = (sessions: LockedSessions, id: string) =>
  sessions.run(id, {}, (session) => (session as unknown as Loose).get('a'));
/** Resolves when a scope is inside that never ends. */
const enterForEver = (sessions: LockedSessions, id: string) =>
  new Promise<void>((entered) => {
    const staying = sessions.run(id, {}, () => {
      entered();
      return new Promise(() => {});
    });
    staying.catch(() => {});
  });

@Injectable()
class Starter implements OnModuleInit {
  constructor(@Inject(LockedSessions) private readonly sessions: LockedSessions) {}

  async onModuleInit(): Promise<void> {
    say('begins');
    await set(this.sessions, 'start', 1);
    say('initialized');
  }
}

async function application(module: DynamicModule, providers: (typeof Starter)[] = []) {
  @Module({ imports: [module], providers })
  class App {}
  const app = await NestFactory.createApplicationContext(App, { logger: ['warn', 'error'] });
  return { app, sessions: app.get(LockedSessions) };
}

const scenes: Record<string, () => Promise<void>> = {
  async 'uses a session from onModuleInit on'() {
    const { app } = await application(embedded(), [Starter]);
    await app.close();
  },

  async 'uses a session from onModuleInit on, over RabbitMQ'() {
    const broker = { url, prefix };
    const there = { resolve, broker, partitions: Number(partitions), waitMs: 30_000 };
    const { app } = await application(LockedSessionModule.forRoot(there), [Starter]);
    await app.close();
  },

  async 'waits for a lock'() {
    const { app, sessions } = await application(embedded());
    await enterForEver(sessions, 's');
    say(await codeOf(set(sessions, 's', 1)));
    await app.close();
  },

  async 'waits for a store'() {
    const broker = new MemoryBroker(new MemoryExchange({ clock: systemClock }));
    const { app, sessions } = await application(
      LockedSessionModule.forRoot({ resolve, broker, closeMs, waitMs }),
    );
    say(await codeOf(set(sessions, 's', 1)));
    await app.close();
  },

  async 'waits for the answer to a change'() {
    const broker = new MemoryBroker(new MemoryExchange({ clock: systemClock }));
    const { app, sessions } = await application(
      LockedSessionModule.forRoot({ resolve, broker, closeMs, commitWaitMs: waitMs }),
    );
    const change = sessions.visit('s', {}, { isNew: true }, (session) =>
      (session as unknown as Loose).set('a', 1),
    );
    say(await codeOf(change));
    await app.close();
  },

  async 'stops while a handler goes on for ever'() {
    const { app, sessions } = await application(embedded({ writePolicy: 'write-back', writeBackMs: 60_000 }));
    await set(sessions, 'kept', 'acknowledged');
    await enterForEver(sessions, 's');
    const before = performance.now();
    await app.close();
    say(`closed after ${Math.round(performance.now() - before)} ms`);
  },

  async reads() {
    const { app, sessions } = await application(embedded());
    say(`read ${String(await get(sessions, 'kept'))}`);
    await app.close();
  },

  async 'stays until SIGUSR2'() {
    const { app } = await application(embedded());
    say('is there');
    const staying = setInterval(() => {}, 1_000);
    await new Promise((goOn) => process.once('SIGUSR2', goOn));
    clearInterval(staying);
    await app.close();
  },
};

await scenes[process.argv[2]!]!();
say('is done');
