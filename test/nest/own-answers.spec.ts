/** Handlers that answer by themselves, with `@Res()`: no answer leaves before the changes are durable. */
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { BadRequestException, Controller, Inject, Param, Post, Res, UseGuards } from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { expect, it } from 'vitest';
import { clientTexts, CurrentSession, LockedSession } from '#locked-session';
import { Latch, onEachPlatform, type Answer, type Loose } from './application.js';

/** What Express's response and Fastify's reply have in common. */
interface Reply {
  readonly raw?: ServerResponse;
  hijack?(): void;
  status(code: number): Reply;
  send(body: unknown): Reply;
  redirect(url: string): void;
}

const rawOf = (reply: Reply) => reply.raw ?? (reply as unknown as ServerResponse);
const chunks = Array.from({ length: 64 }, (_, i) => 'abcdefgh'[i % 8]!.repeat(16_384));
const megabyte = () => Readable.from(chunks);

/** Ways to answer. */
const ways: Record<string, (reply: Reply) => unknown> = {
  send: (reply) => void reply.status(200).send({ sent: true }),
  redirect: (reply) => reply.status(302).redirect('/elsewhere'),
  'return what send returns': (reply) => reply.status(200).send({ sent: true }),
  'end of the raw response': (reply) => void rawOf(reply).writeHead(200, { 'x-way': 'raw' }).end('raw'),
  'a hijacked reply': (reply) => (reply.hijack?.(), void rawOf(reply).end('raw')),
  'several writes': (reply) => {
    const raw = rawOf(reply);
    raw.setHeader('Set-Cookie', 'theme=dark');
    raw.write('one');
    raw.write('two');
    raw.end('three');
  },
  'cookies in the head': (reply) => void rawOf(reply).writeHead(200, ['Set-Cookie', 'theme=dark']).end(),
  'a pipe': (reply) => void megabyte().pipe(rawOf(reply)),
  'a pipe that is awaited': (reply) => pipeline(megabyte(), rawOf(reply)),
  'an end that is awaited': async (reply) => {
    reply.status(200).send({ sent: true });
    await once(rawOf(reply), 'finish');
  },
};

class FlushingGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    rawOf(context.switchToHttp().getResponse<Reply>()).flushHeaders();
    return true;
  }
}

@Controller('own')
class OwnController {
  constructor(@Inject(Latch) private readonly latch: Latch) {}

  @Post('login/:way')
  @LockedSession()
  login(@CurrentSession() session: Loose, @Param('way') way: string, @Res() reply: Reply) {
    session.set('user', 'Ada');
    session.regenerate();
    return ways[way]!(reply);
  }

  /** The change comes after the answer, before that has left. */
  @Post('add/:way')
  @LockedSession()
  add(@CurrentSession() session: Loose, @Param('way') way: string, @Res() reply: Reply) {
    const result = ways[way]!(reply);
    session.set('cart', { items: ['own'] });
    return result;
  }

  @Post('large/:way')
  @LockedSession()
  large(@CurrentSession() session: Loose, @Param('way') way: string, @Res() reply: Reply) {
    session.set('order', 'x'.repeat(2_000));
    return ways[way]!(reply);
  }

  @Post('failure/:way')
  @LockedSession()
  async failure(@CurrentSession() session: Loose, @Param('way') way: string, @Res() reply: Reply) {
    session.set('cart', { items: ['failure'] });
    void ways[way]!(reply);
    throw new BadRequestException('after its answer');
  }

  @Post('late/:how')
  @LockedSession()
  async late(@CurrentSession() session: Loose, @Param('how') how: string, @Res() reply: Reply) {
    const draft = session.draft('cart', () => ({ items: [] })) as { items: string[] };
    const raw = rawOf(reply);
    if (how === 'flushHeaders') raw.flushHeaders();
    else if (how === 'write') raw.write('begun');
    else raw.end('done');
    const left = () => Object.getOwnPropertyDescriptor(raw, 'headersSent') === undefined && raw.headersSent;
    while (!left()) await nextTurn();
    if (how === 'draft') draft.items.push('late');
    else session.set('cart', { items: ['late'] });
  }

  @Post('goes-on')
  @LockedSession()
  async goesOn(@CurrentSession() session: Loose, @Res() reply: Reply) {
    session.set('cart', { items: ['kept'] });
    reply.status(200).send('done');
    await this.latch.pass();
    return session.get('cart');
  }

  @Post('flushed')
  @UseGuards(FlushingGuard)
  @LockedSession()
  flushed(@CurrentSession() session: Loose) {
    session.set('cart', { items: ['flushed'] });
  }

  @Post('passthrough')
  @LockedSession()
  passthrough(@CurrentSession() session: Loose, @Res({ passthrough: true }) reply: Reply) {
    session.set('cart', { items: ['passthrough'] });
    rawOf(reply).setHeader('x-way', 'passthrough');
    return { passed: true };
  }

  @Post('silence')
  @LockedSession('cart')
  silence(@Res() _reply: Reply) {
    this.latch.entered.resolve();
  }
}

/** These keep the status that Nest has set before. */
const reliesOnNest = ['a hijacked reply', 'several writes', 'a pipe', 'a pipe that is awaited'];

/** Checks that the whole answer has arrived. */
function expectWhole(way: string, { body, headers, sets, status }: Answer) {
  const theme = way === 'several writes' || way === 'cookies in the head';
  expect(sets.some((set) => set.startsWith('theme=dark'))).toBe(theme);
  expect(status).toBe(way === 'redirect' ? 302 : reliesOnNest.includes(way) ? 201 : 200);
  expect(headers.get('location')).toBe(way === 'redirect' ? '/elsewhere' : null);
  const wholeOf: Record<string, unknown> = { 'several writes': 'onetwothree' };
  for (const pipe of ['a pipe', 'a pipe that is awaited']) wholeOf[pipe] = chunks.join('');
  expect(body === (wholeOf[way] ?? body)).toBe(true);
}

onEachPlatform((start) => {
  const application = () => start({ controllers: [OwnController], attributeBytes: 1_000 });
  const url = (prefix: string, way: string) => `own/${prefix}/${encodeURIComponent(way)}`;
  const session = (answer: Answer) => answer.sets.filter((set) => set.startsWith('locked-session='));

  it.each(Object.keys(ways))('a login that answers by itself tells the new cookie: %s', async (way) => {
    const { client, errors } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const old = visitor.cookie;
    const login = await visitor.post(url('login', way));
    expectWhole(way, login);
    expect(session(login)).toHaveLength(1);
    visitor.cookie = session(login)[0]!.split(';')[0];
    expect(visitor.cookie).not.toBe(old);
    expect(await visitor.get('me')).toMatchObject({ body: { isNew: false } });
    expect((await visitor.get('items')).body).toEqual(['tea']);
    expect(errors).toEqual([]);
  });

  it.each(Object.keys(ways))('rule 16: a new visitor is told the cookie: %s', async (way) => {
    const { client, errors } = await application();
    const visitor = client();
    const first = await visitor.post(url('add', way));
    expectWhole(way, first);
    expect(session(first)).toHaveLength(1);
    visitor.cookie = session(first)[0]!.split(';')[0];
    expect((await visitor.get('items')).body).toEqual(['own']);
    expect(errors).toEqual([]);
  });

  it.each(Object.keys(ways))('a change that is refused is answered by its error: %s', async (way) => {
    const { client, errors } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const refused = await visitor.post(url('large', way));
    const body = { statusCode: 413, code: 'too-large', message: clientTexts['too-large'] };
    expect(refused).toMatchObject({ status: 413, body, sets: [] });
    expect(refused.headers.get('location')).toBeNull();
    expect(refused.headers.get('x-way')).toBeNull();
    expect((await visitor.get('items')).body).toEqual(['tea']);
    expect(errors).toEqual([]);
  });

  it.each(Object.keys(ways).filter((way) => !way.endsWith('awaited')))(
    'a handler that throws after its answer has changed nothing, and its client is told so: %s',
    async (way) => {
      const { client } = await application();
      const visitor = client();
      await visitor.post('items', { item: 'tea' });
      const failed = await visitor.post(url('failure', way));
      expect(failed).toMatchObject({ status: 400, body: { message: 'after its answer' }, sets: [] });
      expect((await visitor.get('items')).body).toEqual(['tea']);
    },
  );

  it.each(['flushHeaders', 'write', 'end', 'draft'])(
    'a change after the answer has left fails, by name: %s',
    async (how) => {
      const { client, errors } = await application();
      const visitor = client();
      await visitor.post('items', { item: 'tea' });
      await visitor.post(`own/late/${how}`);
      await expect
        .poll(() => errors)
        .toEqual([expect.stringContaining('OwnController.late changed the session')]);
      expect((await visitor.get('items')).body).toEqual(['tea']);
    },
  );

  it('a change after a guard has sent the head fails, by name', async () => {
    const { client, errors } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    await visitor.post('own/flushed');
    await expect.poll(() => errors).toEqual([expect.stringContaining('after its answer had left')]);
    expect((await visitor.get('items')).body).toEqual(['tea']);
  });

  it('a handler that goes on after its answer reads and keeps its lock, and its client does not wait', async () => {
    const { client, latch, errors } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    expect(await visitor.post('own/goes-on')).toMatchObject({ status: 200, body: 'done' });
    await latch.entered.promise;
    expect(await visitor.get('quick')).toMatchObject({ status: 503 });
    latch.goOn.resolve();
    expect((await visitor.get('items')).body).toEqual(['kept']);
    expect(errors).toEqual([]);
  });

  it('what is set on a response that the handler leaves to Nest goes with it', async () => {
    const { client } = await application();
    const visitor = client();
    const answer = await visitor.post('own/passthrough');
    expect(answer).toMatchObject({ status: 201, body: { passed: true } });
    expect(answer.headers.get('x-way')).toBe('passthrough');
    expect((await visitor.get('items')).body).toEqual(['passthrough']);
  });

  it('a handler that never answers keeps the lock until it returns, and not until its client gives up', async () => {
    const { client, latch } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const aborter = new AbortController();
    visitor.post('own/silence', {}, { signal: aborter.signal }).catch(() => {});
    await latch.entered.promise;
    expect((await visitor.post('items', { item: 'milk' })).body).toBe(2);
    aborter.abort();
  });
});
