/** Several applications in one process, at once and one after the other, and fake timers of a test. */
import { once } from 'node:events';
import { symlink, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { Controller, Module, Post, Res, type DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { expect, it, onTestFinished, vi } from 'vitest';
import { EmbeddedLockedSessionModule, type EmbeddedOptions } from '#embedded';
import { LockedSession, LockedSessions, SessionAttribute } from '#locked-session';
import { cart, Client, empty, secrets, Signal, temporaryDirectory } from './application.js';

@Controller()
class CartController {
  @Post('items')
  @LockedSession(cart)
  add(@SessionAttribute(cart, empty) its: { items: string[] }) {
    return its.items.push('one');
  }

  @Post('sent')
  @LockedSession(cart)
  async send(
    @SessionAttribute(cart, empty) its: { items: string[] },
    @Res() response: { json(body: unknown): void } & Readable,
  ) {
    response.json(its.items.push('one'));
    await once(response, 'finish');
  }
}

const embedded = (options: Partial<EmbeddedOptions> = {}) =>
  EmbeddedLockedSessionModule.forRoot({ cookie: { secrets }, closeMs: 300, ...options });

function applicationOf(imports: DynamicModule[]) {
  @Module({ imports, controllers: [CartController] })
  class App {}
  return App;
}

async function start(App: object, warned: () => void = () => {}) {
  const warnings: string[] = [];
  const silent = () => {};
  const warn = (line: unknown) => {
    warnings.push(String(line));
    warned();
  };
  const logger = { log: silent, error: silent, warn };
  const app = await NestFactory.create(App as never, { logger, abortOnError: false });
  onTestFinished(() => app.close());
  await app.listen(0, '127.0.0.1');
  return { app, warnings, visitor: new Client((await app.getUrl()) + '/') };
}

it('applications of one module are started at once, and the end of one ends no session of another', async () => {
  const App = applicationOf([embedded()]);
  const first = await start(App);
  const second = await start(App);
  expect((await first.visitor.post('items')).body).toBe(1);
  expect((await second.visitor.post('items')).body).toBe(1);
  await first.app.close();
  expect((await second.visitor.post('items')).body).toBe(2);
});

it('an application waits for the directory of one that is being closed, though nobody awaits that', async () => {
  const App = applicationOf([embedded({ directory: await temporaryDirectory(), closeMs: 20_000 })]);
  const first = await start(App);
  expect((await first.visitor.post('items')).body).toBe(1);
  const [inside, goOn] = [new Signal(), new Signal()];
  const staying = first.app.get(LockedSessions).run('stays', {}, () => (inside.resolve(), goOn.promise));
  await inside.promise;
  void first.app.close(); // the close waits for the scope
  const second = await start(App, goOn.resolve);
  await staying;
  second.visitor.cookie = first.visitor.cookie;
  expect((await second.visitor.post('items')).body).toBe(2);
  expect(second.warnings).toEqual([
    expect.stringMatching(/standing by: another application of this process/),
  ]);
});

it('two modules of an application with one directory, by whatever name, stop the start', async () => {
  const directory = await temporaryDirectory();
  await symlink(directory, directory + '-link');
  onTestFinished(() => unlink(directory + '-link'));
  const other = { instance: 'other', cookie: { secrets, name: 'other' } };
  for (const [one, two] of [
    [directory, directory + '-link'],
    [join(directory, 'new'), join(directory + '-link', 'new')],
  ]) {
    const App = applicationOf([embedded({ directory: one }), embedded({ directory: two, ...other })]);
    await expect(start(App)).rejects.toMatchObject({
      code: 'settings',
      message: expect.stringMatching(/two modules of this application have the directory/) as string,
    });
  }
});

it('sessions are granted while the timers of a test stand still', async () => {
  const { visitor } = await start(applicationOf([embedded()]));
  // From Node 22 on, fetch itself uses no connection twice while timers are fake.
  const headers = { connection: 'close' };
  const post = async (path: string) => (await visitor.post(path, {}, { headers })).body;
  expect(await post('items')).toBe(1);
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  expect(await post('items')).toBe(2);
  expect(await post('sent')).toBe(3);
});
