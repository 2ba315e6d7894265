/**
 * Locks that would never be taken. The start names each of them, so that no handler runs without its declared
 * lock.
 */
import {
  Controller,
  Get,
  Injectable,
  Module,
  Post,
  SetMetadata,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
  type ModuleMetadata,
  type NestInterceptor,
  type Type,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { expect, it } from 'vitest';
import { EmbeddedLockedSessionModule } from '#embedded';
import { CurrentSession, LockedAttributes, LockedSession } from '#locked-session';
import { cart, onEachPlatform, secrets, type Loose } from './application.js';

/** Replaces the function without its metadata, like many libraries. */
const replaced: MethodDecorator = (_target, _key, descriptor: PropertyDescriptor) => {
  const method = descriptor.value as (...args: unknown[]) => unknown;
  descriptor.value = function (this: unknown, ...args: unknown[]) {
    return method.apply(this, args);
  };
};

@Injectable()
class Rates {
  @LockedSession(cart)
  daily() {}
}

@Injectable()
@LockedSession(cart)
class Report {}

@Controller('hidden')
class HiddenController {
  @Post()
  @replaced
  @LockedSession(cart)
  hidden() {}
}

@Controller('private')
class PrivateController {
  @Post()
  @LockedSession(cart)
  route() {
    return this.step();
  }

  @LockedSession('steps' as never)
  private step() {}
}

@Controller('good')
class GoodController {
  @Post()
  @LockedSession(cart)
  good() {}

  /** Has no lock. */
  other() {}
}

@Controller('members')
@LockedSession()
class MembersController {
  @Get()
  list(@CurrentSession() session: Loose) {
    return session.names();
  }
}

/** Inherits the lock. Only a later application of this process has this class. */
@Controller('late-members')
class LateMembersController extends MembersController {
  @Get()
  override list(@CurrentSession() session: Loose) {
    return session.names();
  }
}

@Injectable()
class Note implements NestInterceptor {
  static calls = 0;
  intercept(_context: ExecutionContext, next: CallHandler) {
    Note.calls++;
    return next.handle();
  }
}

@Controller('twice')
@LockedSession()
@LockedSession()
class TwiceController {
  @Post()
  @LockedSession(cart)
  @UseInterceptors(Note)
  @LockedSession(cart)
  twice() {}
}

const embedded = () => EmbeddedLockedSessionModule.forRoot({ cookie: { secrets } });

async function startOf({ imports = [embedded()], ...parts }: ModuleMetadata): Promise<void> {
  @Module({ imports, ...parts })
  class App {}
  const app = await NestFactory.create(App, { logger: false, abortOnError: false });
  try {
    await app.init();
  } finally {
    await app.close();
  }
}

it.each<[string, ModuleMetadata, RegExp]>([
  ['a provider by its class', { providers: [Rates] }, /does nothing in Rates.*@LockedAttributes.*run\(\)/],
  [
    'a provider under another token',
    { providers: [{ provide: 'rates', useClass: Rates }] },
    /does nothing in Rates/,
  ],
  [
    'a provider that a factory makes',
    { providers: [{ provide: 'rates', useFactory: () => new Rates() }] },
    /does nothing in Rates/,
  ],
  [
    'a provider that is given as a value',
    { providers: [{ provide: 'rates', useValue: new Rates() }] },
    /does nothing in Rates/,
  ],
  ['a provider locked as a class', { providers: [Report] }, /does nothing in Report/],
  ['a controller that is only provided', { providers: [GoodController] }, /does nothing in GoodController/],
  [
    'a method of a controller that is no handler',
    { controllers: [PrivateController] },
    /PrivateController\.step is no handler.*@LockedAttributes/,
  ],
  [
    'a method that a decorator above has replaced',
    { controllers: [HiddenController] },
    /HiddenController\.hidden.*Put @LockedSession above/,
  ],
  [
    'an application without the module',
    { imports: [], controllers: [GoodController] },
    /Import LockedSessionModule/,
  ],
])('a lock on %s stops the start', async (_where, parts, message) => {
  await expect(startOf(parts)).rejects.toThrow(message);
});

it('a controller that is provided besides starts, and so do providers that are no objects of a class', async () => {
  const odd = [null, undefined, 5, 'text', () => {}, Object.create(null), new Proxy({}, {})].map(
    (useValue: unknown, i) => ({ provide: `odd ${i}`, useValue }),
  );
  const parts = { controllers: [GoodController], providers: [GoodController, ...odd] };
  await expect(startOf(parts)).resolves.toBeUndefined();
});

onEachPlatform((start) => {
  const oneScope = async (controller: Type, method: 'GET' | 'POST', path: string) => {
    @Module({ controllers: [controller] })
    class Feature {}
    const { client, sessions } = await start({ imports: [Feature] });
    expect((await client().request(method, path)).status).toBeLessThan(300);
    expect(sessions.counters().scopes).toBe(1);
  };

  it('a class that inherits its lock has it in every application of the process, however many were started before', async () => {
    await oneScope(MembersController, 'GET', 'members');
    await oneScope(LateMembersController, 'GET', 'late-members');
    await oneScope(MembersController, 'GET', 'members');
  });

  it('a lock that is named several times is taken once, and interceptors beside it run once', async () => {
    Note.calls = 0;
    await oneScope(TwiceController, 'POST', 'twice');
    expect(Note.calls).toBe(1);
  });
});

it('what is written to a method after @LockedAttributes has taken its place counts, too', () => {
  const found: object[] = [];
  const find: MethodDecorator = (_target, _key, descriptor: PropertyDescriptor) => {
    found.push(descriptor.value as object);
  };
  const inheriting: MethodDecorator = (_target, _key, descriptor: PropertyDescriptor) => {
    descriptor.value = Object.setPrototypeOf(() => {}, descriptor.value as object) as unknown;
  };
  const mark = Symbol('mark');
  class Service {
    @LockedAttributes('a')
    @find
    @inheriting
    @SetMetadata('early', 1)
    async method() {}
  }
  Reflect.defineMetadata('late', 2, found[0]!);
  Object.assign(found[0]!, { [mark]: 3 });
  const { method } = Service.prototype as unknown as Record<'method', Record<symbol, unknown>>;
  expect(Reflect.getMetadata('early', method)).toBe(1);
  expect(Reflect.getMetadata('late', method)).toBe(2);
  expect(method[mark]).toBe(3);
});
