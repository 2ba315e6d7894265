/** Handlers that return Observables and streams. Their locks end with the response at the latest. */
import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { PassThrough, Readable } from 'node:stream';
import { Controller, Get, Inject, Injectable, Post, StreamableFile } from '@nestjs/common';
import { concat, EMPTY, finalize, NEVER, Observable, of } from 'rxjs';
import { expect, it } from 'vitest';
import { CurrentSession, LockedSession, SessionAttribute } from '#locked-session';
import { cart, empty, Latch, onEachPlatform, type Loose } from './application.js';

/** The tests watch these from outside. */
@Injectable()
class Watch {
  stream = new PassThrough();
  tornDown = 0;
}

@Controller('streams')
class StreamsController {
  constructor(
    @Inject(Latch) private readonly latch: Latch,
    @Inject(Watch) private readonly watch: Watch,
  ) {}

  @Post('never')
  @LockedSession(cart)
  never(@SessionAttribute(cart, empty) its: { items: string[] }): Observable<never> {
    its.items.push('never');
    return this.watched(NEVER);
  }

  @Post('never-in-a-promise')
  @LockedSession(cart)
  async neverInAPromise(
    @SessionAttribute(cart, empty) its: { items: string[] },
  ): Promise<Observable<number>> {
    its.items.push('never');
    return this.watched(concat(of(1), NEVER));
  }

  @Post('one')
  @LockedSession(cart)
  one(@SessionAttribute(cart, empty) its: { items: string[] }): Observable<number> {
    return of(its.items.push('one'));
  }

  @Post('none')
  @LockedSession(cart)
  none(@SessionAttribute(cart, empty) its: { items: string[] }): Observable<never> {
    its.items.push('none');
    return EMPTY;
  }

  @Post('file')
  @LockedSession(cart)
  file(@SessionAttribute(cart, empty) its: { items: string[] }): StreamableFile {
    its.items.push('file');
    this.latch.entered.resolve();
    return new StreamableFile(this.watch.stream);
  }

  @Get('generated')
  @LockedSession({ read: ['cart'] })
  generated(@CurrentSession() session: Loose): StreamableFile {
    async function* lines() {
      for (const line of ['one,', 'two,']) yield await Promise.resolve(line);
      yield (session.get('cart') as { items: string[] }).items.join();
    }
    return new StreamableFile(Readable.from(lines(), { objectMode: false }));
  }

  private watched<T>(events: Observable<T>): Observable<T> {
    this.latch.entered.resolve();
    return events.pipe(finalize(() => this.watch.tornDown++));
  }
}

onEachPlatform((start) => {
  async function application(options: Parameters<typeof start>[0] = {}) {
    const watch = new Watch();
    const started = await start({
      controllers: [StreamsController],
      providers: [{ provide: Watch, useValue: watch }],
      ...options,
    });
    const visitor = started.client();
    await visitor.post('items', { item: 'tea' });
    const url = (await started.app.getUrl()) + '/';
    /** A request on a socket of its own, which the test can destroy. */
    const open = (method: string, path: string) => {
      const request = httpRequest(url + path, { method, agent: false, headers: { cookie: visitor.cookie! } });
      request.on('error', () => {});
      request.end();
      return request;
    };
    return { ...started, watch, visitor, open };
  }

  it.each(['never', 'never-in-a-promise'])(
    'an Observable without an end gives its lock back when its client hangs up, and nothing has changed: %s',
    async (route) => {
      const { visitor, open, latch, watch } = await application();
      const request = open('POST', `streams/${route}`);
      await latch.entered.promise;
      expect(await visitor.get('quick')).toMatchObject({ status: 503 });
      request.destroy();
      expect((await visitor.get('items')).body).toEqual(['tea']);
      expect(watch.tornDown).toBe(1);
    },
  );

  it.each([
    ['one', 2],
    ['none', ''],
  ])('an Observable that ends is answered when it has ended: %s', async (route, body) => {
    const { visitor } = await application();
    expect(await visitor.post(`streams/${route}`)).toMatchObject({ status: 201, body });
    expect((await visitor.get('items')).body).toEqual(['tea', route]);
  });

  it('a stream keeps its lock until it is sent; what was changed is durable before, and the cookie goes with it', async () => {
    const { client, watch, latch, sessions } = await application();
    const visitor = client();
    const file = visitor.post('streams/file');
    await latch.entered.promise;
    watch.stream.write('begun ');
    await expect.poll(() => sessions.counters().held).toBe(2);
    watch.stream.end('and done');
    expect(await file).toMatchObject({ status: 201, body: 'begun and done' });
    expect(visitor.cookie).toBeDefined();
    expect((await visitor.get('items')).body).toEqual(['file']);
  });

  it('a stream whose client hangs up gives its lock back, and what was changed before stays', async () => {
    const { visitor, open, watch } = await application();
    const request = open('POST', 'streams/file');
    watch.stream.write('begun');
    await once(request, 'response');
    expect(await visitor.get('quick')).toMatchObject({ status: 503 });
    request.destroy();
    expect((await visitor.get('items')).body).toEqual(['tea', 'file']);
    expect(watch.stream.destroyed).toBe(true);
  });

  it('a stream keeps its lock for streamMs at most, and is sent on', async () => {
    const { visitor, open, watch } = await application({ streamMs: 100 });
    const request = open('POST', 'streams/file');
    watch.stream.write('begun');
    const [response] = (await once(request, 'response')) as [Readable];
    expect((await visitor.get('items')).body).toEqual(['tea', 'file']);
    watch.stream.end(' and done');
    expect(Buffer.concat(await response.toArray()).toString()).toBe('begun and done');
  });

  it('a stream may read the session while it is sent', async () => {
    const { visitor } = await application();
    expect((await visitor.get('streams/generated')).body).toBe('one,two,tea');
  });
});
