/** Decorators in any order: Nest's decorators of a handler keep their effect beside the library's. */
import {
  Controller,
  Get,
  Header,
  HttpCode,
  Post,
  SetMetadata,
  UseGuards,
  UseInterceptors,
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import { map } from 'rxjs';
import { expect, it } from 'vitest';
import { CurrentSession, LockedAttributes, LockedSession, SessionAttribute } from '#locked-session';
import { cart, empty, onEachPlatform, type Loose } from './application.js';

class Deny implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

class Wrap implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler) {
    return next.handle().pipe(map((value: unknown) => ({ wrapped: value })));
  }
}

class OnlyFor implements CanActivate {
  private readonly reflector = new Reflector();
  canActivate(context: ExecutionContext): boolean {
    return this.reflector.get<string>('role', context.getHandler()) === 'guest';
  }
}

const n = 'n' as never;

@Controller('order')
class OrderController {
  @Post('guard-below')
  @LockedSession(n)
  @LockedAttributes('m' as never)
  @UseGuards(Deny)
  guardBelow() {}

  @LockedAttributes('m' as never)
  @LockedSession(n)
  @UseGuards(Deny)
  @Post('all-below')
  allBelow() {}

  @UseGuards(Deny)
  @LockedAttributes('m' as never)
  @Post('between')
  @LockedSession(n)
  between() {}

  @LockedAttributes('m' as never)
  @UseInterceptors(Wrap)
  @SetMetadata('role', 'guest')
  @HttpCode(202)
  @Header('x-order', 'kept')
  @UseGuards(OnlyFor)
  @LockedSession(n, cart)
  @Post('kept')
  kept(@CurrentSession() session: Loose, @SessionAttribute(cart, empty) its: { items: string[] }) {
    session.set('m', 1);
    return { m: session.get('m'), items: its.items };
  }

  @Get('named')
  @LockedSession({ read: ['n'] })
  named() {
    const { name, length } = this.kept as { name: string; length: number };
    return { name, length };
  }
}

onEachPlatform((start) => {
  it.each(['guard-below', 'all-below', 'between'])('a guard guards: %s', async (route) => {
    const { client, errors } = await start({ controllers: [OrderController] });
    expect((await client().post(`order/${route}`)).status).toBe(403);
    expect(errors).toEqual([]);
  });

  it('route, status, headers, interceptors and metadata below @LockedAttributes are kept', async () => {
    const { client } = await start({ controllers: [OrderController] });
    const answer = await client().post('order/kept');
    expect(answer).toMatchObject({ status: 202, body: { wrapped: { m: 1, items: [] } } });
    expect(answer.headers.get('x-order')).toBe('kept');
    expect((await client().get('order/named')).body).toEqual({ name: 'kept', length: 2 });
  });
});
