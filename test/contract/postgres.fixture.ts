/** The PostgreSQL of the suites, and schemas in it for one test each. */
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { onTestFinished } from 'vitest';
import { PostgresRepository, type PostgresRepositorySettings } from '#repository';
import type { Fixture } from './repository.fixture.js';
import { startWriter } from './repository.writer.js';

const named = process.env.DATABASE_URL;
if (!named) throw new Error('DATABASE_URL is not set. Run the tests by `npm test`, which brings a database.');
export const databaseUrl = named;

const aSchema = () => `test_${randomUUID().replaceAll('-', '_')}`;

/** An open repository in a schema of its own, for the contract. */
export const inOwnSchema =
  (settings: Partial<PostgresRepositorySettings>) => async (): Promise<Required<Fixture>> => {
    const schema = aSchema();
    const repository = new PostgresRepository({ url: databaseUrl, schema, deployment: 'ours', ...settings });
    await repository.open();
    return {
      repository,
      async reopen() {
        await repository.close();
        await repository.open();
        return repository;
      },
      async dispose() {
        await repository.close();
        await dropSchema(schema);
      },
    };
  };

/** An open repository that is closed after the test. */
export async function opened(settings: Partial<PostgresRepositorySettings>): Promise<PostgresRepository> {
  const repository = new PostgresRepository({ url: databaseUrl, deployment: 'ours', ...settings });
  await repository.open();
  onTestFinished(() => repository.close());
  return repository;
}

/** A schema that is dropped after the test. Repositories that were opened since are closed before. */
export function ownSchema(): string {
  const schema = aSchema();
  onTestFinished(() => dropSchema(schema));
  return schema;
}

/** Runs SQL on a connection of its own. Resolves with the rows. */
export async function sql<Row>(text: string, url = databaseUrl): Promise<Row[]> {
  const client = new Client(url);
  await client.connect();
  try {
    return (await client.query(text)).rows as Row[];
  } finally {
    await client.end();
  }
}

async function dropSchema(schema: string): Promise<void> {
  await sql(`SET client_min_messages = error; DROP SCHEMA IF EXISTS ${schema} CASCADE`);
}

/** Blocks each batch that writes attributes within its transaction, until the returned function is called. */
export async function holdUpWrites(schema: string): Promise<() => Promise<void>> {
  const client = new Client(databaseUrl);
  await client.connect();
  await client.query(`BEGIN; LOCK TABLE ${schema}.attributes IN EXCLUSIVE MODE`);
  return () => client.end();
}

/**
 * A process that writes and is stopped (SIGSTOP) after a random number of changes. It is killed after the
 * test.
 */
export async function stoppedWriter(url: string, schema: string) {
  const { child, lines, ended } = startWriter('PostgresRepository', { url, schema, deployment: 'ours' });
  onTestFinished(() => void child.kill('SIGKILL'));
  let count = 5 + Math.floor(Math.random() * 60);
  await new Promise<void>((resolve) => lines.on('line', () => --count === 0 && resolve()));
  child.kill('SIGSTOP');
  return { child, ended };
}
