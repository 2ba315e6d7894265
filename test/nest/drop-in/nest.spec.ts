/**
 * The drop-in for express-session in an application of Nest, beside handlers with `@LockedSession`.
 * docs/DROP-IN.md names the cases by number.
 */
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { promisify } from 'node:util';
import {
  Controller,
  Get,
  Post,
  Req,
  Res,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import compression from 'compression';
import type { Request, Response } from 'express';
import { expect, it, onTestFinished } from 'vitest';
import { EmbeddedLockedSessionModule } from '#embedded';
import { lockedSession } from '#express';
import { CurrentSession, LockedSession, LockedSessions } from '#locked-session';
import type { Loose } from '../application.js';
import { Client, secret } from './servers.js';

class LoginGuard implements CanActivate {
  async canActivate(context: ExecutionContext): Promise<boolean> {
    const request = context.switchToHttp().getRequest<Request>();
    await promisify((done: (error?: unknown) => void) => void request.session.regenerate(done))();
    request.session.user = 'Ada';
    return true;
  }
}

@Controller()
class BothController {
  @Post('both')
  @LockedSession()
  both(@Req() request: Request, @CurrentSession() session: Loose) {
    const before = session.get('n');
    session.set('n', ((session.get('n') as number | undefined) ?? 0) + 1);
    return { before, id: session.id === request.sessionID };
  }

  /** As `both`, and reads the other side before and after. */
  @Post('plain')
  plain(@Req() request: Request) {
    request.session.n = (request.session.n ?? 0) + 1;
    return request.session.n;
  }

  @Post('guarded')
  @UseGuards(LoginGuard)
  @LockedSession()
  guarded(@Req() request: Request, @CurrentSession() session: Loose) {
    session.set('n', 100);
    return { user: session.get('user'), id: session.id === request.sessionID };
  }

  @Post('logout')
  @LockedSession()
  logout(@CurrentSession() session: Loose) {
    session.destroy();
  }

  @Post('rename')
  @LockedSession()
  rename(@CurrentSession() session: Loose) {
    return session.regenerate();
  }

  @Get('pipe')
  @LockedSession()
  pipe(@Res() response: Response) {
    return pipeline(
      Readable.from(Array.from({ length: 64 }, () => 'x'.repeat(1_000))),
      response.type('text'),
    );
  }
}

async function application(before: (app: { use(middleware: never): unknown }) => void = () => {}) {
  const app = await NestFactory.create(
    {
      module: class App {},
      imports: [EmbeddedLockedSessionModule.forRoot({ cookie: { secrets: [secret], name: 'other' } })],
      controllers: [BothController],
    },
    new ExpressAdapter(),
    { logger: false },
  );
  onTestFinished(() => app.close());
  const sessions = app.get(LockedSessions);
  before(app);
  app.use((request: Request, _response: Response, next: () => void) => {
    // What middleware before a handler changes, the handler sees.
    if (request.session && request.path === '/both') request.session.n = (request.session.n ?? 0) + 10;
    next();
  });
  await app.listen(0, '127.0.0.1');
  const url = `${await app.getUrl()}/`;
  const stored = (id: string) =>
    sessions
      .run(id, { create: false, waitMs: 1_000 }, (session) => {
        const loose = session as unknown as Loose;
        return Object.fromEntries(loose.names().map((name) => [name, loose.get(name)]));
      })
      .catch((error: { readonly code: string }) => error.code);
  return { sessions, app, stored, client: () => new Client([url]) };
}

const withDropIn = () =>
  application((app) => {
    const its = app as unknown as { get(token: typeof LockedSessions): LockedSessions };
    const options = { secret, sessions: its.get(LockedSessions), resave: false, saveUninitialized: false };
    app.use(lockedSession(options) as never);
  });

it('case 37: a handler with @LockedSession behind the drop-in: one lock, and both see all changes', async () => {
  const { client: newClient, stored } = await withDropIn();
  const client = newClient();
  expect((await client.post('plain')).text).toBe('1');
  const { text, headers } = await client.post('both');
  expect([JSON.parse(text), headers.getSetCookie()]).toEqual([{ before: 11, id: true }, []]);
  expect((await client.post('plain')).text).toBe('13');
  await expect(stored(client.id!)).resolves.toMatchObject({ n: 13 });
});

it('case 37: of 16 parallel requests, half with @LockedSession, none is lost', async () => {
  const { client: newClient, stored } = await withDropIn();
  const client = newClient();
  await client.post('plain');
  const answers = await Promise.all(
    Array.from({ length: 16 }, (_, i) => client.post(i % 2 ? 'plain' : 'both')),
  );
  expect(answers.map(({ status }) => status)).toEqual(Array(16).fill(201));
  await expect(stored(client.id!)).resolves.toMatchObject({ n: 1 + 8 * 1 + 8 * 11 });
});

it('case 37: a session that only the other side has made has no cookie, and gets one', async () => {
  const { client: newClient, sessions, stored } = await withDropIn();
  const client = newClient();
  await client.post('plain');
  await sessions.run(client.id!, {}, (session) => {
    const loose = session as unknown as Loose;
    loose.delete('cookie');
    loose.set('n', 5);
  });
  expect((await client.post('plain')).text).toBe('6');
  await expect(stored(client.id!)).resolves.toMatchObject({
    n: 6,
    cookie: { path: '/', originalMaxAge: null },
  });
});

it('case 37: the handler ends the session, or gives it another id: the cookie follows', async () => {
  const { client: newClient, stored } = await withDropIn();
  const client = newClient();
  await client.post('plain');
  const old = client.id!;
  const { text } = await client.post('rename');
  expect(client.id).toBe(text);
  expect(await stored(old)).toBe('session-destroyed');
  await expect(stored(text)).resolves.toMatchObject({ n: 1 });
  expect((await client.post('logout')).cookies).toEqual([
    expect.stringContaining('Expires=Thu, 01 Jan 1970'),
  ]);
  expect(await stored(text)).toBe('session-destroyed');
});

it('case 50: a guard gives the session another id: the scope of the handler joins the new one', async () => {
  const { client: newClient, stored } = await withDropIn();
  const client = newClient();
  await client.post('plain');
  const old = client.id!;
  const { text, cookies } = await client.post('guarded');
  expect([JSON.parse(text), cookies.length]).toEqual([{ user: 'Ada', id: true }, 1]);
  expect(client.id).not.toBe(old);
  await expect(stored(client.id!)).resolves.toMatchObject({ n: 100, user: 'Ada' });
  expect(await stored(old)).toBe('session-destroyed');
});

it('a stream that is piped into a compressed answer comes to its end', async () => {
  const { client } = await application((app) => app.use(compression() as never));
  const { text, headers } = await client().get('pipe');
  expect([headers.get('content-encoding'), text.length]).toEqual(['gzip', 64_000]);
});
