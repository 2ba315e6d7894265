/**
 * A user's application over the embedded store, on Express or on Fastify, and a browser for it. Its handlers
 * stop on demand.
 */
import 'reflect-metadata';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  BadRequestException,
  Body,
  Controller,
  Get,
  Inject,
  Injectable,
  Module,
  Post,
  type Provider,
  type Type,
} from '@nestjs/common';
import { NestFactory, type AbstractHttpAdapter } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { describe, onTestFinished } from 'vitest';
import { EmbeddedLockedSessionModule, type EmbeddedOptions } from '#embedded';
import {
  CurrentSession,
  LockedAttributes,
  LockedSession,
  LockedSessions,
  SessionAttribute,
} from '#locked-session';

/** A handle whose attributes are not declared. */
export interface Loose {
  readonly id: string;
  readonly isNew: boolean;
  get(name: string): unknown;
  draft(name: string, initial: () => unknown): unknown;
  set(name: string, value: unknown): void;
  delete(name: string): void;
  names(): string[];
  regenerate(): string;
  destroy(): void;
  commit(): Promise<void>;
}

export const cart = 'cart' as never;
export const empty = (() => ({ items: [] })) as never;
export const secrets = ['a secret of some length', 'an older secret, too'];

@Injectable()
class Discount {
  @LockedAttributes('discount' as never)
  async grant(session: Loose): Promise<number> {
    const granted = ((session.get('discount') as number | undefined) ?? 0) + 1;
    session.set('discount', granted);
    return granted;
  }

  @LockedAttributes('discount' as never)
  async outside(): Promise<void> {}
}

export class Signal {
  resolve!: () => void;
  readonly promise = new Promise<void>((resolve) => (this.resolve = resolve));
}

/** A handler waits here until the test lets it continue. */
export class Latch {
  armed = false;
  readonly entered = new Signal();
  readonly goOn = new Signal();

  pass(): Promise<void> {
    this.entered.resolve();
    return this.goOn.promise;
  }
}

@Controller()
class CartController {
  constructor(
    @Inject(Discount) private readonly discount: Discount,
    @Inject(Latch) private readonly latch: Latch,
    @Inject(LockedSessions) private readonly sessions: LockedSessions,
  ) {}

  @Post('items')
  @LockedSession(cart)
  add(@SessionAttribute(cart, empty) its: { items: string[] }, @Body() { item }: { item?: string }) {
    its.items.push(item ?? '?');
    if (!item) throw new BadRequestException('no item');
    return its.items.length;
  }

  @Get('items')
  @LockedSession({ read: ['cart'] })
  show(@SessionAttribute(cart, empty) its: { items: string[] }) {
    return its.items;
  }

  @Get('me')
  @LockedSession()
  me(@CurrentSession() session: Loose) {
    return { id: session.id, isNew: session.isNew };
  }

  @Post('discount')
  @LockedSession({ read: ['cart'] })
  async grant(@CurrentSession() session: Loose) {
    return { granted: await this.discount.grant(session) };
  }

  @Get('outside')
  async outside() {
    await this.discount.outside();
  }

  /** Adds an item, and stays. */
  @Post('slow')
  @LockedSession(cart)
  async slow(@SessionAttribute(cart, empty) its: { items: string[] }) {
    its.items.push('slow');
    await this.latch.pass();
  }

  @Get('quick')
  @LockedSession({ read: ['cart'], waitMs: 50 })
  quick() {
    return 'quick';
  }

  @Post('login')
  @LockedSession()
  login(@CurrentSession() session: Loose) {
    session.set('user', 'Ada');
    return { id: session.id, next: session.regenerate() };
  }

  @Post('logout')
  @LockedSession()
  async logout(@CurrentSession() session: Loose) {
    session.destroy();
    if (this.latch.armed) await this.latch.pass();
  }

  @Get('run')
  run() {
    return this.sessions.run('application:1', {}, (session) => {
      const loose = session as unknown as Loose;
      loose.set('runs', ((loose.get('runs') as number | undefined) ?? 0) + 1);
      return loose.get('runs');
    });
  }
}

interface RequestExtras {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers: Headers;
  /** The first Set-Cookie header, and all. */
  readonly set: string | undefined;
  readonly sets: readonly string[];
}

/** A browser, which keeps its cookies. */
export class Client {
  cookie: string | undefined;
  constructor(private readonly url: string) {}

  async request(
    method: 'GET' | 'POST',
    path: string,
    body?: object,
    { headers, signal }: RequestExtras = {},
  ): Promise<Answer> {
    const response = await fetch(this.url + path, {
      method,
      redirect: 'manual',
      headers: {
        ...(body && { 'content-type': 'application/json' }),
        ...(this.cookie !== undefined && { cookie: this.cookie }),
        ...headers,
      },
      ...(signal && { signal }),
      ...(body && { body: JSON.stringify(body) }),
    });
    const sets = response.headers.getSetCookie();
    const [set] = sets;
    if (set !== undefined) this.cookie = set.split(';')[0]!;
    const text = await response.text();
    const parsed: unknown = /^[[{"\d]/.test(text) ? JSON.parse(text) : text;
    return { status: response.status, set, sets, body: parsed, headers: response.headers };
  }

  get = (path: string, extras?: RequestExtras): Promise<Answer> =>
    this.request('GET', path, undefined, extras);
  post = (path: string, body: object = {}, extras?: RequestExtras): Promise<Answer> =>
    this.request('POST', path, body, extras);
}

type Adapter = (trustProxy: boolean) => AbstractHttpAdapter;

const platforms: Record<string, Adapter> = {
  express: (trustProxy) => {
    const adapter = new ExpressAdapter();
    adapter.set('trust proxy', trustProxy);
    return adapter;
  },
  fastify: (trustProxy) => new FastifyAdapter({ trustProxy }),
};

export interface StartOptions extends Partial<EmbeddedOptions> {
  readonly controllers?: Type[];
  readonly imports?: Type[];
  readonly providers?: Provider[];
  readonly trustProxy?: boolean;
}

/** Starts an application that is closed after the test. */
export type Start = (options?: StartOptions) => ReturnType<typeof startOn>;

/** The suite on Express and on Fastify. */
export function onEachPlatform(suite: (start: Start) => void): void {
  describe.each(Object.entries(platforms))('on %s', (_platform, adapter) => {
    suite((options) => startOn(adapter, options));
  });
}

async function startOn(
  adapter: Adapter,
  { controllers = [], imports = [], providers = [], trustProxy = false, ...options }: StartOptions = {},
) {
  const latch = new Latch();
  const cookie = options.resolve ? {} : { cookie: { secrets } };
  @Module({
    imports: [EmbeddedLockedSessionModule.forRoot({ ...cookie, ...options }), ...imports],
    controllers: [CartController, ...controllers],
    providers: [Discount, { provide: Latch, useValue: latch }, ...providers],
  })
  class App {}
  /** The error lines of the application's log. */
  const errors: string[] = [];
  const warnings: string[] = [];
  const silent = () => {};
  const logger = {
    log: silent,
    warn: (said: unknown) => void warnings.push(String(said)),
    error: (said: unknown) => void errors.push(String(said)),
  };
  const app = await NestFactory.create(App, adapter(trustProxy), { logger, abortOnError: false });
  onTestFinished(() => {
    latch.goOn.resolve();
    return app.close();
  });
  await app.listen(0, '127.0.0.1');
  const url = (await app.getUrl()) + '/';
  return { app, latch, errors, warnings, sessions: app.get(LockedSessions), client: () => new Client(url) };
}

/** A data directory that is removed after the test. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'locked-session-'));
  // A failed start may still have its store open.
  onTestFinished(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
  return directory;
}
