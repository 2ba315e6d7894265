/**
 * Interceptors that abandon a handler or call it again: time-outs by RxJS, by a promise and by a middleware,
 * and `retry`. The client is answered at once, and all changes of the handler are kept or none.
 */
import type { ServerResponse } from 'node:http';
import {
  BadGatewayException,
  Controller,
  Get,
  Inject,
  Injectable,
  Param,
  Post,
  UseInterceptors,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import { firstValueFrom, from, lastValueFrom, retry, Subject, take, takeUntil, throwIfEmpty } from 'rxjs';
import { expect, it } from 'vitest';
import { CurrentSession, LockedSession } from '#locked-session';
import { Latch, onEachPlatform, Signal, type Loose } from './application.js';

/** The time-out of the interceptors. The test fires it. */
const timeOut = new Subject<void>();
const timeIsOver = () => new BadGatewayException('the time is over');

@Injectable()
class ByRxjs implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler) {
    return next.handle().pipe(takeUntil(timeOut), throwIfEmpty(timeIsOver));
  }
}

@Injectable()
class ByPromise implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler) {
    const late = firstValueFrom(timeOut).then(() => Promise.reject(timeIsOver()));
    return from(Promise.race([lastValueFrom(next.handle()), late]));
  }
}

/** Answers by itself, like a middleware. */
@Injectable()
class ByAnswer implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler) {
    const response = context.switchToHttp().getResponse<ServerResponse & { raw?: ServerResponse }>();
    const raw = response.raw ?? response;
    timeOut.pipe(take(1)).subscribe(() => {
      raw.statusCode = 502;
      raw.end('the time is over');
    });
    return next.handle();
  }
}

@Injectable()
class Again implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler) {
    return next.handle().pipe(retry(2));
  }
}

/** The rest of an abandoned handler. */
let wentOn = new Signal();
let afterwards: unknown;
let calls = 0;

@Controller('giving-up')
class GivingUpController {
  constructor(@Inject(Latch) private readonly latch: Latch) {}

  @Post('begin')
  @LockedSession()
  begin(@CurrentSession() session: Loose) {
    session.set('from', 10);
    session.set('to', 0);
  }

  @Get('balance')
  @LockedSession()
  balance(@CurrentSession() session: Loose) {
    return [session.get('from') ?? 0, session.get('to') ?? 0];
  }

  @Post('by-rxjs')
  @LockedSession()
  @UseInterceptors(ByRxjs)
  byRxjs(@CurrentSession() session: Loose) {
    return this.transfer(session);
  }

  @Post('by-promise')
  @LockedSession()
  @UseInterceptors(ByPromise)
  byPromise(@CurrentSession() session: Loose) {
    return this.transfer(session);
  }

  @Post('by-answer')
  @LockedSession()
  @UseInterceptors(ByAnswer)
  byAnswer(@CurrentSession() session: Loose) {
    return this.transfer(session);
  }

  /** Abandoned after it has returned, before the store has answered. */
  @Post('returned/by-rxjs')
  @LockedSession()
  @UseInterceptors(ByRxjs)
  returnedByRxjs(@CurrentSession() session: Loose) {
    return this.moveAll(session);
  }

  @Post('returned/by-promise')
  @LockedSession()
  @UseInterceptors(ByPromise)
  returnedByPromise(@CurrentSession() session: Loose) {
    return this.moveAll(session);
  }

  /** The third call of each request succeeds. */
  @Post('again/:how')
  @LockedSession()
  @UseInterceptors(Again)
  async again(@CurrentSession() session: Loose, @Param('how') how: string) {
    session.set('calls', ((session.get('calls') as number | undefined) ?? 0) + 1);
    if (how === 'after a commit') await session.commit();
    if (++calls % 3 > 0) throw new Error('not yet');
    return session.get('calls');
  }

  private moveAll(session: Loose): string {
    session.set('from', 0);
    session.set('to', 10);
    setImmediate(() => timeOut.next());
    return 'done';
  }

  private async transfer(session: Loose): Promise<string> {
    session.set('from', 0);
    await this.latch.pass();
    try {
      session.set('to', 10);
    } catch (error) {
      afterwards = error;
      throw error;
    } finally {
      wentOn.resolve();
    }
    return 'done';
  }
}

onEachPlatform((start) => {
  const application = () => start({ controllers: [GivingUpController] });

  it.each(['by-rxjs', 'by-promise', 'by-answer'])(
    'a handler that is given up %s has changed nothing, and its lock is given back',
    async (way) => {
      wentOn = new Signal();
      afterwards = undefined;
      const { client, latch, warnings, errors } = await application();
      const visitor = client();
      await visitor.post('giving-up/begin');
      const given = visitor.post(`giving-up/${way}`);
      await latch.entered.promise;
      timeOut.next();
      expect(await given).toMatchObject({ status: 502, sets: [] });
      expect((await visitor.get('giving-up/balance')).body).toEqual([10, 0]); // while the handler still waits
      latch.goOn.resolve();
      await wentOn.promise;
      expect(afterwards).toMatchObject({ code: 'scope-ended' });
      expect((await visitor.get('giving-up/balance')).body).toEqual([10, 0]);
      expect(warnings).toEqual([expect.stringMatching(/was ended, and its changes are dropped/)]);
      expect(errors).toEqual([]);
    },
  );

  it('a new visitor whose handler is given up leaves no session', async () => {
    const { client, latch, sessions } = await application();
    const given = client().post('giving-up/by-rxjs');
    await latch.entered.promise;
    timeOut.next();
    expect(await given).toMatchObject({ status: 502, set: undefined });
    expect(sessions.counters()).toMatchObject({ held: 0 });
  });

  it.each(['by-rxjs', 'by-promise'])(
    'what is answered in place of a handler that has returned waits for its commit, and brings the cookie: %s',
    async (way) => {
      const { client, warnings, errors } = await application();
      const visitor = client();
      expect(await visitor.post(`giving-up/returned/${way}`)).toMatchObject({
        status: 502,
        set: expect.stringContaining('locked-session=') as string,
      });
      expect((await visitor.get('giving-up/balance')).body).toEqual([0, 10]);
      expect(warnings).toEqual([expect.stringMatching(/has returned, and its changes may be kept/)]);
      expect(errors).toEqual([]);
    },
  );

  it('a handler that is given up while it waits for its lock is not called', async () => {
    const { client, latch, warnings, sessions } = await application();
    const visitor = client();
    await visitor.post('giving-up/begin');
    const slow = visitor.post('slow');
    await latch.entered.promise;
    const given = visitor.post('giving-up/by-rxjs');
    await expect.poll(() => sessions.counters().waiting).toBe(1);
    timeOut.next();
    expect((await given).status).toBe(502);
    expect(warnings).toEqual([expect.stringMatching(/byRxjs was not called/)]);
    expect(sessions.counters().waiting).toBe(0);
    latch.goOn.resolve();
    expect((await slow).status).toBe(201);
    expect((await visitor.get('giving-up/balance')).body).toEqual([10, 0]);
  });

  it.each(['after a failure', 'after a commit'])(
    'a handler that is called again %s: a new visitor gets one session, with what is durable',
    async (how) => {
      const { client } = await application();
      const visitor = client();
      const count = how === 'after a commit' ? 3 : 1;
      const first = await visitor.post(`giving-up/again/${how}`);
      expect(first).toMatchObject({ status: 201, body: count });
      expect(first.sets).toHaveLength(1);
      expect(await visitor.post(`giving-up/again/${how}`)).toMatchObject({ body: 2 * count, sets: [] });
    },
  );
});
