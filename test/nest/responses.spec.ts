/**
 * Answers that a handler sends by itself, in one piece, in parts or as a stream, and answers that leave late:
 * which of them carries the cookie.
 */
import { Controller, Get, Header, Inject, Post, Res, StreamableFile, UseInterceptors } from '@nestjs/common';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { connect } from 'node:net';
import { Readable } from 'node:stream';
import { concat, from, NEVER, of, switchMap } from 'rxjs';
import { expect, it } from 'vitest';
import { CurrentSession, LockedSession, LockedSessions, SessionAttribute } from '#locked-session';
import { cart, empty, Latch, onEachPlatform, secrets, type Loose } from './application.js';

/** One interface of Express's response and Fastify's reply. */
interface Reply {
  send(body: unknown): void;
  raw?: RawReply;
}
interface RawReply {
  writeHead(status: number, headers?: object): void;
  write(text: string): void;
  end(text?: string): void;
  flushHeaders(): void;
}
const rawOf = (reply: Reply): RawReply => reply.raw ?? (reply as unknown as RawReply);

/** An interceptor around the lock that takes its time at the end, such as one that renders. */
class Slow implements NestInterceptor {
  static latch: Latch | undefined;
  intercept(_context: ExecutionContext, next: CallHandler) {
    return next
      .handle()
      .pipe(
        switchMap((value: unknown) =>
          from(Slow.latch ? Slow.latch.pass().then(() => value) : Promise.resolve(value)),
        ),
      );
  }
}

@Controller('reply')
class ReplyController {
  constructor(
    @Inject(LockedSessions) private readonly sessions: LockedSessions,
    @Inject(Latch) private readonly latch: Latch,
  ) {}

  @Post('send')
  @LockedSession(cart)
  send(@SessionAttribute(cart, empty) its: { items: string[] }, @Res() reply: Reply) {
    its.items.push('sent');
    reply.send({ items: its.items.length });
  }

  @Post('login')
  @LockedSession()
  login(@CurrentSession() session: Loose, @Res() reply: Reply & { redirect(...of: unknown[]): void }) {
    session.set('user', 'Ada');
    session.regenerate();
    if (reply.raw) reply.redirect('/', 302);
    else reply.redirect(302, '/');
  }

  @Post('send-and-throw')
  @LockedSession(cart)
  sendAndThrow(@SessionAttribute(cart, empty) its: { items: string[] }, @Res() reply: Reply) {
    its.items.push('never');
    rawOf(reply).writeHead(299, { 'x-left': 'over', 'content-type': 'text/plain' });
    rawOf(reply).end('done');
    throw new Error('after the answer');
  }

  @Post('refused')
  @LockedSession(cart)
  refused(@SessionAttribute(cart, empty) its: { items: unknown[] }, @Res() reply: Reply) {
    its.items.push(new Date());
    reply.send('done');
  }

  @Post('parts-before')
  @LockedSession(cart)
  partsBefore(@SessionAttribute(cart, empty) its: { items: string[] }, @Res() reply: Reply) {
    const raw = rawOf(reply);
    raw.writeHead(200, { 'content-type': 'text/plain' });
    raw.write('one ');
    its.items.push('not too late');
    raw.end('two');
  }

  @Post('parts-after')
  @LockedSession(cart)
  async partsAfter(
    @SessionAttribute(cart, empty) its: { items: string[] },
    @CurrentSession() session: Loose,
    @Res() reply: Reply,
  ) {
    its.items.push('in time');
    await session.commit();
    const raw = rawOf(reply);
    raw.writeHead(200, { 'content-type': 'text/plain' });
    raw.write('one ');
    raw.end('two');
  }

  @Post('passthrough')
  @LockedSession(cart)
  passthrough(
    @SessionAttribute(cart, empty) its: { items: string[] },
    @Res({ passthrough: true }) reply: Reply & { header(name: string, value: string): void },
  ) {
    its.items.push('through');
    reply.header('x-mine', 'kept');
    return { items: its.items.length };
  }

  @Post('commit-and-throw')
  @LockedSession(cart)
  async commitAndThrow(
    @SessionAttribute(cart, empty) its: { items: string[] },
    @CurrentSession() session: Loose,
  ) {
    its.items.push('durable');
    await session.commit();
    throw new Error('after the commit');
  }

  @Get('slowly')
  @UseInterceptors(Slow)
  @LockedSession({ read: ['cart'] })
  slowly() {
    return 'slow';
  }

  @Get('file')
  @Header('content-type', 'text/plain')
  @LockedSession(cart)
  file(@SessionAttribute(cart, empty) its: { items: string[] }) {
    its.items.push('file');
    const { latch } = this;
    async function* parts() {
      yield 'one ';
      await latch.pass();
      yield 'two';
    }
    return new StreamableFile(Readable.from(parts()));
  }

  @Get('endless')
  @LockedSession(cart)
  endless() {
    this.latch.entered.resolve();
    return concat(of('first'), NEVER);
  }

  @Get('two-values')
  @LockedSession(cart)
  twoValues() {
    return of('one', 'two');
  }

  @Get('waiting')
  waiting() {
    return this.sessions.counters();
  }
}

onEachPlatform((start) => {
  const application = (more = {}) => start({ controllers: [ReplyController], ...more });
  const items = async (visitor: { get(path: string): Promise<{ body: unknown }> }) =>
    (await visitor.get('items')).body;

  it('an answer that the handler sends brings the cookie, and comes when the change is durable', async () => {
    const { client } = await application();
    const visitor = client();
    const first = await visitor.post('reply/send');
    expect(first).toMatchObject({ body: { items: 1 } });
    expect(first.set).toMatch(/^locked-session=/);
    expect((await visitor.post('reply/send')).body).toEqual({ items: 2 });
    expect(await items(visitor)).toEqual(['sent', 'sent']);
  });

  it('a redirect after a login tells the new id', async () => {
    const { client, app } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const before = visitor.cookie;
    const answer = await fetch(`${await app.getUrl()}/reply/login`, {
      method: 'POST',
      redirect: 'manual',
      headers: { cookie: before! },
    });
    expect([answer.status, answer.headers.get('location')]).toEqual([302, '/']);
    visitor.cookie = answer.headers.getSetCookie()[0]!.split(';')[0]!;
    expect(visitor.cookie).not.toBe(before);
    expect(await items(visitor)).toEqual(['tea']);
  });

  it.each(['send-and-throw', 'refused'])(
    'an answer is dropped when nothing is changed: %s',
    async (route) => {
      const { client } = await application();
      const visitor = client();
      await visitor.post('items', { item: 'tea' });
      const answer = await visitor.post(`reply/${route}`);
      expect(answer).toMatchObject({ status: 500, body: { statusCode: 500 } });
      expect(answer.headers.get('x-left')).toBeNull();
      expect(answer.headers.get('content-type')).toMatch('json');
      expect(await items(visitor)).toEqual(['tea']);
    },
  );

  it('a change after the first write is kept while that has not left, as is one that was committed before', async () => {
    const { client, errors } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    expect((await visitor.post('reply/parts-before')).body).toBe('one two');
    expect(await items(visitor)).toEqual(['tea', 'not too late']);
    expect((await visitor.post('reply/parts-after')).body).toBe('one two');
    expect(await items(visitor)).toEqual(['tea', 'not too late', 'in time']);
    expect(errors).toEqual([]);
  });

  it('a new visitor who is answered in parts after a commit gets the cookie', async () => {
    const { client } = await application();
    const visitor = client();
    expect((await visitor.post('reply/parts-after')).set).toMatch(/^locked-session=/);
    expect(await items(visitor)).toEqual(['in time']);
  });

  it('passthrough works as ever', async () => {
    const { client } = await application();
    const answer = await client().post('reply/passthrough');
    expect(answer).toMatchObject({ status: 201, body: { items: 1 } });
    expect(answer.set).toMatch(/^locked-session=/);
    expect(answer.headers.get('x-mine')).toBe('kept');
  });

  it('what a new visitor made durable brings its cookie, though the handler failed', async () => {
    const { client } = await application();
    const visitor = client();
    expect((await visitor.post('reply/commit-and-throw')).status).toBe(500);
    expect(await items(visitor)).toEqual(['durable']);
  });

  it('a slow answer does not bring back the cookie of before a login', async () => {
    const { client } = await application({ cookie: { secrets, rolling: true, maxAgeMs: 60_000 } });
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const other = client();
    other.cookie = visitor.cookie;
    expect((await other.get('reply/slowly')).set).toBeDefined(); // the cookie rolls
    const latch = (Slow.latch = new Latch());
    const slow = other.get('reply/slowly');
    await latch.entered.promise;
    await visitor.post('login');
    latch.goOn.resolve();
    Slow.latch = undefined;
    expect(await slow).toMatchObject({ status: 200, set: undefined });
    expect(await items(visitor)).toEqual(['tea']);
  });

  it('a stream is sent when its changes are durable, and keeps the lock until the response is over', async () => {
    const { client, latch, sessions } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const streaming = visitor.get('reply/file');
    await latch.entered.promise;
    const waiting = visitor.get('items');
    await expect.poll(() => sessions.counters().waiting).toBe(1);
    latch.goOn.resolve();
    expect((await streaming).body).toBe('one two');
    expect((await waiting).body).toEqual(['tea', 'file']);
  });

  it('an endless Observable ends when its client has gone; of several values the last is answered', async () => {
    const { app, client, latch } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    expect((await visitor.get('reply/two-values')).body).toBe('two');
    const { port } = new URL(await app.getUrl());
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(`GET /reply/endless HTTP/1.1\r\nHost: x\r\nCookie: ${visitor.cookie}\r\n\r\n`);
    await latch.entered.promise;
    socket.destroy();
    expect(await items(visitor)).toEqual(['tea']);
  });

  it('a client that has hung up while another request is served keeps no place', async () => {
    const { app, client, latch, sessions } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const slow = visitor.post('slow');
    await latch.entered.promise;
    const { port } = new URL(await app.getUrl());
    const socket = connect(Number(port), '127.0.0.1');
    socket.write(`GET /items HTTP/1.1\r\nHost: x\r\nCookie: ${visitor.cookie}\r\n\r\n`);
    await expect.poll(() => sessions.counters().waiting).toBe(1);
    socket.destroy();
    await expect.poll(() => sessions.counters().waiting).toBe(0);
    latch.goOn.resolve();
    await slow;
  });

  it('onServed that fails is logged, and the request is answered as it is', async () => {
    const { client, errors } = await application({
      onServed: () => {
        throw new Error('a mistake in onServed');
      },
    });
    const visitor = client();
    const login = await visitor.post('login');
    expect(login.status).toBe(201);
    expect(login.set).toBeDefined();
    expect(errors.join()).toContain('a mistake in onServed');
    expect((await visitor.get('me')).body).toMatchObject({ isNew: false });
  });

  it('of two cookies of one name the one that counts is found', async () => {
    const { client } = await application();
    const [visitor, stale] = [client(), client()];
    await visitor.post('items', { item: 'tea' });
    await stale.post('items', { item: 'old' });
    const { id } = (await stale.get('me')).body as { id: string };
    const forged = `locked-session=${encodeURIComponent(`s:${id}.forged`)}`;
    const good = visitor.cookie!;
    visitor.cookie = `${forged}; ${good}`;
    expect(await items(visitor)).toEqual(['tea']);
    // A well-signed cookie of a session that the store does not know.
    const other = await start();
    const unknown = other.client();
    await unknown.post('items', { item: 'elsewhere' });
    visitor.cookie = `${unknown.cookie}; ${good}`;
    expect(await items(visitor)).toEqual(['tea']);
  });
});
