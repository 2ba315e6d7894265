/** The code of docs/RECIPES.md for its suite. Each region stands there word for word. */
// oxlint-disable promise/valid-params, promise/no-promise-in-callback -- a filter's catch() is of no promise
import {
  Catch,
  Controller,
  Get,
  HttpException,
  Injectable,
  Post,
  UseGuards,
  type ArgumentsHost,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { BaseExceptionFilter } from '@nestjs/core';
import {
  clientTexts,
  CurrentSession,
  LockedSession,
  LockedSessionError,
  LockedSessions,
  type SessionHandle,
} from '#locked-session';

// #region guard
@Injectable()
export class LoggedInGuard implements CanActivate {
  constructor(private readonly sessions: LockedSessions) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const id = await this.sessions.idOf(context);
    if (id === undefined) return false;
    try {
      const options = { read: ['user'], create: false };
      return await this.sessions.run(id, options, (session) => session.get('user') !== undefined);
    } catch (error) {
      const code = error instanceof LockedSessionError ? error.code : undefined;
      if (code === 'unknown-session' || code === 'session-destroyed') return false;
      throw error;
    }
  }
}
// #endregion
Reflect.defineMetadata('design:paramtypes', [LockedSessions], LoggedInGuard);

// #region filter
@Catch(LockedSessionError)
export class LockedSessionErrors extends BaseExceptionFilter {
  override catch(error: LockedSessionError, host: ArgumentsHost): void {
    const { status, code } = error;
    const message = clientTexts[code];
    const answer = new HttpException({ statusCode: status, code, message }, status, { cause: error });
    super.catch(status === 500 ? error : answer, host);
  }
}
// #endregion

// #region account
@Controller('account')
export class AccountController {
  @Get()
  @UseGuards(LoggedInGuard)
  @LockedSession({ read: ['user'] })
  show(@CurrentSession() session: SessionHandle) {
    return { name: session.get('user')?.name };
  }
}
// #endregion

// #region begin
@Controller('visit')
export class VisitController {
  /** The page's first request. The others wait for its answer. */
  @Post()
  @LockedSession('visits')
  begin(@CurrentSession() session: SessionHandle) {
    session.set('visits', (session.get('visits') ?? 0) + 1);
  }
}
// #endregion
