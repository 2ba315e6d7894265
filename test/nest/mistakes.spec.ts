/** Mistakes of an application, and too much of a good thing: what the client is answered, what the log names, and that nothing is changed. */
import { Controller, Inject, Param, Post } from '@nestjs/common';
import { expect, it } from 'vitest';
import { CurrentSession, LockedSession, LockedSessions } from '#locked-session';
import { cart, onEachPlatform, type Loose } from './application.js';

/** What handlers kept though their scope was over. */
const kept: Loose[] = [];
const keptDrafts: { items: unknown[] }[] = [];

@Controller()
class MistakesController {
  constructor(@Inject(LockedSessions) private readonly sessions: LockedSessions) {}

  /** Makes the mistake after a change that is none. */
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
    ['whole/proto', 500, /"__proto__" cannot name an attribute/],
    ['whole/constructor', 500, /"constructor" cannot name an attribute/],
    ['whole/nameless', 500, /"" cannot name an attribute/],
    ['whole/set-proto', 500, /"__proto__" cannot name an attribute/],
    ['whole/set-nameless', 500, /"" cannot name an attribute/],
    ['cart/other', 500, /'order' is locked not at all by MistakesController\.one/],
    ['cart/destroy', 500, /must have all of it/],
    ['reading/write', 500, /'cart' is locked only for reading by MistakesController\.reading/],
    ['reading/upgrade', 500, /'cart'.* is locked for reading, .* in MistakesController\.reading/],
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

  it.each([
    ['whole/large', 413, 'too-large', /'order' would take \d+ bytes.* 1000 \(attributeBytes\)/],
    ['whole/many', 413, 'too-large', /would have 5 attributes.* 3 \(attributes\)/],
    ['whole/id', 400, 'session-id', /not "no id"/],
  ])('%s: the client is answered %i and told %s', async (mistake, status, code, message) => {
    const { client, errors } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    expect(await visitor.post(mistake)).toMatchObject({
      status,
      body: { statusCode: status, code, message: expect.stringMatching(message) as unknown },
    });
    expect(errors).toEqual([]);
    expect((await visitor.get('items')).body).toEqual(['tea']);
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
