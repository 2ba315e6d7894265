/** docs/RECIPES.md: this suite runs its code, and checks its promises. */
import { readFileSync } from 'node:fs';
import { Controller, Get, UseFilters, UseGuards } from '@nestjs/common';
import { describe, expect, it } from 'vitest';
import { CurrentSession, LockedSession } from '#locked-session';
import { onEachPlatform, Signal, type Loose, type Start } from './application.js';
import { AccountController, LockedSessionErrors, LoggedInGuard, VisitController } from './recipes.js';

const fileOf = (path: string) => readFileSync(new URL(path, import.meta.url), 'utf8');

describe('docs/RECIPES.md', () => {
  const code = fileOf('recipes.ts');
  it.each(['guard', 'account', 'filter', 'begin'])('has the code of the recipe %s word for word', (name) => {
    const [, region] = code.split(`// #region ${name}\n`);
    const [body] = region!.split('// #endregion');
    const doc = fileOf('../../docs/RECIPES.md');
    expect(doc).toContain(`<!-- recipe: ${name} -->\n\n\`\`\`ts\n${body}\`\`\`\n`);
  });
});

@Controller('users')
class UsersController {
  @Get('ada')
  @LockedSession()
  ada(@CurrentSession() session: Loose) {
    session.set('user', { name: 'Ada' });
    session.regenerate();
  }

  @Get('guarded')
  @UseGuards(LoggedInGuard)
  @UseFilters(LockedSessionErrors)
  guarded() {
    return 'guarded';
  }
}

onEachPlatform((start: Start) => {
  const application = (more: Parameters<Start>[0] = {}) =>
    start({ controllers: [AccountController, VisitController, UsersController], ...more });

  it('a guard lets in who has logged in, and nobody without a session, with a forged cookie or after the logout', async () => {
    const { client, sessions, errors } = await application();
    const [visitor, thief] = [client(), client()];
    expect((await visitor.get('account')).status).toBe(403);
    await visitor.post('visit');
    expect((await visitor.get('account')).status).toBe(403);
    const planted = visitor.cookie!;
    await visitor.get('users/ada');
    expect((await visitor.get('account')).body).toEqual({ name: 'Ada' });
    thief.cookie = planted; // the session that the login has ended
    expect((await thief.get('account')).status).toBe(403);
    thief.cookie = visitor.cookie!.replace(/.{4}$/, 'AAAA');
    expect((await thief.get('account')).status).toBe(403);
    const before = sessions.counters();
    expect((await visitor.get('account')).status).toBe(200);
    expect(sessions.counters().grants).toBe(before.grants); // held: no message for the guard
    await visitor.post('logout');
    expect((await visitor.get('account')).status).toBe(403);
    expect(errors).toEqual([]);
  });

  it('a guard finds the session by the resolver, too', async () => {
    const { client } = await application({ resolve: () => 'user:1' });
    expect((await client().get('users/guarded')).status).toBe(403);
  });

  it('a request that begins the session alone: the parallel ones behind it share it', async () => {
    const { client } = await application();
    const visitor = client();
    const { set } = await visitor.post('visit');
    expect(set).toBeDefined();
    const items = ['tea', 'milk', 'bread'];
    const answers = await Promise.all(items.map((item) => visitor.post('items', { item })));
    expect(answers.map((answer) => answer.set)).toEqual([undefined, undefined, undefined]);
    expect(((await visitor.get('items')).body as string[]).sort()).toEqual(items.sort());
  });

  it('an error of run() in a guard is answered by the filter, with a text without ids', async () => {
    const { client, sessions } = await application({ resolve: () => 'user:1', waitMs: 20 });
    const [inside, goOn] = [new Signal(), new Signal()];
    const holding = sessions.run('user:1', { write: ['user'], waitMs: 20_000 }, () => {
      inside.resolve();
      return goOn.promise;
    });
    await inside.promise;
    const answer = await client().get('users/guarded');
    expect(answer).toMatchObject({ status: 503, body: { statusCode: 503, code: 'wait-timeout' } });
    expect(JSON.stringify(answer.body)).not.toContain('user:1');
    goOn.resolve();
    await holding;
  });
});
