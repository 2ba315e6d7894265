/** The life of a session from the first visit to logout or expiry, and of the application and its modules. */
import { rm } from 'node:fs/promises';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { describe, expect, it } from 'vitest';
import { EmbeddedLockedSessionModule } from '#embedded';
import { LockedSessionModule, LockedSessions, sessionsToken } from '#locked-session';
import { onEachPlatform, secrets, temporaryDirectory, type Loose } from './application.js';

onEachPlatform((start) => {
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
    const cookie = visitor.cookie;
    expect((await visitor.post('items', { item: 'milk' })).body).toBe(1);
    expect(visitor.cookie).not.toBe(cookie);
  });

  it('serves code without a request by run(), and keeps it all across a restart with a directory', async () => {
    const directory = await temporaryDirectory();
    const before = await start({ directory });
    expect((await before.client().get('run')).body).toBe(1);
    await before.app.close();
    const after = await start({ directory, durability: 'disk' });
    expect((await after.client().get('run')).body).toBe(2);
  });

  it('goes on running when its directory is deleted: changes are refused, and one line of the log says why', async () => {
    const directory = await temporaryDirectory();
    const { client, errors, sessions } = await start({ directory, closeMs: 500 });
    const visitor = client();
    expect((await visitor.post('items', { item: 'tea' })).body).toBe(1);
    await rm(directory, { recursive: true });
    await expect
      .poll(() => errors, { timeout: 10_000 })
      .toEqual([expect.stringMatching(/the store ends: the data directory .* was deleted, moved away/)]);
    await expect(
      sessions.run('new', { waitMs: 300 }, (session) => (session as unknown as Loose).set('a', 1)),
    ).rejects.toMatchObject({ code: 'wait-timeout' });
    expect(errors).toHaveLength(1);
  });

  it('finishes what runs when the application closes, and gives every lock back', async () => {
    const { app, client, latch, sessions } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    // The server would wait for the end of a kept connection.
    const slow = visitor.post('slow', {}, { headers: { connection: 'close' } });
    await latch.entered.promise;
    const closing = app.close();
    latch.goOn.resolve();
    expect((await slow).status).toBe(201);
    await closing;
    expect(sessions.counters()).toMatchObject({ held: 0, waiting: 0 });
  });

  it('answers 503 at once when the application closes, to requests that wait for an attribute', async () => {
    const { app, client, latch, sessions } = await start({ waitMs: 6_000, closeMs: 3_000 });
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const headers = { connection: 'close' };
    const slow = visitor.post('slow', {}, { headers });
    await latch.entered.promise;
    const waiting = visitor.post('items', { item: 'milk' }, { headers });
    await expect.poll(() => sessions.counters().waiting).toBe(1);
    const closing = app.close();
    expect(await waiting).toMatchObject({ status: 503, body: { code: 'shutting-down' } });
    latch.goOn.resolve();
    expect((await slow).status).toBe(201);
    await closing;
  });

  it('gives the lock back when its time to close is over, though a handler goes on for ever', async () => {
    const { app, client, latch, sessions } = await start({ closeMs: 100 });
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const slow = visitor.post('slow', {}, { headers: { connection: 'close' } });
    await latch.entered.promise;
    const closing = app.close();
    await expect.poll(() => sessions.counters().held).toBe(0);
    latch.goOn.resolve();
    expect(await slow).toMatchObject({ status: 503, body: { code: 'shutting-down' } });
    await closing;
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

  it.each(['useFactory', 'useClass', 'useExisting'] as const)(
    'takes its options from what Nest makes (%s), once for store and sessions, also beside another instance',
    async (how) => {
      const directory = await temporaryDirectory();
      let made = 0;
      @Injectable()
      class Config {
        create() {
          made++;
          return { directory, resolve: () => 'one', ttlMs: 60_000 };
        }
      }
      @Module({ providers: [Config], exports: [Config] })
      class ConfigModule {}
      const make = {
        useFactory: { useFactory: (config: Config) => config.create(), inject: [Config] },
        useClass: { useClass: Config },
        useExisting: { useExisting: Config },
      }[how];
      const second = {
        useFactory: async () => Promise.resolve({ resolve: () => 'two' }),
        instance: 'second',
      };
      const visitsOf = async () => {
        @Module({
          imports: [
            EmbeddedLockedSessionModule.forRootAsync({ imports: [ConfigModule], ...make }),
            EmbeddedLockedSessionModule.forRootAsync(second),
          ],
        })
        class App {}
        const app = await NestFactory.createApplicationContext(App, { logger: false, abortOnError: false });
        const visits = await app.get(LockedSessions).run('s', {}, (session) => {
          session.set('visits', (session.get('visits') ?? 0) + 1);
          return session.get('visits');
        });
        const other = app.get<LockedSessions>(sessionsToken('second'));
        expect(await other.run('s', {}, (session) => session.names())).toEqual([]);
        await app.close();
        return visits;
      };
      expect([await visitsOf(), await visitsOf()]).toEqual([1, 2]); // the directory was used
      expect(made).toBe(2);
    },
  );

  it.each([
    [{ ttlMs: Number.NaN }, /EmbeddedLockedSessionModule: 'ttlMs' \(NaN\)/],
    [{ ttlMs: 10 }, /'ttlMs' \(10\).*>=1000/],
    [{ destroyedNoticeMs: -1 }, /'destroyedNoticeMs' \(-1\)/],
    [{ durability: 'paper' }, /'durability' \("paper"\).*"process"\|"disk"/],
    [{ directory: 5 }, /'directory' \(5\)/],
    [{ directory: Symbol('no JSON') }, /'directory' \(a symbol\)/],
    [{ broker: { url: 'amqp://localhost' } }, /: 'broker' is an option of LockedSessionModule alone/],
    [{ partitions: 4 }, /: 'partitions' is an option of LockedSessionModule alone/],
    [{ trace: { directory: 5, key: 'a secret of some length' } }, /'trace\.directory' \(5\)/],
    [{ trace: { dir: 'x' } }, /'trace\.key' \(not set\).*Unrecognized key: "dir" in 'trace'/s],
    [{ trace: 'the key, by mistake' }, /'trace' \(what is set\)/],
    [{ waitMs: 0 }, /LockedSessionModule: 'waitMs' \(0\)/],
    [{ waits: 1 }, /waits/],
  ])('the embedded one stops the start by %j', async (wrong, message) => {
    const resolve = () => 'one';
    for (const embedded of [
      EmbeddedLockedSessionModule.forRoot({ resolve, ...wrong } as never),
      EmbeddedLockedSessionModule.forRootAsync({ useFactory: () => ({ resolve, ...wrong }) as never }),
    ]) {
      const starting = NestFactory.createApplicationContext(embedded, { logger: false, abortOnError: false });
      await expect(starting).rejects.toThrow(message);
    }
  });

  it.each([
    ['EmbeddedLockedSessionModule', EmbeddedLockedSessionModule],
    ['LockedSessionModule', LockedSessionModule],
  ])('%s stops the start when useFactory returns nothing', async (name, module) => {
    const forgotten = module.forRootAsync({ useFactory: () => undefined as never });
    const starting = NestFactory.createApplicationContext(forgotten, { logger: false, abortOnError: false });
    await expect(starting).rejects.toMatchObject({
      code: 'settings',
      message: `${name}: the options are undefined, but must be an object. Does 'useFactory' return one?`,
    });
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
