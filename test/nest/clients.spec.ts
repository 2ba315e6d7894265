/** Clients that hang up, while their handler runs and before its turn comes; and a circle of handlers that wait for each other. */
import { once } from 'node:events';
import type { IncomingMessage, Server } from 'node:http';
import { Controller, Inject, Post } from '@nestjs/common';
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

/** Locks one attribute, stays until the test lets both go on, and locks the other one. */
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

onEachPlatform((start) => {
  /** An application where a visitor's handler stays inside, and its clients may hang up. */
  async function busy() {
    const { app, latch, sessions, client } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const server = app.getHttpServer() as Server;
    /** Sends a request; `hangUp` resolves when the server has seen the client's end. */
    const send = async (path: string) => {
      const request = once(server, 'request') as Promise<[IncomingMessage]>;
      const aborter = new AbortController();
      const answer = visitor.post(path, { item: 'milk' }, { signal: aborter.signal });
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

  it('of two handlers that would wait for each other one is refused at once, and the other goes on', async () => {
    const { client } = await start({ controllers: [NestedController] });
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const answers = await Promise.all([visitor.post('nested/a'), visitor.post('nested/b')]);
    const refused = answers.find(({ status }) => status !== 201);
    expect(refused).toMatchObject({ status: 409, body: { code: 'lock-circle' } });
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  });
});
