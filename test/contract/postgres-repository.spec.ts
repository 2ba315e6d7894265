/**
 * The repository in PostgreSQL keeps the contract in each of its settings. Also its transactions, its schema,
 * and faults of the database. scripts/test.ts brings the server.
 */
import { describe, expect, it } from 'vitest';
import {
  OtherDeploymentError,
  PostgresRepository,
  RepositoryError,
  type PostgresRepositorySettings,
} from '#repository';
import { expiryContract } from './expiry.contract.js';
import { databaseUrl, inOwnSchema, opened, ownSchema, sql } from './postgres.fixture.js';
import { repositoryContract } from './repository.contract.js';
import { lastingRepositoryContract } from './repository.lasting.js';
import { deployment, stored, write } from './repository.fixture.js';

for (const settings of [
  { durability: 'process' },
  { durability: 'disk', connections: 2 },
  { durability: 'process', batchRows: 2 },
] as const)
  repositoryContract(`PostgresRepository ${JSON.stringify(settings)}`, inOwnSchema(settings), { runs: 25 });
lastingRepositoryContract('PostgresRepository', inOwnSchema({}));
expiryContract('PostgresRepository', inOwnSchema({}));

/** The message of the error at opening. */
async function refusal(settings: Partial<PostgresRepositorySettings>): Promise<string> {
  const error: unknown = await Promise.resolve()
    .then(() => new PostgresRepository({ url: databaseUrl, deployment: 'ours', ...settings }).open())
    .catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(RepositoryError);
  return (error as Error).message;
}

describe('a transaction', () => {
  const transactions = async (schema: string) => {
    const rows = await sql<{ count: string }>(
      `SELECT count(*) FROM ${schema}.sessions GROUP BY xmin ORDER BY min(id)`,
    );
    return rows.map(({ count }) => Number(count));
  };

  it('has the applies of one turn of the event loop, of all partitions, up to the limit of a batch', async () => {
    const sizes = async (settings: Partial<PostgresRepositorySettings>) => {
      const schema = ownSchema();
      const repository = await opened({ schema, ...settings });
      const epochs = [await repository.claim(0, deployment), await repository.claim(1, deployment)];
      await Promise.all(
        ['a', 'b', 'c', 'd', 'e'].map((id, i) =>
          repository.apply(i % 2, epochs[i % 2]!.epoch, [write(id, 'x'.repeat(100))]),
        ),
      );
      return transactions(schema);
    };
    expect(await sizes({})).toEqual([5]);
    expect(await sizes({ batchRows: 2 })).toEqual([2, 2, 1]);
    expect(await sizes({ batchBytes: 300 })).toEqual([3, 2]);
  });

  it('waits for the disk with `disk`, and with `process` only when it claims', async () => {
    const waits = async (durability: 'process' | 'disk') => {
      const schema = ownSchema();
      const repository = await opened({ schema, durability });
      await sql(`
        CREATE TABLE ${schema}.noted (place text, commit text);
        CREATE FUNCTION ${schema}.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          INSERT INTO ${schema}.noted VALUES (TG_TABLE_NAME, current_setting('synchronous_commit'));
          RETURN NULL;
        END $$;
        CREATE TRIGGER note AFTER INSERT ON ${schema}.sessions EXECUTE FUNCTION ${schema}.note();
        CREATE TRIGGER note AFTER INSERT ON ${schema}.partitions EXECUTE FUNCTION ${schema}.note()`);
      const { epoch } = await repository.claim(0, deployment);
      await repository.apply(0, epoch, [write('s', 'x')]);
      return sql(`SELECT * FROM ${schema}.noted ORDER BY place`);
    };
    const claims = { place: 'partitions', commit: 'on' };
    expect(await waits('process')).toEqual([claims, { place: 'sessions', commit: 'off' }]);
    expect(await waits('disk')).toEqual([claims, { place: 'sessions', commit: 'on' }]);
  });

  it('ends the ownership of its partitions alone when the server refuses it', async () => {
    const schema = ownSchema();
    const repository = await opened({ schema });
    const claim = async (partition: number) => (await repository.claim(partition, deployment)).epoch;
    const [mine, other] = [await claim(0), await claim(1)];
    await sql(`ALTER TABLE ${schema}.sessions ADD CONSTRAINT short CHECK (length(head) < 10)`);
    const outcomes = await Promise.allSettled([
      repository.apply(0, mine, [write('s', 'x'.repeat(10))]),
      repository.claim(2, deployment), // so that the next apply is a batch of its own
      repository.apply(0, mine, [write('s', 'behind')]),
      repository.apply(1, other, [write('s', 'other')]),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'fulfilled', 'rejected', 'fulfilled']);
    expect((outcomes[2] as PromiseRejectedResult).reason).toMatchObject({
      message: expect.stringContaining('claim it anew'),
    });
    expect(await stored(repository, 0, ['s'])).toEqual({});
    await repository.apply(0, await claim(0), [write('s', 'anew')]);
    expect(await stored(repository, 0, ['s'])).toEqual({ s: ['anew', {}] });
  });
});

describe('the schema', () => {
  it('is made once when five stores start at once, and several deployments share a database', async () => {
    const [schema, another] = [ownSchema(), ownSchema()];
    const starters = await Promise.all(Array.from({ length: 5 }, () => opened({ schema })));
    const epochs = await Promise.all(starters.map((store) => store.claim(0, deployment)));
    expect(new Set(epochs.map(({ epoch }) => epoch))).toEqual(new Set([1, 2, 3, 4, 5]));
    expect(await sql(`SELECT version FROM ${schema}.layout`)).toEqual([{ version: 3 }]);
    expect((await (await opened({ schema: another })).claim(0, deployment)).epoch).toBe(1);
  });

  it.each([
    ['1', 'ALTER TABLE partitions DROP COLUMN previous; CREATE FUNCTION claim(int, int, int, bigint)'],
    ['2', 'CREATE FUNCTION claim(int, int, int, bigint, bigint)'],
  ])('of layout %s is brought up to date, with the epochs and sessions in it', async (version, layout) => {
    const schema = ownSchema();
    const older = await opened({ schema });
    for (let i = 0; i < 3; i++) await older.claim(0, deployment);
    await older.apply(0, 3, [write('s', 'x', { a: '1' })]);
    await sql(`
      SET search_path = ${schema};
      UPDATE layout SET version = ${version};
      DROP TABLE claims;
      ALTER TABLE layout DROP COLUMN deployment;
      DROP FUNCTION load, apply, claim;
      CREATE FUNCTION apply(boolean) RETURNS int LANGUAGE sql AS 'SELECT 1';
      ${layout} RETURNS int LANGUAGE sql AS 'SELECT 1'`);
    const newer = await opened({ schema });
    await expect(older.apply(0, 3, [write('s', 'late')])).rejects.toThrow('claim it anew');
    const claim = await newer.claim(0, deployment, 1_795_000_000_000);
    expect(claim).toMatchObject({ epoch: 1_795_000_000_000, previous: 3 });
    await newer.apply(0, claim.epoch, [write('t', 'y')]);
    expect(await stored(newer, 0, ['s', 't'])).toEqual({ s: ['x', { a: '1' }], t: ['y', {}] });
  });

  it('keeps the functions of another program that has no such tables', async () => {
    const schema = ownSchema();
    await sql(
      `CREATE SCHEMA ${schema}; CREATE FUNCTION ${schema}.claim() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
    );
    await opened({ schema });
    expect(await sql(`SELECT ${schema}.claim()`)).toEqual([{ claim: 1 }]);
  });

  it('needs no right to change it once it exists', async () => {
    const schema = ownSchema();
    await (await opened({ schema })).claim(0, deployment);
    const user = `${schema}_user`;
    await sql(`
      CREATE ROLE ${user} LOGIN PASSWORD 'sesame';
      GRANT USAGE ON SCHEMA ${schema} TO ${user};
      GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${user}`);
    const url = new URL(databaseUrl);
    [url.username, url.password] = [user, 'sesame'];
    const repository = new PostgresRepository({ url: url.href, schema, deployment: 'ours' });
    try {
      await repository.open();
      expect((await repository.claim(0, deployment)).epoch).toBe(2);
      await repository.apply(0, 2, [write('s', 'x', { a: '1' })]);
      expect(await refusal({ url: url.href, schema: `${schema}_b` })).toContain(
        'let the user create schemas in the database',
      );
    } finally {
      await repository.close();
      await sql(`DROP OWNED BY ${user}; DROP ROLE ${user}`);
    }
  });

  it('is refused and left unchanged when it is of a newer program', async () => {
    const schema = ownSchema();
    await opened({ schema });
    const newer = { version: 99, program: '7.8.9' };
    await sql(`UPDATE ${schema}.layout SET version = ${newer.version}, program = '${newer.program}'`);
    expect(await refusal({ schema })).toContain('run locked-session 7.8.9 or newer');
    expect(await sql(`SELECT version, program FROM ${schema}.layout`)).toEqual([newer]);
  });

  it('is refused and left unchanged when it is of another program', async () => {
    const schema = ownSchema();
    await sql(`CREATE SCHEMA ${schema}; CREATE TABLE ${schema}.sessions (theirs int)`);
    expect(await refusal({ schema })).toContain('name another schema');
    expect(
      await sql(`SELECT table_name FROM information_schema.tables WHERE table_schema = '${schema}'`),
    ).toEqual([{ table_name: 'sessions' }]);
  });
});

describe('the deployment', () => {
  it('is that of the first store: another one is refused with both names and the remedies', async () => {
    const schema = ownSchema();
    const first = await opened({ schema, deployment: "prefix 'a'" });
    const { epoch } = await first.claim(0, deployment);
    const message = await refusal({ schema, deployment: "prefix 'b'" });
    expect(message).toMatch(
      /^schema test_\S+ of .* another deployment: .*prefix 'a', .*prefix 'b'; .*STORE_DATABASE_SCHEMA.*--rename-deployment$/,
    );
    await first.apply(0, epoch, [write('s', 'x')]);
    await opened({ schema, deployment: "prefix 'a'" });
  });

  it('is that of one store when several start at once', async () => {
    const schema = ownSchema();
    const names = ['a', 'b', 'c', 'd'];
    const outcomes = await Promise.allSettled(names.map((name) => opened({ schema, deployment: name })));
    const refused = outcomes.filter(({ status }) => status === 'rejected');
    expect(refused).toHaveLength(3);
    for (const { reason } of refused as PromiseRejectedResult[])
      expect(reason).toBeInstanceOf(OtherDeploymentError);
  });

  it('can be renamed, and then a store of the old name writes and claims no more', async () => {
    const schema = ownSchema();
    const old = await opened({ schema, deployment: 'old' });
    const { epoch } = await old.claim(0, deployment);
    await old.apply(0, epoch, [write('s', 'x')]);
    const renamed = await opened({ schema, deployment: 'new', renameDeployment: true });
    await expect(old.apply(0, epoch, [write('s', 'late')])).rejects.toThrow('claim it anew');
    await expect(old.claim(0, deployment)).rejects.toBeInstanceOf(OtherDeploymentError);
    expect(await refusal({ schema, deployment: 'old' })).toContain('another deployment');
    expect((await renamed.claim(0, deployment)).epoch).toBe(epoch + 1);
    expect(await stored(renamed, 0, ['s'])).toEqual({ s: ['x', {}] });
  });

  it('keeps its ownership when it is renamed to the same name', async () => {
    const schema = ownSchema();
    const first = await opened({ schema });
    const { epoch } = await first.claim(0, deployment);
    await opened({ schema, renameDeployment: true });
    await first.apply(0, epoch, [write('s', 'x')]);
  });
});

describe('names the fault and a remedy, without the password', () => {
  const at = (change: (url: URL) => void) => {
    const url = new URL(databaseUrl);
    url.password = 'sesame';
    change(url);
    return url.href;
  };

  it.each([
    ['nobody listens', at((url) => (url.port = '1')), 'see that PostgreSQL runs there'],
    ['the user is unknown', at((url) => (url.username = 'nobody')), 'see that user and password are right'],
    ['the URL is none', 'postgres//guest:sesame@localhost', 'it begins postgres://'],
  ])('where %s', async (_, url, remedy) => {
    const message = await refusal({ url });
    expect(message).toContain(remedy);
    expect(message).not.toContain('sesame');
  });

  it('when the database is missing', async () => {
    const url = new URL(databaseUrl);
    url.pathname = '/nowhere';
    expect(await refusal({ url: url.href })).toMatch(/database nowhere at .*create the database first/);
  });

  it('when the name of the schema is not valid', async () => {
    for (const schema of ['', 'Upper', '1st', 'a;b', 'x'.repeat(64)])
      expect(await refusal({ schema })).toContain('is no name for a schema');
  });
});
