/**
 * Who the visitor is and how often they came. Both are attributes with locks of their own: they are read and
 * changed while the same customer's cart is locked by another request.
 */
import { Body, Controller, Get, HttpCode, Post } from '@nestjs/common';
import { CurrentSession, LockedSession } from '#locked-session';
import type { SessionHandle } from '#locked-session';
import { login, ValidPipe } from './bodies.js';
import type { Login } from './bodies.js';
import type { User } from './session-attributes.js';

@Controller()
export class VisitorController {
  @Get('visits')
  @LockedSession('visits')
  visit(@CurrentSession() session: SessionHandle): { visits: number } {
    const visits = (session.get('visits') ?? 0) + 1;
    session.set('visits', visits);
    return { visits };
  }

  @Get('user')
  @LockedSession({ read: ['user'] })
  show(@CurrentSession() session: SessionHandle): { user: User | null } {
    return { user: session.get('user') ?? null };
  }

  /**
   * A login gives the session another id, so that one that somebody planted is worth nothing. The cart comes
   * along.
   */
  @Post('login')
  @HttpCode(200)
  @LockedSession()
  login(
    @CurrentSession() session: SessionHandle,
    @Body(new ValidPipe(login)) { name }: Login,
  ): { user: User } {
    session.set('user', { name });
    session.regenerate();
    return { user: { name } };
  }

  @Post('logout')
  @HttpCode(204)
  @LockedSession()
  logout(@CurrentSession() session: SessionHandle): void {
    session.destroy();
  }
}
