/** Unexpected uses of the handle and of drafts: no change is lost without an error. */
import { inspect } from 'node:util';
import { Controller, Injectable, Param, Post, Res, UsePipes, type PipeTransform } from '@nestjs/common';
import { expect, it } from 'vitest';
import { CurrentSession, LockedSession, SessionAttribute } from '#locked-session';
import { cart, empty, onEachPlatform, type Loose } from './application.js';

interface Cart {
  items: string[];
}

/** Copies its value, like pipes that trim texts or make class instances. */
@Injectable()
class CopyingPipe implements PipeTransform {
  transform(value: unknown) {
    return Array.isArray((value as Cart | undefined)?.items) ? structuredClone(value) : value;
  }
}

/** Drafts that are abandoned and then changed. */
const givenUp: Record<string, (session: Loose, draft: Cart) => void> = {
  set: (session) => session.set('cart', { items: ['set'] }),
  'set to a part of it': (session, draft) => session.set('cart', { items: draft.items }),
  delete: (session) => session.delete('cart'),
  clear: (session) => (session as Loose & { clear(): void }).clear(),
};

const gifts: Record<string, (session: Loose) => unknown> = {
  itself: (session) => session,
  within: (session) => ({ some: [{ session }] }),
};

@Controller('handles')
class HandlesController {
  @Post('given-up/:how')
  @LockedSession()
  change(
    @CurrentSession() session: Loose,
    @SessionAttribute(cart, empty) draft: Cart,
    @Param('how') how: string,
  ) {
    givenUp[how]!(session, draft);
    draft.items.push('late');
  }

  /** Like libraries in which a session is assigned to. */
  @Post('assigned')
  @LockedSession()
  assign(@CurrentSession() session: Loose, @SessionAttribute(cart, empty) draft: Cart) {
    draft.items.push('before');
    session.set('cart', draft);
    draft.items.push('after');
  }

  @Post('piped')
  @LockedSession(cart)
  @UsePipes(CopyingPipe)
  piped(@SessionAttribute(cart, empty) draft: Cart) {
    draft.items.push('to a copy');
  }

  @Post('read-by-pipe')
  @LockedSession({ read: ['cart'] })
  @UsePipes(CopyingPipe)
  read(@SessionAttribute(cart, empty) its: Cart) {
    return its.items;
  }

  @Post('returned/:how')
  @LockedSession()
  give(@CurrentSession() session: Loose, @Param('how') how: string) {
    session.set('cart', { items: ['changed'] });
    return gifts[how]!(session);
  }

  @Post('sent')
  @LockedSession()
  send(@CurrentSession() session: Loose, @Res() response: { send(body: unknown): void }) {
    session.set('cart', { items: ['changed'] });
    response.send(session);
  }

  @Post('kept')
  @LockedSession()
  keep(@CurrentSession() session: Loose) {
    session.set('cart', { items: [session] });
  }

  @Post('logged')
  @LockedSession()
  log(@CurrentSession() session: Loose) {
    return { logged: inspect(session, { depth: 10 }) };
  }
}

/** Each warning comes once in a process, and both platforms run in one. */
const told: string[] = [];

onEachPlatform((start) => {
  const application = () => start({ controllers: [HandlesController] });

  it.each(Object.keys(givenUp))('a draft that was given up by %s refuses later changes', async (how) => {
    const { client, errors } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    expect((await visitor.post(`handles/given-up/${how}`)).status).toBe(500);
    expect(errors).toEqual([expect.stringMatching(/TypeError: Cannot add property/)]);
    expect((await visitor.get('items')).body).toEqual(['tea']);
  });

  it('a draft that is set as its own attribute stays the draft', async () => {
    const { client } = await application();
    const visitor = client();
    expect((await visitor.post('handles/assigned')).status).toBe(201);
    expect((await visitor.get('items')).body).toEqual(['before', 'after']);
  });

  it('a pipe that gives a handler something else than its draft is warned of, once', async () => {
    const { client, warnings } = await application();
    const visitor = client();
    await visitor.post('items', { item: 'tea' });
    for (const path of ['piped', 'piped', 'read-by-pipe']) await visitor.post(`handles/${path}`);
    expect((await visitor.get('items')).body).toEqual(['tea']);
    told.push(...warnings);
    expect(told).toEqual([
      expect.stringMatching(/HandlesController\.piped: a pipe gave .* 'cart' something else/),
    ]);
  });

  it.each(['returned/itself', 'returned/within', 'kept'])(
    'a handle that is %s: the handler fails and has changed nothing, and the log says what to give',
    async (how) => {
      const { client, errors } = await application();
      const visitor = client();
      await visitor.post('items', { item: 'tea' });
      expect(await visitor.post(`handles/${how}`)).toMatchObject({
        status: 500,
        body: { message: 'Internal server error' },
      });
      expect(errors).toEqual([expect.stringMatching(/session's handle.*session\.get\('cart'\)/)]);
      expect((await visitor.get('items')).body).toEqual(['tea']);
    },
  );

  it('a handle that is sent is answered by 500, and the log says what to give', async () => {
    const { client, errors } = await application();
    expect(await client().post('handles/sent')).toMatchObject({
      status: 500,
      body: { message: 'Internal server error' },
    });
    expect(errors).toEqual([expect.stringMatching(/session's handle.*session\.get\('cart'\)/)]);
  });

  it('a handle in a log line shows whose it is, and nothing else', async () => {
    const { client } = await application();
    expect((await client().post('handles/logged')).body).toEqual({
      logged: '[session handle of HandlesController.log]',
    });
  });
});
