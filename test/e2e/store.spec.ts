// The store's program: its settings, its help, its end, and what it leaves for the next one.
import { execFile } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { partitionOf } from '#protocol';
import { root } from '../../scripts/processes.js';
import { databaseUrl, ownSchema } from '../contract/postgres.place.js';
import { Deployment, newSession, type Program, type Session } from './deployment.js';

describe('the settings', () => {
  it('stop the start when they are wrong: all at once, with name, value and what is allowed', async () => {
    const { code, stderr } = await run({
      AMQP_URL: 'http://guest:sesame@localhost',
      STORE_PARTITIONS: '0',
      STORE_DURABILITY: 'mostly',
      STORE_DATABASE_URL: 'mysql://guest:sesame@localhost',
      STORE_PARTITION: '4',
    });
    expect(code).toBe(1);
    // No more than this: no stack trace.
    expect(stderr.trimEnd().split('\n')).toEqual([
      'STORE_PARTITION is no setting of the store; see --help',
      "AMQP_URL is 'http://guest:***@localhost', but must be where RabbitMQ is: amqp:// or amqps://",
      "STORE_PARTITIONS is '0', but must be the number of partitions, fixed for a deployment, the same in every app server: 1 to 1024",
      "STORE_DATABASE_URL is 'mysql://guest:***@localhost', but must be where PostgreSQL is: postgres://user:password@host:port/database, and ?sslmode=verify-full for TLS",
      "STORE_DURABILITY is 'mostly', but must be what an acknowledged change survives: process (a killed store) or disk (power loss and a killed database, too)",
    ]);
  });

  it('are explained by --help, each with its default', async () => {
    const { code, stdout } = await run({}, '--help');
    expect(code).toBe(0);
    expect(stdout).toContain('Usage: locked-session-store');
    for (const name of ['AMQP_URL', 'AMQP_PREFIX', 'STORE_PARTITIONS', 'STORE_DIRECTORY']) {
      expect(stdout).toMatch(new RegExp(`^  ${name} .*\\[.+\\]$`, 'm'));
    }
  });

  it('are no arguments', async () => {
    const { code, stderr } = await run({}, '--partitions=4');
    expect({ code, stderr }).toEqual({ code: 1, stderr: "unknown argument '--partitions=4'; see --help\n" });
  });
});

it('ends within 5 s of SIGTERM under load, and loses nothing: the next store serves what waits', async () => {
  const deployment = await Deployment.create();
  onTestFinished(() => deployment.stop());
  const store = await deployment.store();
  const servers = await Promise.all([deployment.server('one'), deployment.server('two')]);
  const shared = newSession();
  const acknowledged: { own: Session; mark: string }[] = [];
  const each = 50;

  let underWay!: () => void;
  const load = new Promise<void>((resolve) => (underWay = resolve));
  const clients = [...servers, ...servers].map(async (server, client) => {
    for (let n = 1; n <= each; n++) {
      const [own, mark] = [newSession(), `${client}-${n}`];
      await Promise.all([server.send(shared, 'POST a', mark), server.send(own, 'POST a', mark)]);
      if (acknowledged.push({ own, mark }) === 20) underWay();
    }
  });
  await load;
  await store.kill('SIGTERM', 5_000);
  expect(await store.stopped).toEqual({ code: 0, signal: null });
  const before = [...acknowledged];
  expect(before.length).toBeLessThan(clients.length * each);

  await deployment.store();
  await Promise.all(clients);
  // What a server reads that was not there before comes from the store.
  const reader = await deployment.server('reader');
  const marks = (await reader.send(shared, 'GET a')) as string[];
  expect(marks.toSorted()).toEqual(acknowledged.map(({ mark }) => mark).toSorted());
  const own = await Promise.all(before.map((change) => reader.send(change.own, 'GET a')));
  expect(own).toEqual(before.map(({ mark }) => [mark]));
});

it('stands by while another store has the directory, and takes its place when that is killed', async () => {
  const deployment = await Deployment.create();
  onTestFinished(() => deployment.stop());
  const owner = await deployment.store();
  const standby = await deployment.store({}, /standing by/);
  const server = await deployment.server('server');
  const session = newSession();
  await server.send(session, 'POST a', 'before');
  await owner.kill('SIGKILL');
  expect(await server.send(session, 'POST a', 'after')).toEqual(['before', 'after']);
  await standby.says(/the store is ready/);
});

it('is stopped in order while it stands by', async () => {
  const deployment = await Deployment.create();
  onTestFinished(() => deployment.stop());
  await deployment.store();
  const standby = await deployment.store({}, /standing by/);
  await standby.kill('SIGTERM', 5_000);
  expect(await standby.stopped).toEqual({ code: 0, signal: null });
  expect(standby.output()).not.toContain('is ready');
});

it('with PostgreSQL has a standby, which goes on where a killed one was', async () => {
  const schema = ownSchema();
  const deployment = await Deployment.create();
  onTestFinished(() => deployment.stop());
  const env = {
    STORE_REPOSITORY: 'postgres',
    STORE_DATABASE_URL: databaseUrl,
    STORE_DATABASE_SCHEMA: schema,
  };
  const active = await deployment.store(env);
  await deployment.store(env);
  const [writer, reader] = [await deployment.server('writer'), await deployment.server('reader')];
  const sessions = Array.from({ length: 20 }, newSession);
  await Promise.all(sessions.map((session) => writer.send(session, 'POST a', 'before')));
  await active.kill('SIGKILL');
  await Promise.all(sessions.map((session) => writer.send(session, 'POST a', 'after')));
  const marks = await Promise.all(sessions.map((session) => reader.send(session, 'GET a')));
  expect(marks).toEqual(sessions.map(() => ['before', 'after']));
});

describe('the number of partitions', async () => {
  const deployment = await Deployment.create({ partitions: 4 });
  let store: Program;
  beforeAll(async () => {
    store = await deployment.store();
  });
  afterAll(() => deployment.stop());

  it.each([
    ['fewer', 3],
    ['more', 5],
  ])("is the store's: an app server that counts %s is told", async (_what, partitions) => {
    const server = await deployment.server('server', { PARTITIONS: `${partitions}`, WAIT_MS: '2000' });
    await expect(server.send(lost(partitions), 'POST a', 'red')).rejects.toThrow('POST a: 500');
    await server.program.says(/4 partitions.*set 'partitions' to/);
  });

  it('is fixed: a store that is set to another one refuses to start and says both', async () => {
    const server = await deployment.server('server');
    await server.send(newSession(), 'POST a', 'red');
    await store.kill();

    const { code, stderr } = await run(deployment.env({ STORE_PARTITIONS: '8' }));
    expect(code).toBe(1);
    expect(stderr).toMatch(/made with 4 partitions .* this store is set to 8 /);
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});

/** A session that an app server with so many partitions takes to one that is not its own, as far away as can be. */
function lost(partitions: number): Session {
  for (;;) {
    const session = newSession();
    const taken = partitionOf(session['x-session']!, partitions);
    if (taken === partitions - 1 && taken !== partitionOf(session['x-session']!, 4)) return session;
  }
}

/** Runs the store's program to its end. */
function run(env: Readonly<Record<string, string>>, ...args: string[]) {
  const program = ['dist/apps/store/src/main.js', ...args];
  const options = { cwd: root, env: { ...process.env, ...env }, timeout: 30_000 };
  return new Promise<{ code: unknown; stdout: string; stderr: string }>((resolve) => {
    execFile(process.execPath, program, options, (error, stdout, stderr) =>
      resolve({ code: error?.code ?? 0, stdout, stderr }),
    );
  });
}
