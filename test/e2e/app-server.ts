/**
 * An app server for the tests: a Nest application, on Express or on Fastify, whose handlers declare their
 * locks. A session has two lists of marks, in the attributes `a` and `b`. A POST appends its `mark` to one of
 * them, and a GET returns it. With `stay` a handler stays inside until the test lets it leave.
 */
import 'reflect-metadata';
import {
  Controller,
  Get,
  HttpCode,
  Injectable,
  Module,
  NotFoundException,
  Param,
  Post,
  Query,
  type ExecutionContext,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { readFileSync } from 'node:fs';
import type { IncomingHttpHeaders } from 'node:http';
import { EventEmitter, once } from 'node:events';
import {
  CurrentSession,
  LockedAttributes,
  LockedSession,
  LockedSessionModule,
  LockedSessions,
  SessionAttribute,
  type LockedSessionOptions,
  type SessionHandle,
} from '#locked-session';
import { traceOption } from '../traces/trace-folder.js';

type Marks = string[];

declare module '#locked-session' {
  interface SessionAttributes {
    a: Marks;
    b: Marks;
  }
}

const none = (): Marks => [];

/** The query of a request: its mark, and whether its handler stays inside. */
interface Visit {
  readonly mark: string;
  readonly stay?: string;
}

/** Handlers that stay inside, by their marks. */
@Injectable()
class Visitors {
  private readonly staying = new Map<string, () => void>();
  private readonly arrivals = new EventEmitter();

  async pass({ mark, stay }: Visit): Promise<void> {
    if (stay === undefined) return;
    await new Promise<void>((resolve) => {
      this.staying.set(mark, resolve);
      this.arrivals.emit(mark);
    });
    this.staying.delete(mark);
  }

  get inside(): string[] {
    return [...this.staying.keys()];
  }

  async untilInside(mark: string): Promise<void> {
    if (!this.staying.has(mark)) await once(this.arrivals, mark);
  }

  letGo(mark: string): void {
    const go = this.staying.get(mark);
    if (!go) throw new NotFoundException(`${mark} is not inside`);
    go();
  }
}

/** A provider that locks what it needs, besides the locks of its caller. */
@Injectable()
class MarksService {
  @LockedAttributes('b')
  async addToB(session: SessionHandle, mark: string): Promise<Marks> {
    const marks = session.draft('b', none);
    marks.push(mark);
    return marks;
  }
}

@Controller()
class MarksController {
  constructor(
    private readonly visitors: Visitors,
    private readonly marks: MarksService,
  ) {}

  @Get('a')
  @LockedSession({ read: ['a'] })
  async showA(@SessionAttribute('a', none) marks: readonly string[], @Query() visit: Visit): Promise<object> {
    await this.visitors.pass(visit);
    return marks;
  }

  @Post('a')
  @LockedSession('a')
  async addToA(@SessionAttribute('a', none) marks: Marks, @Query() visit: Visit): Promise<Marks> {
    marks.push(visit.mark);
    await this.visitors.pass(visit);
    return marks;
  }

  @Post('b')
  @LockedSession('b')
  async addToB(@SessionAttribute('b', none) marks: Marks, @Query() visit: Visit): Promise<Marks> {
    marks.push(visit.mark);
    await this.visitors.pass(visit);
    return marks;
  }

  /** Has `a` from its beginning, `b` from the call of the provider, and both to its end. */
  @Post('a-then-b')
  @LockedSession('a')
  async addToBoth(@CurrentSession() session: SessionHandle, @Query() visit: Visit): Promise<Marks> {
    session.draft('a', none).push(visit.mark);
    const marks = await this.marks.addToB(session, visit.mark);
    await this.visitors.pass(visit);
    return marks;
  }

  @Post('all')
  @LockedSession()
  async addToAll(@CurrentSession() session: SessionHandle, @Query() visit: Visit): Promise<object> {
    for (const name of ['a', 'b'] as const) session.draft(name, none).push(visit.mark);
    await this.visitors.pass(visit);
    return { a: session.get('a'), b: session.get('b') };
  }
}

/** For the test: the handlers inside, and the library's counters. */
@Controller()
class WatchController {
  constructor(
    private readonly visitors: Visitors,
    private readonly sessions: LockedSessions,
  ) {}

  @Get('inside')
  inside(): string[] {
    return this.visitors.inside;
  }

  /** Answers when the handler is inside. */
  @Get('inside/:mark')
  async untilInside(@Param('mark') mark: string): Promise<void> {
    await this.visitors.untilInside(mark);
  }

  @Post('go/:mark')
  @HttpCode(204)
  letGo(@Param('mark') mark: string): void {
    this.visitors.letGo(mark);
  }

  @Get('counters')
  counters(): object {
    return this.sessions.counters();
  }
}

/** An unset variable keeps the library's default. */
function options(env: NodeJS.ProcessEnv): LockedSessionOptions {
  const number = (text: string | undefined) => (text === undefined ? undefined : Number(text));
  const client: Partial<LockedSessionOptions> = env.COOKIE
    ? { cookie: { secrets: [env.COOKIE] } }
    : {
        resolve: (context: ExecutionContext) =>
          context.switchToHttp().getRequest<{ headers: IncomingHttpHeaders }>().headers[
            'x-session'
          ] as string,
      };
  return {
    ...client,
    broker: { url: env.AMQP_URL!, prefix: env.AMQP_PREFIX, tls: tlsOf(env) },
    partitions: number(env.PARTITIONS),
    queues: env.QUEUES as LockedSessionOptions['queues'],
    holdPolicy: env.HOLD_POLICY as LockedSessionOptions['holdPolicy'],
    waitMs: number(env.WAIT_MS),
    closeMs: number(env.CLOSE_MS),
    renewMs: number(env.RENEW_MS),
    repeatMs: number(env.REPEAT_MS),
    ...traceOption(env),
    sessionQueuesPerSecond: number(env.SESSION_QUEUES_PER_SECOND),
  };
}

/** The certificates, by the variables of the store. */
function tlsOf({ AMQP_CA_FILE, AMQP_CERT_FILE, AMQP_KEY_FILE }: NodeJS.ProcessEnv) {
  const read = (file: string | undefined) => file && readFileSync(file, 'utf8');
  return { ca: read(AMQP_CA_FILE), cert: read(AMQP_CERT_FILE), key: read(AMQP_KEY_FILE) };
}

@Module({
  imports: [LockedSessionModule.forRoot(options(process.env))],
  controllers: [MarksController, WatchController],
  providers: [Visitors, MarksService],
})
class AppServerModule {}

const adapter = process.env.PLATFORM === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
const app = await NestFactory.create(AppServerModule, adapter);
// Kept connections of clients would delay the end of the process.
adapter.getHttpServer().keepAliveTimeout = 1;
app.enableShutdownHooks();
await app.listen(0, '127.0.0.1');
console.log(`listening on ${await app.getUrl()}`);
