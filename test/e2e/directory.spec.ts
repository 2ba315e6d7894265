/**
 * The owner of the data directory: real stores and app servers under load, when its LOCK is removed or all of
 * it is deleted.
 */
import { cp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { busyMs } from '../fault/figures.js';
import { Deployment, newSession, type AppServer, type Session } from './deployment.js';

const checkMs = 500;
const env = { STORE_DIRECTORY_CHECK_MS: `${checkMs}` };

async function deployed() {
  const deployment = await Deployment.create({ partitions: 2 });
  onTestFinished(() => deployment.stop());
  return { deployment, store: await deployment.store(env), directory: deployment.env().STORE_DIRECTORY! };
}

/** Clients that change sessions of their own and a shared one until `stop`. */
class Clients {
  readonly shared = newSession();
  readonly acknowledged: { session: Session; mark: string }[] = [];
  private isStopped = false;
  private readonly running: Promise<void>[];
  private readonly waiting: [count: number, go: () => void][] = [];

  constructor(servers: readonly AppServer[]) {
    this.running = [...servers, ...servers].map((server, client) => this.run(server, client));
  }

  until(count: number): Promise<void> {
    return new Promise((go) => void this.waiting.push([count, go]));
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.all(this.running);
  }

  private async run(server: AppServer, client: number): Promise<void> {
    const own = newSession();
    for (let n = 1; !this.isStopped; n += 1)
      for (const session of [own, this.shared]) {
        const mark = `${client}-${n}`;
        await server.send(session, 'POST a', mark);
        this.acknowledged.push({ session, mark });
        for (const [count, go] of this.waiting) if (this.acknowledged.length >= count) go();
      }
  }
}

it('one of two stores ends when the LOCK was removed under load, and no acknowledged change is lost or doubled', async () => {
  const { deployment, store: first, directory } = await deployed();
  const servers = [await deployment.server('one'), await deployment.server('two')];
  const clients = new Clients(servers);
  await clients.until(200);
  await rm(join(directory, 'LOCK'));
  const second = await deployment.store(env);
  expect(await first.stopped).toEqual({ code: 1, signal: null });
  expect(first.output().match(/ERROR.*/g)).toEqual([
    expect.stringMatching(
      /the store ends: the data directory .* is no longer this store's: .*start the store again/,
    ),
  ]);
  const before = clients.acknowledged.length;
  await clients.until(before + 200);
  // A supervisor starts it again. It finds the directory taken, and stands by.
  const third = await deployment.store(env, /standing by/);
  await second.kill('SIGKILL');
  await third.says(/the store is ready/);
  await clients.until(clients.acknowledged.length + 50);
  await clients.stop();

  const reader = await deployment.server('reader');
  for (const session of new Set(clients.acknowledged.map(({ session }) => session))) {
    const marks = clients.acknowledged.filter((change) => change.session === session).map(({ mark }) => mark);
    expect(((await reader.send(session, 'GET a')) as string[]).toSorted()).toEqual(marks.toSorted());
  }
});

it.each([
  ['deleted', (directory: string) => rm(directory, { recursive: true })],
  ['moved away, as by an unmount', (directory: string) => rename(directory, `${directory}-away`)],
])('a store whose directory is %s acknowledges nothing after its interval, and ends', async (_what, harm) => {
  const { deployment, store, directory } = await deployed();
  const server = await deployment.server('server');
  await server.send(newSession(), 'POST a', 'before');
  await harm(directory);
  const gone = performance.now();
  expect(await store.stopped).toEqual({ code: 1, signal: null }); // without any request
  expect(performance.now() - gone).toBeLessThan(checkMs + 1_000 + busyMs);
  expect(store.output()).toContain('it was deleted, moved away or unmounted');
  await deployment.store(env); // begins with an empty directory
  expect(await server.send(newSession(), 'POST a', 'after')).toEqual(['after']);
  await rm(`${directory}-away`, { recursive: true, force: true });
});

it('an older copy of the directory replaces the data while an app server lives: no scope uses the lost changes, and the log reports it', async () => {
  const { deployment, store, directory } = await deployed();
  const [server, other] = [await deployment.server('server'), await deployment.server('other')];
  const [held, moved] = [newSession(), newSession()];
  for (const session of [held, moved]) await server.send(session, 'POST a', 'copied');
  await store.kill('SIGTERM');
  await cp(directory, `${directory}-copy`, { recursive: true });
  const next = await deployment.store(env);
  await server.send(held, 'POST a', 'lost');
  await other.send(moved, 'POST a', 'lost');
  await next.kill('SIGKILL');
  await rm(directory, { recursive: true });
  await rename(`${directory}-copy`, directory);

  const last = await deployment.store(env);
  // A holder may learn of it by a refused change. Then all continue with the older data.
  for (const [holder, session] of [
    [server, held],
    [other, moved],
  ] as const) {
    const isTaken = (await holder.status(session, 'POST a', 'first')) === 201;
    const left = ['copied', ...(isTaken ? ['first'] : [])];
    expect(await holder.send(session, 'POST a', 'goes on')).toEqual([...left, 'goes on']);
    expect(await server.send(session, 'GET a')).toEqual([...left, 'goes on']);
  }
  await last.says(/app servers have met that, and the data of this store do not know it/);
});

it('data that are older than those that were on disk stop the start, unless --accept-older-data is given', async () => {
  const { deployment, store, directory } = await deployed();
  const server = await deployment.server('server');
  await server.send(newSession(), 'POST a', 'kept');
  await store.kill('SIGTERM');
  for (const file of await readdir(directory)) if (file.endsWith('.log')) await rm(join(directory, file));
  await expect(deployment.store(env)).rejects.toThrow(/older than what was on disk.*--accept-older-data/);
  await deployment.store(env, undefined, ['--accept-older-data']);
});
