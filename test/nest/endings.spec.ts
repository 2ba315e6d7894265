/** Visitors after the end of their session: with its cookie, or with an id of the application. */
import {
  BadRequestException,
  Controller,
  Get,
  Inject,
  Injectable,
  Post,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { from, lastValueFrom } from 'rxjs';
import { expect, it } from 'vitest';
import { CurrentSession, LockedSession, LockedSessions } from '#locked-session';
import { onEachPlatform, type Loose } from './application.js';

/** Handlers of a session whose id is a user's name. */
@Controller('user')
class UserController {
  @Post('visit')
  @LockedSession()
  visit(@CurrentSession() session: Loose) {
    session.set('visits', ((session.get('visits') as number | undefined) ?? 0) + 1);
    return session.get('visits');
  }

  @Get('visits')
  @LockedSession({ read: ['visits'] })
  visits(@CurrentSession() session: Loose) {
    return { visits: session.get('visits') ?? null };
  }

  @Post('forget')
  @LockedSession()
  forget(@CurrentSession() session: Loose) {
    session.destroy();
  }

  @Post('clear')
  @LockedSession()
  clear(@CurrentSession() session: Loose & { clear(): void }) {
    session.clear();
  }

  @Post('rename')
  @LockedSession()
  rename(@CurrentSession() session: Loose) {
    return session.regenerate();
  }
}

/** Runs a scope of the session around the handler's. */
@Injectable()
class Around implements NestInterceptor {
  constructor(@Inject(LockedSessions) private readonly sessions: LockedSessions) {}

  intercept(context: ExecutionContext, next: CallHandler) {
    const handled = () => lastValueFrom(next.handle(), { defaultValue: undefined });
    return from(this.sessions.idOf(context).then((id) => this.sessions.run(id!, {}, handled)));
  }
}

@Controller('around')
@UseInterceptors(Around)
class AroundController {
  @Post('login')
  @LockedSession()
  login(@CurrentSession() session: Loose) {
    session.set('user', 'Ada');
    session.regenerate();
  }

  @Post('logout')
  @LockedSession()
  logout(@CurrentSession() session: Loose) {
    session.destroy();
  }

  @Post('fail')
  @LockedSession()
  fail(@CurrentSession() session: Loose) {
    session.regenerate();
    throw new BadRequestException();
  }
}

/** Handlers that continue after they have asked for the session's end. */
@Controller('account')
class AccountController {
  @Get('user')
  @LockedSession({ read: ['user', 'cart'] })
  user(@CurrentSession() session: Loose) {
    return { user: session.get('user') ?? null, cart: session.get('cart') ?? null };
  }

  @Post('commit')
  @LockedSession()
  async commit(@CurrentSession() session: Loose) {
    session.set('user', 'Ada');
    session.regenerate();
    await session.commit();
  }

  @Post('commit-and-fail')
  @LockedSession()
  async commitAndFail(@CurrentSession() session: Loose) {
    session.set('user', 'Ada');
    session.regenerate();
    await session.commit().catch(() => {});
    throw new BadRequestException();
  }

  @Post('destroy-twice')
  @LockedSession()
  destroyTwice(@CurrentSession() session: Loose) {
    session.destroy();
    session.destroy();
  }

  @Post('destroy-and-read')
  @LockedSession()
  destroyAndRead(@CurrentSession() session: Loose) {
    session.destroy();
    return session.get('cart');
  }
}

onEachPlatform((start) => {
  it.each([
    ['commit', 500],
    ['commit-and-fail', 400],
  ])('a login that commits after regenerate() is durable under no id: %s', async (route, status) => {
    const { client, errors } = await start({ controllers: [AccountController] });
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const planted = visitor.cookie;
    expect(await visitor.post(`account/${route}`)).toMatchObject({ status, set: undefined });
    expect(errors.join()).toContain(status === 500 ? 'commit() before it' : '');
    visitor.cookie = planted;
    expect((await visitor.get('account/user')).body).toEqual({ user: null, cart: { items: ['tea'] } });
  });

  it('rule 17: inside another run of its session a login tells the new id, and a logout clears the cookie', async () => {
    const { client } = await start({ controllers: [AccountController, AroundController] });
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    expect(await visitor.post('around/fail')).toMatchObject({ status: 400, set: undefined });
    expect(await visitor.post('around/login')).toMatchObject({
      status: 201,
      set: expect.stringContaining('locked-session=') as string,
    });
    expect((await visitor.get('account/user')).body).toEqual({ user: 'Ada', cart: { items: ['tea'] } });
    expect(await visitor.post('around/logout')).toMatchObject({
      status: 201,
      set: expect.stringContaining('Max-Age=0') as string,
    });
  });

  it('destroy() may be called twice, and what reads after it is a mistake that destroys nothing', async () => {
    const { client, errors } = await start({ controllers: [AccountController] });
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    expect((await visitor.post('account/destroy-and-read')).status).toBe(500);
    expect(errors).toEqual([expect.stringContaining('Read and change it before that')]);
    expect((await visitor.get('items')).body).toEqual(['tea']);
    expect((await visitor.post('account/destroy-twice')).status).toBe(201);
    expect((await visitor.get('items')).body).toEqual([]);
  });

  it('a login with the cookie of a session that was destroyed just now is a login', async () => {
    const { client, sessions } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const { id } = (await visitor.get('me')).body as { id: string };
    await sessions.run(id, {}, (session) => session.destroy()); // like an administrator

    const old = visitor.cookie;
    expect(await visitor.get('items')).toMatchObject({ status: 200, body: [], set: undefined });
    expect(await visitor.post('items', { item: 'milk' })).toMatchObject({
      status: 409,
      body: { code: 'session-destroyed' },
      set: undefined,
    });
    const login = await visitor.post('login');
    expect(login.status).toBe(201);
    expect(visitor.cookie).not.toBe(old);
    expect((await visitor.get('me')).body).toEqual({
      id: (login.body as { next: string }).next,
      isNew: false,
    });
  });

  it('the second of two parallel logins is a login, too', async () => {
    const { client } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const cookie = visitor.cookie!;
    const logins = await Promise.all(
      [1, 2].map(async () => {
        const tab = client();
        tab.cookie = cookie;
        const { status } = await tab.post('login');
        return { status, me: (await tab.get('me')).body, renamed: tab.cookie !== cookie };
      }),
    );
    for (const login of logins)
      expect(login).toMatchObject({ status: 201, me: { isNew: false }, renamed: true });
  });

  it('after a minute the old cookie begins another session, and a logout takes it away', async () => {
    const { client, sessions } = await start({ destroyedNoticeMs: 0 });
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const { id } = (await visitor.get('me')).body as { id: string };
    await sessions.run(id, {}, (session) => session.destroy());
    const late = client();
    late.cookie = visitor.cookie;
    expect((await late.post('logout')).set).toMatch(/^locked-session=; .*Max-Age=0/);
    expect(await visitor.post('items', { item: 'milk' })).toMatchObject({ status: 201, body: 1 });
    expect((await visitor.get('items')).body).toEqual(['milk']);
  });

  it('an id that the application finds: readers see an empty session, and after a minute it is used again', async () => {
    const resolve = () => 'user:1';
    const { client } = await start({ resolve, controllers: [UserController] });
    const user = client();
    await user.post('user/visit');
    await user.post('user/forget');
    expect(await user.get('user/visits')).toMatchObject({ status: 200, body: { visits: null } });
    expect(await user.post('user/visit')).toMatchObject({ status: 409, body: { code: 'session-destroyed' } });

    const later = await start({ resolve, controllers: [UserController], destroyedNoticeMs: 0 });
    const again = later.client();
    for (const visits of [1, 2]) expect((await again.post('user/visit')).body).toBe(visits);
    await again.post('user/forget');
    expect((await again.post('user/visit')).body).toBe(1);
  });

  it('an id that the application finds cannot be changed; the session can be emptied', async () => {
    const { client, errors } = await start({ resolve: () => 'user:1', controllers: [UserController] });
    const user = client();
    await user.post('user/visit');
    expect((await user.post('user/rename')).status).toBe(500);
    expect(errors.join()).toContain("comes from 'resolve'");
    expect((await user.post('user/visit')).body).toBe(2);
    await user.post('user/clear');
    expect((await user.get('user/visits')).body).toEqual({ visits: null });
    expect((await user.post('user/visit')).body).toBe(1);
  });
});
