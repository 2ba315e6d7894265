/** The Nest module as users meet it, on Express and on Fastify: decorators, cookies, errors and life cycle, over the embedded store. */
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
  type INestApplication,
  type Type,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { EmbeddedLockedSessionModule, type EmbeddedOptions } from '#embedded';
import {
  CurrentSession,
  LockedAttributes,
  LockedSession,
  LockedSessionModule,
  LockedSessions,
  SessionAttribute,
  sessionsToken,
} from '#locked-session';

/** A handle whose attributes are not declared. */
interface Loose {
  readonly id: string;
  readonly isNew: boolean;
  get(name: string): unknown;
  draft(name: string, initial: () => unknown): unknown;
  set(name: string, value: unknown): void;
  regenerate(): string;
  destroy(): void;
}

const cart = 'cart' as never;
const empty = (() => ({ items: [] })) as never;
const secrets = ['a secret of some length', 'an older secret, too'];

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

class Signal {
  resolve!: () => void;
  readonly promise = new Promise<void>((resolve) => (this.resolve = resolve));
}

/** Where a handler waits until a test lets them go on. */
class Latch {
  armed = false;
  readonly entered = new Signal();
  readonly goOn = new Signal();
}

@Controller()
class CartController {
  constructor(
    @Inject(Discount) private readonly discount: Discount,
    @Inject('latch') private readonly latch: Latch,
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

  @Post('slow')
  @LockedSession(cart)
  async slow() {
    this.latch.entered.resolve();
    await this.latch.goOn.promise;
  }

  @Get('quick')
  @LockedSession({ read: ['cart'], waitMs: 50 })
  quick() {
    return 'quick';
  }

  @Post('date')
  @LockedSession(cart)
  date(@CurrentSession() session: Loose) {
    session.set('cart', { at: new Date() });
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
    if (this.latch.armed) {
      this.latch.entered.resolve();
      await this.latch.goOn.promise;
    }
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

/** A browser: keeps its cookies. */
class Client {
  cookie: string | undefined;
  constructor(private readonly url: string) {}

  async request(method: 'GET' | 'POST', path: string, body?: object) {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(body && { 'content-type': 'application/json' }),
        ...(this.cookie !== undefined && { cookie: this.cookie }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    const [set] = response.headers.getSetCookie();
    if (set !== undefined) this.cookie = set.split(';')[0]!;
    const text = await response.text();
    const parsed: unknown = /^[[{"\d]/.test(text) ? JSON.parse(text) : text;
    return { status: response.status, set, body: parsed, headers: response.headers };
  }

  get = (path: string) => this.request('GET', path);
  post = (path: string, body: object = {}) => this.request('POST', path, body);
}

const apps: INestApplication[] = [];
afterEach(async () => {
  await Promise.all(apps.splice(0).map((app) => app.close()));
});

const platforms = { express: () => new ExpressAdapter(), fastify: () => new FastifyAdapter() };

describe.each(Object.entries(platforms))('on %s', (_platform, adapter) => {
  async function start(options: Partial<EmbeddedOptions> = {}, more: Type[] = []) {
    const latch = new Latch();
    const cookie = options.resolve ? {} : { cookie: { secrets } };
    @Module({
      imports: [EmbeddedLockedSessionModule.forRoot({ ...cookie, ...options }), ...more],
      controllers: [CartController],
      providers: [Discount, { provide: 'latch', useValue: latch }],
    })
    class App {}
    const app = await NestFactory.create(App, adapter(), { logger: false, abortOnError: false });
    apps.push(app);
    await app.listen(0, '127.0.0.1');
    const url = (await app.getUrl()) + '/';
    return { app, latch, sessions: app.get(LockedSessions), client: () => new Client(url) };
  }

  it('keeps what a handler changes, for the visitor that the cookie names', async () => {
    const { client } = await start();
    const [one, other] = [client(), client()];
    const first = await one.post('items', { item: 'tea' });
    expect(first).toMatchObject({ status: 201, body: 1 });
    expect(first.set).toMatch(/^locked-session=[\w%.+-]+; Path=\/; HttpOnly; SameSite=Lax$/i);
    expect((await one.post('items', { item: 'milk' })).set).toBeUndefined();
    expect((await one.get('items')).body).toEqual(['tea', 'milk']);
    expect((await other.get('items')).body).toEqual([]);
  });

  it('loses none of 50 parallel additions', async () => {
    const { client, sessions } = await start();
    const visitor = client();
    await visitor.post('items', { item: '0' });
    await Promise.all(Array.from({ length: 49 }, (_, i) => visitor.post('items', { item: String(i + 1) })));
    const { body } = await visitor.get('items');
    expect((body as string[]).map(Number).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    );
    expect(sessions.counters()).toMatchObject({ grants: 1, recalls: 0 });
  });

  it('changes nothing when the handler throws, and answers its error', async () => {
    const { client } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    expect(await visitor.post('items')).toMatchObject({ status: 400, body: { message: 'no item' } });
    expect((await visitor.get('items')).body).toEqual(['tea']);
  });

  it('answers 500 without details when a value cannot be carried, and changes nothing', async () => {
    const { client } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    expect(await visitor.post('date')).toMatchObject({
      status: 500,
      body: { message: 'Internal server error' },
    });
    expect((await visitor.get('items')).body).toEqual(['tea']);
  });

  it('takes a forged, unsigned or broken cookie for none', async () => {
    const { client } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const { body: me } = await visitor.get('me');
    const good = visitor.cookie!;
    for (const forged of [
      good.slice(0, -2),
      'locked-session=abc',
      `locked-session=${'x'.repeat(5_000)}`,
      'locked-session=%E0%A4%A',
    ]) {
      visitor.cookie = forged;
      const { body, set } = await visitor.get('me');
      expect(body).toMatchObject({ isNew: true });
      expect((body as { id: string }).id).not.toBe((me as { id: string }).id);
      expect(set).toBeUndefined();
    }
    visitor.cookie = good;
    expect((await visitor.get('me')).body).toEqual({ ...(me as object), isNew: false });
  });

  it('rule 16: a visit that sets nothing leaves nothing, and gets no cookie', async () => {
    const { client, sessions } = await start();
    const bot = client();
    for (let i = 0; i < 3; i++)
      expect(await bot.get('items')).toMatchObject({ status: 200, body: [], set: undefined });
    expect(sessions.counters()).toMatchObject({ grants: 0, commits: 0, held: 0 });
  });

  it('rule 16: parallel first requests make one session each', async () => {
    const { client } = await start();
    const visitors = [client(), client(), client()];
    await Promise.all(visitors.map((visitor) => visitor.post('items', { item: 'tea' })));
    expect(new Set(visitors.map(({ cookie }) => cookie)).size).toBe(3);
    for (const visitor of visitors) expect((await visitor.get('items')).body).toEqual(['tea']);
  });

  it('rule 14: an id that the store does not know is never adopted, however well it is signed', async () => {
    const [here, elsewhere] = [await start(), await start()];
    const visitor = elsewhere.client();
    await visitor.post('items', { item: 'tea' });
    const guest = here.client();
    guest.cookie = visitor.cookie;
    expect((await guest.get('me')).body).toMatchObject({ isNew: true });
    expect((await guest.post('items', { item: 'milk' })).set).toBeDefined();
    expect(guest.cookie).not.toBe(visitor.cookie);
    expect((await guest.get('items')).body).toEqual(['milk']);
  });

  it('rule 17: login gives the visitor another id with the same cart; the old id is worth nothing', async () => {
    const { client } = await start();
    const visitor = client();
    const thief = client();
    await visitor.post('items', { item: 'tea' });
    thief.cookie = visitor.cookie;
    const { body, set } = await visitor.post('login');
    const { id, next } = body as { id: string; next: string };
    expect(next).not.toBe(id);
    expect(set).toContain('HttpOnly');
    expect((await visitor.get('me')).body).toEqual({ id: next, isNew: false });
    expect((await visitor.get('items')).body).toEqual(['tea']);
    expect(await thief.get('items')).toMatchObject({ status: 200, body: [], set: undefined });
    expect(await thief.post('items', { item: 'milk' })).toMatchObject({
      status: 409,
      body: { code: 'session-destroyed' },
    });
  });

  it('rule 14: logout ends the session and clears the cookie; a slower request cannot bring it back', async () => {
    const { client, latch } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const slower = client();
    slower.cookie = visitor.cookie;
    latch.armed = true;
    const logout = visitor.post('logout');
    await latch.entered.promise;
    const late = slower.post('items', { item: 'milk' });
    latch.goOn.resolve();
    expect((await logout).set).toMatch(/^locked-session=; Max-Age=0/);
    expect(await late).toMatchObject({ status: 409, set: undefined });
    expect((await slower.get('me')).body).toMatchObject({ isNew: true });
  });

  it('rule 15: a session that nobody used for its time to live is gone', async () => {
    const { client, sessions } = await start({ ttlMs: 1_000, idleReleaseMs: 1_000 });
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    await expect.poll(() => sessions.counters().held, { timeout: 10_000, interval: 50 }).toBe(0);
    await expect
      .poll(async () => (await visitor.get('items')).body, { timeout: 10_000, interval: 1_500 })
      .toEqual([]);
  });

  it('accepts what an older secret signed', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'locked-session-'));
    try {
      const before = await start({ directory, cookie: { secrets: [secrets[1]!] } });
      const visitor = before.client();
      await visitor.post('items', { item: 'tea' });
      await before.app.close();
      const after = await start({ directory });
      const same = after.client();
      same.cookie = visitor.cookie;
      expect((await same.get('items')).body).toEqual(['tea']);
      await after.app.close();
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('locks more on the way by @LockedAttributes, and only inside a scope', async () => {
    const { client } = await start();
    const visitor = client();
    expect((await visitor.post('discount')).body).toEqual({ granted: 1 });
    expect((await visitor.post('discount')).body).toEqual({ granted: 2 });
    expect((await visitor.get('outside')).status).toBe(500);
  });

  it('answers 503 with Retry-After and the code when a wait is over', async () => {
    const { client, latch } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const slow = visitor.post('slow');
    await latch.entered.promise;
    const quick = await visitor.get('quick');
    expect(quick).toMatchObject({ status: 503, body: { statusCode: 503, code: 'wait-timeout' } });
    expect(quick.headers.get('retry-after')).toBe('1');
    latch.goOn.resolve();
    expect((await slow).status).toBe(201);
    expect((await visitor.get('quick')).body).toBe('quick');
  });

  it('finds the session by the resolver that the application gives', async () => {
    const resolve: NonNullable<EmbeddedOptions['resolve']> = (context) =>
      `user:${context.switchToHttp().getRequest<{ query: { user: string } }>().query.user}`;
    const { client } = await start({ resolve });
    expect(await client().post('items?user=1', { item: 'tea' })).toMatchObject({
      status: 201,
      set: undefined,
    });
    expect((await client().get('items?user=1')).body).toEqual(['tea']);
    expect((await client().get('items?user=2')).body).toEqual([]);
    expect(await client().get('items?user=%20')).toMatchObject({ status: 400, body: { code: 'session-id' } });
  });

  it('serves code without a request by run(), and keeps it all across a restart with a directory', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'locked-session-'));
    try {
      const before = await start({ directory });
      expect((await before.client().get('run')).body).toBe(1);
      await before.app.close();
      const after = await start({ directory, durability: 'disk' });
      expect((await after.client().get('run')).body).toBe(2);
      await after.app.close();
    } finally {
      await rm(directory, { recursive: true });
    }
  });

  it('finishes what runs when the application closes, and gives every lock back', async () => {
    const { app, client, latch, sessions } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const slow = visitor.post('slow');
    await latch.entered.promise;
    const closing = app.close();
    latch.goOn.resolve();
    expect((await slow).status).toBe(201);
    await closing;
    expect(sessions.counters()).toMatchObject({ held: 0, waiting: 0 });
  });
});

describe('the module', () => {
  it('lives several times in one application, each instance under its name', async () => {
    const resolve = () => 'one';
    @Module({
      imports: [
        EmbeddedLockedSessionModule.forRoot({ resolve }),
        EmbeddedLockedSessionModule.forRoot({ resolve, instance: 'second' }),
      ],
    })
    class App {}
    const app = await NestFactory.createApplicationContext(App, { logger: false, abortOnError: false });
    const [first, second] = [app.get(LockedSessions), app.get<LockedSessions>(sessionsToken('second'))];
    const names = async (sessions: LockedSessions) => sessions.run('s', {}, (session) => session.names());
    await first.run('s', {}, (session) => (session as unknown as Loose).set('a', 1));
    expect([await names(first), await names(second)]).toEqual([['a'], []]);
    await app.close();
  });

  it('stops the start with the name, the value and the limits of a wrong setting', () => {
    const make = (options: object) =>
      NestFactory.createApplicationContext(LockedSessionModule.forRoot(options as never), {
        logger: false,
        abortOnError: false,
      });
    const broker = { url: 'amqp://127.0.0.1' };
    const cookie = { secrets };
    return Promise.all([
      expect(make({ broker, cookie, waitMs: 0 })).rejects.toThrow(/'waitMs' \(0\).*>=1/),
      expect(make({ broker, cookie, wait: 5 })).rejects.toThrow(/wait/),
      expect(make({ broker: { url: 'http://user:secret@host' }, cookie })).rejects.toThrow(
        /'broker.*'(?!.*secret)/s,
      ),
      expect(make({ broker })).rejects.toThrow(/either 'cookie'.*or 'resolve'/),
      expect(make({ broker, cookie: { secrets: ['short'] } })).rejects.toThrow(/cookie\.secrets\.0.*16/),
    ]);
  });
});
