/**
 * One app server of the row `http`: a Nest application on Express whose three routes make a session, read its
 * cart and change it. KIND says where the session is kept. Everything else is the same.
 */
import 'reflect-metadata';
import { createRequire } from 'node:module';
import { Controller, Get, HttpCode, Module, Post, Req, type DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import session from 'express-session';
import { Redis } from 'ioredis';
import Redlock from 'redlock';
import { createClient } from 'redis';
import { CurrentSession, LockedSession, LockedSessionModule, type SessionHandle } from '#locked-session';
import {
  attributeNames,
  changed,
  changedBy,
  firstAttribute,
  firstSession,
  type Attribute,
  type WholeSession,
} from '../contest.js';
import { optionsOf, type Handle } from './locked-session.js';
import { redlockOptions } from './redis.js';

export type Kind = 'none' | 'locked-session' | 'express-session' | 'express-session-redlock';

const { KIND, AMQP_URL, AMQP_PREFIX, REDIS_URL } = process.env as Record<string, string>;
const secret = 'a secret of the benchmarks alone';
const owner = 'app';
const lockMs = 10_000;

/** Answers with the whole attribute, so that all answers have one size. */
@Controller()
class CartWithoutSession {
  private cart = firstAttribute();

  @Post('session')
  @HttpCode(204)
  make(): void {}

  @Get('cart')
  show(): Attribute {
    return this.cart;
  }

  @Post('cart')
  @HttpCode(200)
  change(): Attribute {
    return (this.cart = changedBy(this.cart, owner));
  }
}

@Controller()
class CartInLockedSession {
  @Post('session')
  @HttpCode(204)
  @LockedSession()
  make(@CurrentSession() handle: SessionHandle): void {
    for (const name of attributeNames) (handle as unknown as Handle).set(name, firstAttribute());
  }

  @Get('cart')
  @LockedSession({ read: [changed] })
  show(@CurrentSession() handle: SessionHandle): Attribute {
    return (handle as unknown as Handle).get(changed)!;
  }

  @Post('cart')
  @HttpCode(200)
  @LockedSession(changed)
  change(@CurrentSession() handle: SessionHandle): Attribute {
    const session = handle as unknown as Handle;
    const next = changedBy(session.get(changed)!, owner);
    session.set(changed, next);
    return next;
  }
}

/** express-session saves before the answer what the handlers have written into its object. */
const sessionOf = (request: Request) => request.session as unknown as WholeSession;

@Controller()
class CartInExpressSession {
  @Post('session')
  @HttpCode(204)
  make(@Req() request: Request): void {
    Object.assign(sessionOf(request), firstSession());
  }

  @Get('cart')
  show(@Req() request: Request): Attribute {
    return sessionOf(request)[changed]!;
  }

  @Post('cart')
  @HttpCode(200)
  change(@Req() request: Request): Attribute {
    const its = sessionOf(request);
    return (its[changed] = changedBy(its[changed]!, owner));
  }
}

@Module({})
class AppModule {
  static of(kind: string): DynamicModule {
    if (kind === 'none') return { module: AppModule, controllers: [CartWithoutSession] };
    if (kind !== 'locked-session') return { module: AppModule, controllers: [CartInExpressSession] };
    const sessions = LockedSessionModule.forRoot({
      broker: { url: AMQP_URL!, prefix: AMQP_PREFIX },
      cookie: { secrets: [secret] },
      ...optionsOf({}, { queues: 'partitioned' }),
    });
    return { module: AppModule, controllers: [CartInLockedSession], imports: [sessions] };
  }
}

/** Its CommonJS build. */
const { RedisStore } = createRequire(import.meta.url)('connect-redis') as typeof import('connect-redis');

async function expressSession(): Promise<RequestHandler> {
  const client = createClient({ url: REDIS_URL! });
  await client.connect();
  const store = new RedisStore({ client });
  return session({ store, secret, resave: false, saveUninitialized: false });
}

/** Around express-session: from before it loads the session until the answer, before which it has saved. */
function redlockAround(): RequestHandler {
  const redlock = new Redlock([new Redis(REDIS_URL!)], redlockOptions(5));
  return (request: Request, response: Response, next: NextFunction) => {
    const { cookie } = request.headers;
    if (cookie === undefined) return next();
    const guard = async () => {
      const lock = await redlock.acquire([`lock:${cookie}`], lockMs);
      response.once('close', () => void lock.release());
    };
    guard().then(() => next(), next);
  };
}

const app = await NestFactory.create<NestExpressApplication>(AppModule.of(KIND!), { logger: ['error'] });
app.disable('x-powered-by');
app.disable('etag');
if (KIND === 'express-session-redlock') app.use(redlockAround());
if (KIND?.startsWith('express-session')) app.use(await expressSession());
await app.listen(0, '127.0.0.1');
console.log(`listening on ${await app.getUrl()}`);
