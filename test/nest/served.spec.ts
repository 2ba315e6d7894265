/**
 * The arguments of `onServed` over the embedded store: the session, its token, and whether a message was
 * needed.
 */
import 'reflect-metadata';
import { Controller, Get, Post, type INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterEach, expect, it } from 'vitest';
import { EmbeddedLockedSessionModule, type EmbeddedOptions } from '#embedded';
import {
  CurrentSession,
  LockedSession,
  LockedSessions,
  type Served,
  type SessionHandle,
} from '#locked-session';
import { onEachPlatform } from './application.js';

const visits = 'visits' as never;

@Controller()
class VisitorController {
  @Get('visits')
  @LockedSession({ read: [visits] })
  show(@CurrentSession() session: SessionHandle) {
    return { visits: session.get(visits) ?? 0 };
  }

  @Post('visits')
  @LockedSession(visits)
  visit(@CurrentSession() session: SessionHandle) {
    session.set(visits, (((session.get(visits) as number | undefined) ?? 0) + 1) as never);
  }

  @Post('committed-visits')
  @LockedSession(visits)
  async visitAndCommit(@CurrentSession() session: SessionHandle) {
    this.visit(session);
    await session.commit();
  }

  @Post('login')
  @LockedSession()
  login(@CurrentSession() session: SessionHandle) {
    session.regenerate();
  }

  @Post('logout')
  @LockedSession()
  logout(@CurrentSession() session: SessionHandle) {
    session.destroy();
  }

  @Post('failure')
  @LockedSession(visits)
  fail(@CurrentSession() session: SessionHandle) {
    this.visit(session);
    throw new Error('on purpose');
  }
}

const byCookie = { cookie: { secrets: ['a secret of some length'] } };
let app: INestApplication;
let told: Served[];
let cookie: string;
afterEach(() => app.close());

async function open(how: EmbeddedOptions = byCookie): Promise<void> {
  told = [];
  cookie = '';
  const sessions = EmbeddedLockedSessionModule.forRoot({
    ...how,
    onServed: (_, served) => told.push(served),
  });
  app = await NestFactory.create(
    { module: class {}, imports: [sessions], controllers: [VisitorController] },
    { logger: false },
  );
  await app.listen(0, '127.0.0.1');
}

/** Sends a request like a browser. Returns the one call of `onServed`, which came before the answer. */
async function send(route: string): Promise<Served> {
  const [method, path] = route.split(' ') as [string, string];
  const response = await fetch(`${await app.getUrl()}/${path}`, { method, headers: { cookie } });
  cookie = response.headers.get('set-cookie')?.split(';')[0] ?? cookie;
  expect(told).toHaveLength(1);
  return told.pop()!;
}

it('tells of no session until something is set, then of its id and token', async () => {
  await open();
  expect(await send('GET visits')).toEqual({ session: undefined, fromHeldLock: false, withoutMessage: true });
  const made = await send('POST visits');
  expect(made).toMatchObject({ fromHeldLock: false, withoutMessage: false });
  expect(decodeURIComponent(cookie)).toContain(`=${made.session!.id}.`);
  expect(made.session!.token.every((part) => part > 0)).toBe(true);
});

it('says which requests found the lock here, and which of them needed no message; a commit() on the way is one', async () => {
  await open();
  const { session } = await send('POST visits');
  expect(await send('GET visits')).toEqual({ session, fromHeldLock: true, withoutMessage: true });
  expect(await send('POST visits')).toEqual({ session, fromHeldLock: true, withoutMessage: false });
  expect(await send('POST committed-visits')).toEqual({ session, fromHeldLock: true, withoutMessage: false });
  expect(app.get(LockedSessions).counters()).toMatchObject({
    servedFromHeldLock: 3,
    servedWithoutMessage: 1,
  });
});

it('tells of the new session after regenerate(), with the token that it is held under, and of none after destroy()', async () => {
  await open();
  const before = await send('POST visits');
  const after = await send('POST login');
  expect(after).toMatchObject({ fromHeldLock: true, withoutMessage: false });
  expect(after.session!.id).not.toBe(before.session!.id);
  expect(await send('GET visits')).toEqual({
    session: after.session,
    fromHeldLock: true,
    withoutMessage: true,
  });
  expect(await send('POST logout')).toEqual({
    session: undefined,
    fromHeldLock: true,
    withoutMessage: false,
  });
});

it('tells nothing of a request that fails', async () => {
  await open();
  const response = await fetch(`${await app.getUrl()}/failure`, { method: 'POST' });
  expect([response.status, told]).toEqual([500, []]);
});

it('tells of sessions that are not found by a cookie, too; a token grows when the lock was given back between', async () => {
  await open({ resolve: () => 'one-for-all', holdPolicy: 'until-idle' });
  const { session: first } = await send('POST visits');
  const { session: second, fromHeldLock } = await send('GET visits');
  expect([first!.id, second!.id, fromHeldLock]).toEqual(['one-for-all', 'one-for-all', false]);
  const [[epoch, n], [nextEpoch, nextN]] = [first!.token, second!.token];
  expect(nextEpoch).toBe(epoch);
  expect(nextN).toBeGreaterThan(n);
});

onEachPlatform((start) => {
  it.each([
    [
      'throws',
      () => {
        throw new Error('onServed on purpose');
      },
    ],
    ['rejects', () => Promise.reject(new Error('onServed on purpose'))],
  ])(
    'an onServed that %s is logged, and the client learns what is durable all the same',
    async (_what, onServed) => {
      const { client, errors } = await start({ onServed });
      const visitor = client();
      expect(await visitor.post('items', { item: 'tea' })).toMatchObject({ status: 201, body: 1 });
      const login = await visitor.post('login');
      expect(login).toMatchObject({ status: 201 });
      expect(login.sets).toHaveLength(1);
      expect((await visitor.get('items')).body).toEqual(['tea']);
      expect(errors).toHaveLength(3);
      expect(errors[0]).toMatch(/onServed has failed after CartController\.add: Error: onServed on purpose/);
    },
  );
});
