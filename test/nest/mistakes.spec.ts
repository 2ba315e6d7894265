/** Mistakes of an application, and exceeded limits: the client's answer, the log line, and no change. */
import { Controller, Get, Inject, Param, Post } from '@nestjs/common';
import { expect, it } from 'vitest';
import {
  clientTexts,
  CurrentSession,
  LockedSession,
  LockedSessions,
  type LockedSessionErrorCode,
} from '#locked-session';
import { cart, onEachPlatform, type Loose } from './application.js';

/** What handlers kept after their scope. */
const kept: Loose[] = [];
const keptDrafts: { items: unknown[] }[] = [];

@Controller()
class MistakesController {
  constructor(@Inject(LockedSessions) private readonly sessions: LockedSessions) {}

  /** Makes the mistake after a draft without a change. */
  @Post('whole/:mistake')
  @LockedSession()
  whole(@CurrentSession() session: Loose, @Param('mistake') mistake: string) {
    session.set('cart', { items: ['changed'] });
    return this.make(mistake, session);
  }

  @Post('cart/:mistake')
  @LockedSession(cart)
  one(@CurrentSession() session: Loose, @Param('mistake') mistake: string) {
    session.set('cart', { items: ['changed'] });
    return this.make(mistake, session);
  }

  @Post('reading/:mistake')
  @LockedSession({ read: ['cart'] })
  reading(@CurrentSession() session: Loose, @Param('mistake') mistake: string) {
    return this.make(mistake, session);
  }

  @Post('keep')
  @LockedSession()
  keep(@CurrentSession() session: Loose) {
    kept.push(session);
    keptDrafts.push(session.draft('cart', () => ({ items: [] })) as { items: unknown[] });
  }

  @Get('me-at-once')
  @LockedSession({ read: [] })
  meAtOnce(@CurrentSession() session: Loose) {
    return { id: session.id };
  }

  private async make(mistake: string, session: Loose): Promise<void> {
    const run = (write: string[]) => this.sessions.run(session.id, { write }, () => {});
    switch (mistake) {
      case 'date':
        return session.set('order', { placed: [{ at: new Date() }] });
      case 'large':
        return session.set('order', 'x'.repeat(2_000));
      case 'many':
        for (let i = 0; i < 4; i++) session.set(`attribute ${i}`, i);
        return;
      case 'write':
        return session.set('cart', { items: ['written'] });
      case 'other':
        return session.set('order', 1);
      case 'destroy':
        return session.destroy();
      case 'upgrade':
        return run(['cart']);
      case 'proto':
        return run(['__proto__']);
      case 'constructor':
        return run(['constructor']);
      case 'nameless':
        return run(['']);
      case 'set-proto':
        return session.set('__proto__', 1);
      case 'set-nameless':
        return session.set('', 1);
      case 'id':
        return this.sessions.run('no id', {}, () => {});
      case 'wait':
        return this.sessions.run('x', { waitMs: Number(process.env['UNSET']) }, () => {});
      case 'options':
        return this.sessions.run('x', undefined as never, () => {});
      case 'bigint':
        return this.sessions.run(5n as never, {}, () => {});
      case 'throw':
        throw new Error('the handler has thrown');
      default:
        throw new Error(`there is no mistake ${mistake}`);
    }
  }
}

onEachPlatform((start) => {
  const application = () =>
    start({ controllers: [MistakesController], attributeBytes: 1_000, attributes: 3 });

  it.each([
    ['whole/date', 500, /'order': placed\[0\]\.at is a Date/],
    ['whole/throw', 500, /the handler has thrown/],
    ['whole/wait', 500, /'waitMs' is NaN, and must be a number/],
    ['whole/options', 500, /the options are undefined/],
    ['whole/proto', 500, /"__proto__" cannot name an attribute/],
    ['whole/constructor', 500, /"constructor" cannot name an attribute/],
    ['whole/nameless', 500, /"" cannot name an attribute/],
    ['whole/set-proto', 500, /"__proto__" cannot name an attribute/],
    ['whole/set-nameless', 500, /"" cannot name an attribute/],
    ['cart/other', 500, /MistakesController\.one has not locked 'order'/],
    ['cart/destroy', 500, /needs a lock on the whole session/],
    ['reading/write', 500, /MistakesController\.reading has locked 'cart' only for reading/],
    ['reading/upgrade', 500, /'cart'.* MistakesController\.reading has locked it for reading/],
  ])('%s: the client is answered %i without details, the log names it', async (mistake, status, named) => {
    const { client, errors } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    expect(await visitor.post(mistake)).toMatchObject({
      status,
      body: { statusCode: status, message: 'Internal server error' },
    });
    expect(errors).toEqual([expect.stringMatching(named)]);
    expect((await visitor.get('items')).body).toEqual(['tea']);
  });

  it.each<[string, number, LockedSessionErrorCode, RegExp]>([
    ['whole/large', 413, 'too-large', /'order' would take \d+ bytes.* 1000 \(attributeBytes\)/],
    ['whole/many', 413, 'too-large', /would have 5 attributes.* 3 \(attributes\)/],
    ['whole/id', 400, 'session-id', /not "no id"/],
    ['whole/bigint', 400, 'session-id', /not 5n/],
  ])(
    '%s: the client is answered %i and told %s, the log has the rest',
    async (mistake, status, code, message) => {
      const { client, errors, warnings } = await application();
      const visitor = client();
      await visitor.post('items', { item: 'tea' });
      expect(await visitor.post(mistake)).toMatchObject({
        status,
        body: { statusCode: status, code, message: clientTexts[code] },
      });
      expect(warnings).toEqual([expect.stringMatching(message)]);
      expect(errors).toEqual([]);
      expect((await visitor.get('items')).body).toEqual(['tea']);
    },
  );

  it('a lock that is waited for with a time that is no number is refused, and nothing else is disturbed', async () => {
    const { client, sessions, latch } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    const slow = visitor.post('slow');
    await latch.entered.promise;
    const { id } = (await visitor.get('me-at-once')).body as { id: string };
    await expect(sessions.run(id, { waitMs: NaN }, () => {})).rejects.toMatchObject({ code: 'settings' });
    latch.goOn.resolve();
    expect((await slow).status).toBe(201);
    expect((await visitor.get('items')).body).toEqual(['tea', 'slow']);
  });

  it('an id of the application that is no text is told, in few words', async () => {
    const { client, warnings } = await start({ resolve: () => 7 as never });
    expect(await client().get('items')).toMatchObject({ status: 400, body: { code: 'session-id' } });
    expect(warnings).toEqual([expect.stringContaining('not 7')]);
  });

  it.each<[string, (session: Loose) => unknown]>([
    ['get', (session) => session.get('cart')],
    ['draft', (session) => session.draft('cart', () => ({ items: [] }))],
    ['set', (session) => session.set('cart', { items: ['late'] })],
    ['delete', (session) => session.delete('cart')],
    ['names', (session) => session.names()],
    ['destroy', (session) => session.destroy()],
    ['regenerate', (session) => session.regenerate()],
    ['commit', (session) => session.commit()],
  ])('%s is refused by a handle that was kept after its handler', async (_call, use) => {
    const { client } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    await visitor.post('keep');
    const session = kept.pop()!;
    await expect((async () => use(session))()).rejects.toMatchObject({ code: 'scope-ended' });
    expect((await visitor.get('items')).body).toEqual(['tea']);
  });

  it('a draft that was kept after its handler refuses every change, at any depth', async () => {
    const { client } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    await visitor.post('keep');
    const draft = keptDrafts.pop()!;
    expect(() => draft.items.push('late')).toThrow(TypeError);
    expect(() => (draft.items = [])).toThrow(TypeError);
    expect((await visitor.get('items')).body).toEqual(['tea']);
  });
});
