/** The life of a session from first visit to logout or expiry, and that of the application and its modules. */
import { Module } from '@nestjs/common';
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

  it('finishes what runs when the application closes, and gives every lock back', async () => {
    const { app, client, latch, sessions } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    // No kept connection: the server would wait for its end.
    const slow = visitor.post('slow', {}, { headers: { connection: 'close' } });
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
