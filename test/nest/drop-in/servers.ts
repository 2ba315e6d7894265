/**
 * Several servers of Express 4 or 5 over one store, with `lockedSession` before their routes, a browser for
 * them, and one server more that looks at what is left in the end.
 */
import 'reflect-metadata';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { LoggerService } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import express5, { type Express } from 'express';
// @ts-expect-error -- Express 4 under a name of its own, which has no types
import express4 from 'express4';
import { describe, expect, onTestFinished } from 'vitest';
import { MemoryBroker, MemoryExchange, systemClock } from '#broker';
import { lockedSession, type ExpressSessionOptions } from '#express';
import { LockedSessionError, LockedSessionModule, LockedSessions } from '#locked-session';
import { MemoryRepository } from '#repository';
import { Store, tombstoneMs } from '#store';

export const secret = 'a secret of some length';

export type Options = Partial<ExpressSessionOptions>;
declare module 'express-session' {
  interface SessionData {
    n: number;
    user: string;
  }
}

/** Routes that take `use` say themselves where the middleware stands. Before others it stands first. */
export type Routes = (app: Express, use: (more?: Options) => void) => void;

export interface World {
  /** The address of each server, with a slash at its end. */
  readonly urls: readonly string[];
  readonly sessions: readonly LockedSessions[];
  readonly warnings: readonly string[];
  /** A new visitor, whose requests go to the servers in turn. */
  client(): Client;
  /**
   * What every test ends with: another server gets the lock of the visitor's session at once, and finds these
   * values in it. Undefined: there is no session.
   */
  ends(client: Client | string, values: object | undefined): Promise<void>;
  /** Stops the store, so that no commit is answered. Resolves with a function that starts another one. */
  loseStore(): Promise<() => Promise<void>>;
}

export type Start = (routes: Routes, options?: Options, servers?: number) => Promise<World>;

/** The suite on Express 4 and on Express 5. */
export function onEachExpress(suite: (start: Start) => void): void {
  describe.each([
    ['4', express4 as typeof express5],
    ['5', express5],
  ])('Express %s', (_version, express) => {
    suite((routes, options, servers) => start(express, routes, options, servers));
  });
}

const storeSettings = {
  partitions: 1,
  leaseMs: 5_000,
  recallTimeoutMs: 10_000,
  turnMs: 10,
  unreachableHolder: 'wait-for-lease',
  ttlMs: 86_400_000,
  tombstoneMs,
  destroyedNoticeMs: 60_000,
  expiryScanMs: 60_000,
  waitersPerSession: 16,
  waitersPerPartition: 10_000,
  window: 1_000,
  closeMs: 5_000,
  standbyPollMs: 50,
  endedGrants: 8,
  cacheBytes: 64 * 1024 * 1024,
  retryMinMs: 100,
  retryMaxMs: 5_000,
} as const;

async function start(
  express: typeof express5,
  routes: Routes,
  options: Options = {},
  servers = 2,
): Promise<World> {
  const exchange = new MemoryExchange({ clock: systemClock });
  const log = { log: () => {}, warn: () => {}, error: () => {} };
  const repository = new MemoryRepository();
  const startStore = async () => {
    const ports = { broker: new MemoryBroker(exchange), repository, clock: systemClock, log };
    const started = new Store(ports, storeSettings);
    await started.start();
    return started;
  };
  let store = await startStore();
  const warnings: string[] = [];
  const silent = () => {};
  const warn = (said: unknown) => void warnings.push(String(said));
  const logger = { log: silent, warn, error: warn };
  const members = await Promise.all(Array.from({ length: servers + 1 }, () => startMember(exchange, logger)));
  const sessions = members.map((context) => context.get(LockedSessions));
  const listening = await Promise.all(
    sessions.slice(0, servers).map((its) => {
      const app = express();
      // The answers of errors are what is tested here, and not the lines that Express writes of them.
      app.set('env', 'test');
      const use = (more: Options = {}) => {
        const all = { secret, resave: false, saveUninitialized: false, sessions: its, ...options, ...more };
        app.use(lockedSession(all));
      };
      if (routes.length < 2) use();
      routes(app, use);
      return listen(createServer(app));
    }),
  );
  onTestFinished(async () => {
    for (const server of listening) server.closeAllConnections();
    for (const server of listening) server.close();
    await Promise.all(members.map((context) => context.close()));
    await store.stop();
  });
  const urls = listening.map((server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  return {
    urls,
    sessions: sessions.slice(0, servers),
    warnings,
    client: () => new Client(urls),
    ends: (client, values) =>
      ends(sessions.at(-1)!, typeof client === 'string' ? client : client.id!, values),
    loseStore: async () => {
      await store.stop();
      return async () => void (store = await startStore());
    },
  };
}

/** What an application server has of this library. */
function startMember(exchange: MemoryExchange, logger: LoggerService) {
  const module = LockedSessionModule.forRoot({
    broker: new MemoryBroker(exchange),
    partitions: 1,
    cookie: { secrets: [secret] },
    waitMs: 5_000,
    commitWaitMs: 500,
    closeMs: 300,
  });
  return NestFactory.createApplicationContext(module, { logger, abortOnError: false });
}

function listen(server: Server): Promise<Server> {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

async function ends(sessions: LockedSessions, id: string, values: object | undefined): Promise<void> {
  const found = await sessions
    .run(id, { create: false, waitMs: 2_000 }, (session) => {
      const loose = session as unknown as { names(): string[]; get(name: string): unknown };
      const names = loose.names().filter((name) => name !== 'cookie');
      return Object.fromEntries(names.map((name) => [name, loose.get(name)]));
    })
    .catch((error: unknown) => {
      const code = error instanceof LockedSessionError ? error.code : undefined;
      if (code === 'unknown-session' || code === 'session-destroyed') return undefined;
      throw error;
    });
  expect(found).toEqual(values);
}

export interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
  /** The Set-Cookie lines of the session. */
  readonly cookies: readonly string[];
}

/** A browser, which keeps its cookies. */
export class Client {
  cookie: string | undefined;
  private turn = 0;

  constructor(private readonly urls: readonly string[]) {}

  /** The session's id in the cookie. */
  get id(): string | undefined {
    const value = decodeURIComponent(this.cookie?.split('=')[1] ?? '');
    return /^s:(.*)\.[^.]+$/.exec(value)?.[1];
  }

  /** The same browser, as other servers see it that answer at the same time. */
  get = (path: string, init?: RequestInit & { readonly server?: number }): Promise<Answer> =>
    this.request(path, init);

  post = (path: string, init: RequestInit & { readonly server?: number } = {}): Promise<Answer> =>
    this.request(path, { method: 'POST', ...init });

  async request(path: string, init: RequestInit & { readonly server?: number } = {}): Promise<Answer> {
    const response = await this.begin(path, init);
    return { ...told(response), text: await response.text() };
  }

  /** Resolves when the head of the answer is there. */
  async begin(
    path: string,
    { server, ...init }: RequestInit & { readonly server?: number } = {},
  ): Promise<Response> {
    const url = this.urls[server ?? this.turn++ % this.urls.length]! + path;
    const headers = { ...(init.headers as Record<string, string>) };
    if (this.cookie !== undefined) headers['cookie'] ??= this.cookie;
    const response = await fetch(url, { redirect: 'manual', ...init, headers });
    for (const line of told(response).cookies) {
      const [pair] = line.split(';');
      this.cookie = pair!.endsWith('=') ? undefined : pair;
    }
    return response;
  }
}

function told(response: Response) {
  const cookies = response.headers.getSetCookie().filter((line) => line.startsWith('connect.sid='));
  return { status: response.status, headers: response.headers, cookies };
}

/** Sets a number, and shows it. */
export const counter: Routes = (app) => {
  app.post('/set/:n', (req, res) => ((req.session.n = Number(req.params.n)), void res.end()));
  app.get('/show', (req, res) => void res.json(req.session.n ?? null));
};

/** A handler waits here until the test lets it go on. */
export function latch() {
  let enter!: () => void;
  let goOn!: () => void;
  const entered = new Promise<void>((resolve) => (enter = resolve));
  const passed = new Promise<void>((resolve) => (goOn = resolve));
  return {
    /** Resolves when a handler waits. */
    entered,
    goOn,
    pass: (): Promise<void> => {
      enter();
      return passed;
    },
  };
}
