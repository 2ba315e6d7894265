/** The declarations of handlers and their effects: locks, drafts, errors as answers. */
import { expect, it } from 'vitest';
import type { EmbeddedOptions } from '#embedded';
import { onEachPlatform } from './application.js';

onEachPlatform((start) => {
  it('keeps what a handler changes, for the visitor that the cookie names', async () => {
    const { client } = await start();
    const [one, other] = [client(), client()];
    const first = await one.post('items', { item: 'tea' });
    expect(first).toMatchObject({ status: 201, body: 1 });
    expect(first.set).toMatch(/^locked-session=[\w%.+-]+; Path=\/; HttpOnly; SameSite=Lax$/i);
    expect((await one.post('items', { item: 'milk' })).set).toBeUndefined();
    expect((await one.get('items')).body).toEqual(['tea', 'milk']);
    expect((await other.get('items')).body).toEqual([]);
  });

  it('loses none of 50 parallel additions', async () => {
    const { client, sessions } = await start();
    const visitor = client();
    await visitor.post('items', { item: '0' });
    await Promise.all(Array.from({ length: 49 }, (_, i) => visitor.post('items', { item: String(i + 1) })));
    const { body } = await visitor.get('items');
    expect((body as string[]).map(Number).sort((a, b) => a - b)).toEqual(
      Array.from({ length: 50 }, (_, i) => i),
    );
    expect(sessions.counters()).toMatchObject({ grants: 1, recalls: 0 });
  });

  it('changes nothing when the handler throws, and answers its error', async () => {
    const { client } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    expect(await visitor.post('items')).toMatchObject({ status: 400, body: { message: 'no item' } });
    expect((await visitor.get('items')).body).toEqual(['tea']);
  });

  it('locks more on the way by @LockedAttributes, and only inside a scope', async () => {
    const { client } = await start();
    const visitor = client();
    expect((await visitor.post('discount')).body).toEqual({ granted: 1 });
    expect((await visitor.post('discount')).body).toEqual({ granted: 2 });
    expect((await visitor.get('outside')).status).toBe(500);
  });

  it('answers 503 with Retry-After and the code when a wait is over, though the handler inside never ends', async () => {
    const { client, latch } = await start();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const slow = visitor.post('slow');
    await latch.entered.promise;
    const quick = await visitor.get('quick');
    expect(quick).toMatchObject({ status: 503, body: { statusCode: 503, code: 'wait-timeout' } });
    expect(quick.headers.get('retry-after')).toBe('1');
    latch.goOn.resolve();
    expect((await slow).status).toBe(201);
    expect((await visitor.get('quick')).body).toBe('quick');
  });

  it('finds the session by the resolver that the application gives', async () => {
    const resolve: NonNullable<EmbeddedOptions['resolve']> = (context) =>
      `user:${context.switchToHttp().getRequest<{ query: { user: string } }>().query.user}`;
    const { client } = await start({ resolve });
    expect(await client().post('items?user=1', { item: 'tea' })).toMatchObject({
      status: 201,
      set: undefined,
    });
    expect((await client().get('items?user=1')).body).toEqual(['tea']);
    expect((await client().get('items?user=2')).body).toEqual([]);
    expect(await client().get('items?user=%20')).toMatchObject({ status: 400, body: { code: 'session-id' } });
  });
});
