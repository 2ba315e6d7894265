/** Places of `@LockedSession`, its meaning there, and mistakes that stop the start. */
import {
  Body,
  Controller,
  Get,
  Injectable,
  Module,
  Post,
  Sse,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { EMPTY } from 'rxjs';
import { expect, it } from 'vitest';
import { EmbeddedLockedSessionModule } from '#embedded';
import { CurrentSession, LockedSession, LockedSessions, SessionAttribute } from '#locked-session';
import { cart, onEachPlatform, secrets, type Loose } from './application.js';

/**
 * Notes whether the session is locked when a request reaches this interceptor, which could read an upload.
 */
@Injectable()
class Upload implements NestInterceptor {
  static held: number[] = [];
  constructor(private readonly sessions: LockedSessions) {}
  intercept(_context: ExecutionContext, next: CallHandler) {
    const { scopes } = this.sessions.counters();
    Upload.held.push(scopes);
    return next.handle();
  }
}
Reflect.defineMetadata('design:paramtypes', [LockedSessions], Upload);

class Base {
  @Get('which')
  which(@CurrentSession() session: Loose) {
    return { names: (session.set('a', 1), session.names()) };
  }
}

@Controller('all')
@LockedSession()
class AllController extends Base {}

@Controller('one')
@LockedSession('a')
class OneController extends Base {}

@Controller('twice')
@LockedSession()
class TwiceController {
  @Post()
  @LockedSession('a')
  twice(@CurrentSession() session: Loose) {
    session.set('a', 1);
    return session.names();
  }
}

@Controller('upload')
class UploadController {
  @Post('method')
  @UseInterceptors(Upload)
  @LockedSession(cart)
  method() {}
}

@Controller('upload-class')
@LockedSession(cart)
class UploadClassController {
  @Post()
  @UseInterceptors(Upload)
  ofClass() {}
}

class Dto {
  readonly #secret = 1;
  constructor(public name = 'tea') {}
  get price() {
    return this.#secret;
  }
}

@Controller('values')
class ValuesController {
  @Post('visits')
  @LockedSession('visits')
  visits(@SessionAttribute('visits' as never, (() => 0) as never) visits: number) {
    visits++;
    return visits;
  }

  @Post('dto')
  @LockedSession(cart)
  dto(@CurrentSession() session: Loose, @Body() { date }: { date?: boolean }) {
    session.set('cart', date ? new Date() : new Dto());
    return session.get('cart');
  }
}

const toldOfPrimitives: string[] = [];

onEachPlatform((start) => {
  it('classes that inherit one handler lock each as it says', async () => {
    const { client } = await start({ controllers: [AllController, OneController] });
    const visitor = client();
    for (let i = 0; i < 2; i++) {
      expect((await visitor.get('all/which')).status).toBe(200);
      expect((await visitor.get('one/which')).status).toBe(200);
    }
  });

  it('on class and method: the method counts, and one scope is run', async () => {
    const { client, sessions } = await start({ controllers: [TwiceController] });
    expect((await client().post('twice')).body).toEqual(['a']);
    expect(sessions.counters().scopes).toBe(1);
  });

  it('the lock is innermost, wherever the decorator stands', async () => {
    Upload.held = [];
    const { client, sessions } = await start({ controllers: [UploadController, UploadClassController] });
    await client().post('upload/method');
    await client().post('upload-class');
    expect(Upload.held).toEqual([0, 1]); // scopes that began before
    expect(sessions.counters().scopes).toBe(2);
  });

  it('a primitive in a writing parameter is warned of, once', async () => {
    const { client, warnings } = await start({ controllers: [ValuesController] });
    const visitor = client();
    await visitor.post('values/visits');
    await visitor.post('values/visits');
    toldOfPrimitives.push(...warnings.filter((line) => line.includes('ValuesController.visits')));
    // The warning comes once in a process.
    expect(toldOfPrimitives).toEqual([expect.stringContaining("session.set('visits', …)")]);
  });

  it('class instances are refused with what to do, or kept as plain objects by a setting', async () => {
    const strict = await start({ controllers: [ValuesController] });
    expect((await strict.client().post('values/dto')).status).toBe(500);
    expect(strict.errors.join()).toContain('instanceToPlain');
    const lenient = await start({ controllers: [ValuesController], classInstances: 'copy' });
    expect((await lenient.client().post('values/dto')).body).toEqual({ name: 'tea' });
    expect((await lenient.client().post('values/dto', { date: true })).status).toBe(500);
    expect(lenient.errors.join()).toContain('is a Date');
  });
});

onEachPlatform((start) => {
  it('a wait that ends names in the log who is in the way, and tells the client nothing of it', async () => {
    const { client, latch, warnings } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const slow = visitor.post('slow');
    await latch.entered.promise;
    const quick = await visitor.get('quick');
    expect(quick.status).toBe(503);
    expect(quick.body).toEqual({
      statusCode: 503,
      code: 'wait-timeout',
      message: 'The session is in use; try again later.',
    });
    expect(warnings.at(-1)).toMatch(
      /^CartController\.quick did not get 'cart' of session .* held by CartController\.slow, for \d+ s at least/,
    );
    latch.goOn.resolve();
    await slow;
  });
});

// The start of applications. --------------------------------------------------------------------------------

/** A plain provider, where the decorator has no effect. */
class Cron {
  @LockedSession(cart)
  nightly() {}
}

@Controller('stream')
class StreamController {
  @Sse('events')
  @LockedSession(cart)
  events() {
    return EMPTY;
  }
}

@Controller('unknown')
class UnknownController {
  @Get()
  @LockedSession({ instance: 'admin' })
  unknown() {}
}

const embedded = (more: object = {}) => EmbeddedLockedSessionModule.forRoot({ cookie: { secrets }, ...more });

async function startOf(parts: {
  controllers?: Type[];
  providers?: Type[];
  imports?: ReturnType<typeof embedded>[];
}) {
  @Module({ imports: [embedded()], ...parts })
  class App {}
  const app = await NestFactory.create(App, { logger: false, abortOnError: false });
  try {
    await app.init();
  } finally {
    await app.close();
  }
}

it.each([
  ['a provider', { providers: [Cron] }, /does nothing in Cron.*@LockedAttributes.*sessions\.run\(\)/],
  ['an @Sse handler', { controllers: [StreamController] }, /StreamController\.events is an @Sse handler/],
  [
    'an unknown instance',
    { controllers: [UnknownController] },
    /UnknownController\.unknown: there is no .* named 'admin'/,
  ],
  [
    'two modules without a name',
    { imports: [embedded(), embedded({ ttlMs: 5_000 })] },
    /two modules without a name/,
  ],
  [
    'two modules with one cookie',
    { imports: [embedded(), embedded({ instance: 'admin' })] },
    /modules named 'admin' and without a name both use the cookie 'locked-session'/,
  ],
])('%s stops the start', async (_what, parts, message) => {
  await expect(startOf(parts)).rejects.toThrow(message);
});

it('two modules with names and cookies of their own start', async () => {
  const admin = embedded({ instance: 'admin', cookie: { secrets, name: 'admin' } });
  await expect(
    startOf({ imports: [embedded(), admin], controllers: [UnknownController] }),
  ).resolves.toBeUndefined();
});
