/** The store's program: its settings, its help, its end, and its successor. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { partitionOf } from '#protocol';
import { startPrivatePgbouncer } from '../../scripts/services/private-pgbouncer.js';
import { startPrivatePostgres } from '../../scripts/services/private-postgres.js';
import { root } from '../../scripts/processes/processes.js';
import { databaseUrl, ownSchema, sql } from '../contract/postgres.fixture.js';
import { Deployment, newSession, runStore, type Program, type Session } from './deployment.js';

describe('the settings of the store', () => {
  it('stop the start when they are wrong, and all are named with value and limits', async () => {
    const { code, stderr } = await runStore({
      AMQP_URL: 'http://guest:sesame@localhost',
      STORE_PARTITIONS: '0',
      STORE_DURABILITY: 'mostly',
      STORE_DATABASE_URL: 'mysql://guest:sesame@localhost',
      STORE_PARTITION: '4',
    });
    expect(code).toBe(1);
    // Nothing more, and no stack trace.
    expect(stderr.trimEnd().split('\n')).toEqual([
      'STORE_PARTITION is no setting of the store; see --help',
      "AMQP_URL is 'http://guest:***@localhost', but must be amqp:// or amqps:// addresses, several " +
        'with commas between them; ?heartbeat= of 1 to 600. Where RabbitMQ is. Of several addresses, ' +
        'those of a cluster, each is tried.',
      "STORE_PARTITIONS is '0', but must be 1 to 1024. The number of partitions of the deployment. It " +
        'is fixed, and the same in every app server.',
      "STORE_DATABASE_URL is 'mysql://guest:***@localhost', but must be " +
        'postgres://user:password@host:port/database, with ?sslmode=verify-full for TLS. Where ' +
        'PostgreSQL is.',
      "STORE_DURABILITY is 'mostly', but must be process or disk. An acknowledged change survives a " +
        'killed store (process), or a loss of power and a killed database too (disk).',
    ]);
  });

  it('name a directory that takes no trace', async () => {
    const { code, stderr } = await runStore({
      STORE_TRACE_DIRECTORY: '/dev/null/traces',
      STORE_TRACE_KEY: 'the key of these traces',
    });
    expect(code).toBe(1);
    expect(stderr.trimEnd().split('\n')).toEqual([
      expect.stringMatching(/^STORE_TRACE_DIRECTORY cannot be written to: .*'\/dev\/null\/traces'/),
    ]);
  });

  it('are explained by --help, each with its default', async () => {
    const { code, stdout } = await runStore({}, '--help');
    expect(code).toBe(0);
    expect(stdout).toContain('Usage: locked-session-store');
    for (const name of ['AMQP_URL', 'AMQP_PREFIX', 'STORE_PARTITIONS', 'STORE_DIRECTORY']) {
      expect(stdout).toMatch(new RegExp(`^  ${name} .*\\[.+\\]$`, 'm'));
    }
  });

  it('are no arguments', async () => {
    const { code, stderr } = await runStore({}, '--partitions=4');
    expect({ code, stderr }).toEqual({ code: 1, stderr: "unknown argument '--partitions=4'; see --help\n" });
  });

  it('must fit the option --rename-deployment, which a directory does not have', async () => {
    const { code, stderr } = await runStore({ STORE_REPOSITORY: 'level' }, '--rename-deployment');
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: '--rename-deployment is of no use with STORE_REPOSITORY=level\n',
    });
  });
});

it('ends within 5 s of SIGTERM under load, loses nothing, and the next store serves the waiters', async () => {
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
  // A new server reads from the store.
  const reader = await deployment.server('reader');
  const marks = (await reader.send(shared, 'GET a')) as string[];
  expect(marks.toSorted()).toEqual(acknowledged.map(({ mark }) => mark).toSorted());
  const own = await Promise.all(before.map((change) => reader.send(change.own, 'GET a')));
  expect(own).toEqual(before.map(({ mark }) => [mark]));
});

it('ends in order while RabbitMQ is out of reach', async () => {
  const deployment = await Deployment.create();
  onTestFinished(() => deployment.stop());
  const store = await deployment.store({ AMQP_URL: 'amqp://127.0.0.1:1' }, /cannot be used/);
  await store.kill('SIGTERM', 5_000);
  expect(await store.stopped).toEqual({ code: 0, signal: null });
});

it('serves when the reader of its log has gone', async () => {
  const deployment = await Deployment.create();
  onTestFinished(() => deployment.stop());
  const program = 'dist/apps/store/src/main.js';
  const child = spawn(process.execPath, [program], {
    cwd: root,
    env: { ...process.env, ...deployment.env() },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  let output = '';
  for await (const bytes of child.stdout as AsyncIterable<Buffer>) {
    if ((output += bytes.toString()).includes('the store is ready')) break; // this closes the pipe
  }
  child.stderr.destroy();
  const server = await deployment.server('server');
  // It logs a line for this frame, and must survive that.
  deployment.broker.toStore(0, new Uint8Array([0xc1]), 'nobody');
  expect(await server.send(newSession(), 'POST a', 'red')).toEqual(['red']);
  expect(child.exitCode).toBeNull();
  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
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

it.each([
  ['PostgreSQL', undefined],
  ['PostgreSQL behind pgbouncer, pooling by session,', 'session'],
  ['PostgreSQL behind pgbouncer, pooling by transaction,', 'transaction'],
] as const)('with %s has a standby, which goes on where a killed one was', async (_what, mode) => {
  const pgbouncer = mode && (await startPrivatePgbouncer(databaseUrl, mode));
  onTestFinished(() => pgbouncer?.stop());
  const schema = ownSchema();
  const deployment = await Deployment.create();
  onTestFinished(() => deployment.stop());
  const env = {
    STORE_REPOSITORY: 'postgres',
    STORE_DATABASE_URL: pgbouncer?.url ?? databaseUrl,
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

it('with PostgreSQL needs no restart for a changed password: it reads the file again when it connects', async () => {
  const postgres = await startPrivatePostgres();
  onTestFinished(() => postgres.stop());
  const folder = await mkdtemp(join(tmpdir(), 'locked-session-secrets-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const deployment = await Deployment.create();
  onTestFinished(() => deployment.stop());
  await sql(
    `CREATE ROLE rotated LOGIN PASSWORD 'first'; GRANT CREATE ON DATABASE postgres TO rotated`,
    postgres.url,
  );
  const file = join(folder, 'password');
  await writeFile(file, 'first\n');
  const url = new URL(postgres.url);
  [url.username, url.password] = ['rotated', ''];
  const store = await deployment.store({
    STORE_REPOSITORY: 'postgres',
    STORE_DATABASE_URL: url.href,
    STORE_DATABASE_PASSWORD_FILE: file,
  });
  const server = await deployment.server('server');
  const session = newSession();
  await server.send(session, 'POST a', 'before');

  await sql(
    `ALTER ROLE rotated PASSWORD 'second';
     SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotated'`,
    postgres.url,
  );
  const answer = server.send(session, 'POST a', 'after');
  await store.says(/cannot be served \(cannot connect to .*see that user and password are right/);
  await writeFile(file, 'second');
  expect(await answer).toEqual(['before', 'after']);
  await store.says(/served again/);
  expect(store.output()).not.toMatch(/first|second/);
});

it('with PostgreSQL refuses the schema of another deployment, by both names, until that was renamed', async () => {
  const env = {
    STORE_REPOSITORY: 'postgres',
    STORE_DATABASE_URL: databaseUrl,
    STORE_DATABASE_SCHEMA: ownSchema(),
  };
  const [first, second] = [await Deployment.create(), await Deployment.create()];
  onTestFinished(async () => void (await Promise.all([first.stop(), second.stop()])));
  const store = await first.store(env);
  const server = await first.server('server');
  const session = newSession();
  expect(await server.send(session, 'POST a', 'red')).toEqual(['red']);

  const { code, stderr } = await runStore(second.env(env));
  expect(code).toBe(1);
  expect(stderr.trimEnd().split('\n')).toEqual([
    expect.stringMatching(
      new RegExp(
        `^schema test_\\w+ of the database .*prefix '${first.prefix}' in the virtual host '/'.*` +
          `prefix '${second.prefix}' in .*--rename-deployment$`,
      ),
    ),
  ]);
  expect(await server.send(session, 'POST a', 'blue')).toEqual(['red', 'blue']);

  await second.store(env, undefined, ['--rename-deployment']);
  // By this the store learns of the new deployment.
  void server.send(session, 'POST a', 'late').catch(() => {});
  expect(await store.stopped).toEqual({ code: 1, signal: null });
  expect(store.output()).toMatch(/the store ends: .* another deployment/);
  expect(await (await second.server('server')).send(session, 'GET a')).toEqual(['red', 'blue']);
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
  ])("is the store's, and an app server that counts %s gets an error", async (_what, partitions) => {
    const server = await deployment.server('server', { PARTITIONS: `${partitions}`, WAIT_MS: '2000' });
    await expect(server.send(lost(partitions), 'POST a', 'red')).rejects.toThrow('POST a: 500');
    await server.program.says(/4 partitions.*Set 'partitions' to/);
  });

  it('is fixed, and a store with another setting refuses to start and names both', async () => {
    const server = await deployment.server('server');
    await server.send(newSession(), 'POST a', 'red');
    await store.kill();

    const { code, stderr } = await runStore(deployment.env({ STORE_PARTITIONS: '8' }));
    expect(code).toBe(1);
    expect(stderr).toMatch(/made with 4 partitions .* this store is set to 8 /);
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});

/** A session that an app server with so many partitions sends to its last one, which is wrong. */
function lost(partitions: number): Session {
  for (;;) {
    const session = newSession();
    const taken = partitionOf(session['x-session']!, partitions);
    if (taken === partitions - 1 && taken !== partitionOf(session['x-session']!, 4)) return session;
  }
}
