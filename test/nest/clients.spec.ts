/** Clients that hang up while their handlers run or wait, and handlers that wait for each other. */
import { once, type EventEmitter } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import {
  Controller,
  Get,
  Inject,
  Injectable,
  Post,
  UseGuards,
  type CanActivate,
  type ExecutionContext,
} from '@nestjs/common';
import { expect, it } from 'vitest';
import { LockedAttributes, LockedSession } from '#locked-session';
import { Latch, onEachPlatform } from './application.js';

class Nested {
  @LockedAttributes('a')
  async a(): Promise<string> {
    return 'a';
  }

  @LockedAttributes('b')
  async b(): Promise<string> {
    return 'b';
  }
}

/** Locks one attribute, stays until the test lets both continue, and locks the other one. */
@Controller('nested')
class NestedController {
  private readonly nested = new Nested();
  private inside = 0;
  constructor(@Inject(Latch) private readonly latch: Latch) {}

  @Post('a')
  @LockedSession('a')
  async a(): Promise<string> {
    await this.both();
    return this.nested.b();
  }

  @Post('b')
  @LockedSession('b')
  async b(): Promise<string> {
    await this.both();
    return this.nested.a();
  }

  private async both(): Promise<void> {
    if (++this.inside === 2) this.latch.goOn.resolve();
    await this.latch.goOn.promise;
  }
}

/** Lets a request pass when its client has hung up. */
@Injectable()
class SlowGuard implements CanActivate {
  static entered = new Latch();
  static passed = new Latch();

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const response = context.switchToHttp().getResponse<EventEmitter & { raw?: EventEmitter }>();
    const closed = once(response.raw ?? response, 'close');
    SlowGuard.entered.entered.resolve();
    await closed;
    setImmediate(() => SlowGuard.passed.entered.resolve()); // after the next step of the request has begun
    return true;
  }
}

@Controller('guarded')
class GuardedController {
  static calls = 0;

  @Get()
  @UseGuards(SlowGuard)
  @LockedSession('cart')
  guarded() {
    GuardedController.calls++;
  }
}

onEachPlatform((start) => {
  /** An application where a visitor's handler stays inside, and its clients may hang up. */
  async function busy() {
    const { app, latch, sessions, client } = await start({ controllers: [GuardedController] });
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const server = app.getHttpServer() as Server;
    /** Sends a request. `hangUp` resolves when the server has seen the client's end. */
    const send = async (path: string, method: 'GET' | 'POST' = 'POST') => {
      const request = once(server, 'request') as Promise<[IncomingMessage]>;
      const aborter = new AbortController();
      const body = method === 'POST' ? { item: 'milk' } : undefined;
      const answer = visitor.request(method, path, body, { signal: aborter.signal });
      answer.catch(() => {});
      const [{ socket }] = await request;
      const hangUp = async () => {
        const closed = once(socket, 'close');
        aborter.abort();
        await closed;
      };
      return { answer, hangUp };
    };
    const slow = await send('slow');
    await latch.entered.promise;
    return { visitor, slow, send, latch, sessions };
  }

  it('a client that hangs up while its handler runs: the change is kept whole, and then the lock is free', async () => {
    const { visitor, slow, latch } = await busy();
    await slow.hangUp();
    expect(await visitor.get('quick')).toMatchObject({ status: 503 });
    latch.goOn.resolve();
    expect((await visitor.get('items')).body).toEqual(['tea', 'slow']);
  });

  it('a client that hangs up before its turn comes: its handler is not called, and those behind it go on', async () => {
    const { visitor, slow, send, latch, sessions } = await busy();
    const impatient = await send('items');
    await expect.poll(() => sessions.counters().waiting).toBe(1);
    const behind = visitor.get('items');
    await expect.poll(() => sessions.counters().waiting).toBe(2);
    await impatient.hangUp();
    await expect.poll(() => sessions.counters().waiting).toBe(1);
    latch.goOn.resolve();
    expect((await slow.answer).status).toBe(201);
    expect((await behind).body).toEqual(['tea', 'slow']);
    expect((await visitor.get('items')).body).toEqual(['tea', 'slow']);
    expect(sessions.counters().waiting).toBe(0);
  });

  it('a client that hangs up before its session is looked for: it takes no place, and its handler is not called', async () => {
    const { send, slow, latch, sessions } = await busy();
    GuardedController.calls = 0;
    const { scopes } = sessions.counters();
    SlowGuard.entered = new Latch();
    SlowGuard.passed = new Latch();
    const impatient = await send('guarded', 'GET');
    await SlowGuard.entered.entered.promise;
    await impatient.hangUp();
    await SlowGuard.passed.entered.promise;
    expect(sessions.counters()).toMatchObject({ waiting: 0, scopes });
    const behind = await send('items');
    latch.goOn.resolve();
    expect((await behind.answer).status).toBe(201);
    expect((await slow.answer).status).toBe(201);
    expect(GuardedController.calls).toBe(0);
  });

  it('of two handlers that would wait for each other one is refused at once, and the other goes on', async () => {
    const { client } = await start({ controllers: [NestedController] });
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const answers = await Promise.all([visitor.post('nested/a'), visitor.post('nested/b')]);
    const refused = answers.find(({ status }) => status !== 201);
    expect(refused).toMatchObject({ status: 409, body: { code: 'deadlock' } });
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  });
});
