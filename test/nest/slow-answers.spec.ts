/** Answers that leave late, after other requests of the same client: which cookie goes with them. */
import {
  BadRequestException,
  Catch,
  Controller,
  Get,
  Injectable,
  Post,
  UseFilters,
  UseInterceptors,
  type ArgumentsHost,
  type CallHandler,
  type ExceptionFilter,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { sign } from 'cookie-signature';
import { concatMap, map } from 'rxjs';
import { expect, it } from 'vitest';
import { CurrentSession, LockedSession } from '#locked-session';
import { Latch, onEachPlatform, secrets, type Loose } from './application.js';

/** Delays an answer after its scope has ended. */
@Injectable()
class Late implements NestInterceptor {
  constructor(private readonly latch: Latch) {}
  intercept(_context: ExecutionContext, next: CallHandler) {
    return next.handle().pipe(concatMap(async (value: unknown) => (await this.latch.pass(), value)));
  }
}
Reflect.defineMetadata('design:paramtypes', [Latch], Late);

/** Fails after all changes are durable. */
class Failing implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler) {
    return next.handle().pipe(
      map(() => {
        throw new BadRequestException('afterwards');
      }),
    );
  }
}

@Catch()
class Teapot implements ExceptionFilter {
  catch(_error: unknown, host: ArgumentsHost) {
    const reply = host.switchToHttp().getResponse<{ status(code: number): { send(body: string): void } }>();
    reply.status(418).send('short and stout');
  }
}

@Controller('late')
class LateController {
  @Get('items')
  @UseInterceptors(Late)
  @LockedSession({ read: ['cart'] })
  items() {
    return 'read';
  }

  @Post('items')
  @UseInterceptors(Late)
  @LockedSession('cart')
  add(@CurrentSession() session: Loose) {
    session.set('cart', { items: ['late'] });
  }

  @Post('logout')
  @UseInterceptors(Late)
  @LockedSession()
  logout(@CurrentSession() session: Loose) {
    session.destroy();
  }
}

@Controller('failing')
class FailingController {
  @Post('commit')
  @LockedSession()
  commit(@CurrentSession() session: Loose) {
    return this.keepAndThrow(session, new Error('on purpose'));
  }

  @Post('refused')
  @LockedSession()
  refused(@CurrentSession() session: Loose) {
    return this.keepAndThrow(session, new BadRequestException('on purpose'));
  }

  @Post('filtered')
  @UseFilters(Teapot)
  @LockedSession()
  filtered(@CurrentSession() session: Loose) {
    return this.keepAndThrow(session, new Error('on purpose'));
  }

  @Post('after-regenerate')
  @LockedSession()
  async afterRegenerate(@CurrentSession() session: Loose) {
    session.set('cart', { items: ['kept'] });
    await session.commit();
    session.regenerate();
    throw new BadRequestException('on purpose');
  }

  @Post('afterwards')
  @UseInterceptors(Failing)
  @LockedSession()
  afterwards(@CurrentSession() session: Loose) {
    session.set('cart', { items: ['kept'] });
    session.regenerate();
  }

  @Post('nothing')
  @LockedSession()
  nothing(@CurrentSession() session: Loose) {
    session.set('cart', { items: ['lost'] });
    throw new BadRequestException('on purpose');
  }

  private async keepAndThrow(session: Loose, error: Error) {
    session.set('cart', { items: ['kept'] });
    await session.commit();
    throw error;
  }
}

const rolling = { secrets, rolling: true, maxAgeMs: 60_000 };

onEachPlatform((start) => {
  /** A delayed answer to a visitor, and another tab of the same browser. */
  async function late(method: 'GET' | 'POST', path: string, options: Parameters<typeof start>[0] = {}) {
    const { client, latch, sessions } = await start({
      controllers: [LateController],
      cookie: rolling,
      ...options,
    });
    const [visitor, tab] = [client(), client()];
    await visitor.post('items', { item: 'tea' });
    tab.cookie = visitor.cookie;
    const answer = tab.request(method, path);
    await latch.entered.promise;
    const arrives = async () => {
      latch.goOn.resolve();
      return answer;
    };
    return { visitor, arrives, sessions };
  }

  it.each(['until-recalled', 'until-idle'] as const)(
    'a late answer renews the cookie while the session stays: holdPolicy %s',
    async (holdPolicy) => {
      const { arrives } = await late('GET', 'late/items', { holdPolicy });
      expect((await arrives()).sets).toHaveLength(1);
    },
  );

  it.each(['until-recalled', 'until-idle'] as const)(
    'a late answer of before a login does not bring the old cookie: holdPolicy %s',
    async (holdPolicy) => {
      const { visitor, arrives } = await late('GET', 'late/items', { holdPolicy });
      expect((await visitor.post('login')).sets).toHaveLength(1);
      expect(await arrives()).toMatchObject({ status: 200, sets: [] });
    },
  );

  it('a late answer does not bring an old cookie after a change of secrets, either', async () => {
    const { client, latch } = await start({ controllers: [LateController] });
    const [visitor, tab] = [client(), client()];
    await visitor.post('items', { item: 'tea' });
    const { id } = (await visitor.get('me')).body as { id: string };
    tab.cookie = `locked-session=${encodeURIComponent(sign(id, secrets[1]!))}`;
    const answer = tab.get('late/items');
    await latch.entered.promise;
    await visitor.post('login');
    latch.goOn.resolve();
    expect((await answer).sets).toEqual([]);
  });

  it('a late answer of before a logout, or of a session that is over otherwise, renews nothing', async () => {
    const { visitor, arrives } = await late('GET', 'late/items');
    await visitor.post('logout');
    expect((await arrives()).sets).toEqual([]);
  });

  it('a late answer to a logout does not clear the cookie of a login that came meanwhile', async () => {
    const { visitor, arrives } = await late('POST', 'late/logout');
    expect((await visitor.post('login')).sets).toHaveLength(1);
    expect((await arrives()).sets).toEqual([]);
  });

  it('a late answer to a logout clears the cookie when nothing came meanwhile', async () => {
    const { arrives } = await late('POST', 'late/logout');
    expect((await arrives()).set).toMatch(/^locked-session=; .*Max-Age=0/);
  });

  it('a late answer with a new session does not replace the cookie of a login that came meanwhile', async () => {
    const { client, latch } = await start({ controllers: [LateController] });
    const [visitor, tab] = [client(), client()];
    const unknown = `locked-session=${encodeURIComponent(sign('A'.repeat(43), secrets[0]!))}`;
    visitor.cookie = tab.cookie = unknown;
    const answer = tab.post('late/items');
    await latch.entered.promise;
    expect((await visitor.post('login')).sets).toHaveLength(1);
    latch.goOn.resolve();
    expect((await answer).sets).toEqual([]);
  });
});

onEachPlatform((start) => {
  it.each([
    ['commit', 500],
    ['refused', 400],
    ['filtered', 418],
    ['after-regenerate', 400],
    ['afterwards', 400],
  ])('what was made durable brings its cookie, though the handler fails: %s', async (route, status) => {
    const { client } = await start({ controllers: [FailingController] });
    const visitor = client();
    const failed = await visitor.post(`failing/${route}`);
    expect(failed.status).toBe(status);
    expect(failed.sets).toHaveLength(1);
    expect((await visitor.get('items')).body).toEqual(['kept']);
    expect((await visitor.get('me')).body).toMatchObject({ isNew: false });
  });

  it('a handler that fails before anything is durable brings none', async () => {
    const { client } = await start({ controllers: [FailingController] });
    expect(await client().post('failing/nothing')).toMatchObject({ status: 400, sets: [] });
  });

  it('a login that is durable brings its cookie, though an interceptor fails after it', async () => {
    const { client } = await start({ controllers: [FailingController] });
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const old = visitor.cookie;
    expect((await visitor.post('failing/afterwards')).status).toBe(400);
    expect(visitor.cookie).not.toBe(old);
    expect((await visitor.get('items')).body).toEqual(['kept']);
  });
});
