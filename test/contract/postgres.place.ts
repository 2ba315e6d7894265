/** The PostgreSQL that the suites use, and schemas in it that nobody else has. */
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { onTestFinished } from 'vitest';
import { PostgresRepository, type PostgresRepositorySettings } from '#repository';

const named = process.env.DATABASE_URL;
if (!named) throw new Error('DATABASE_URL is not set. Run the tests by `npm test`, which brings a database.');
export const databaseUrl = named;

export const aSchema = () => `test_${randomUUID().replaceAll('-', '_')}`;

/** The test's own: an open repository that is closed after it. */
export async function opened(settings: Partial<PostgresRepositorySettings>): Promise<PostgresRepository> {
  const repository = new PostgresRepository({ url: databaseUrl, ...settings });
  await repository.open();
  onTestFinished(() => repository.close());
  return repository;
}

/** The test's own: a schema that is dropped after it, and so before the repositories that were opened since are closed. */
export function ownSchema(): string {
  const schema = aSchema();
  onTestFinished(() => dropSchema(schema));
  return schema;
}

/** Says something to the server itself, on a connection of its own; resolves with the rows. */
export async function sql<Row>(text: string, url = databaseUrl): Promise<Row[]> {
  const client = new Client(url);
  await client.connect();
  try {
    return (await client.query(text)).rows as Row[];
  } finally {
    await client.end();
  }
}

export async function dropSchema(schema: string): Promise<void> {
  await sql(`SET client_min_messages = error; DROP SCHEMA IF EXISTS ${schema} CASCADE`);
}

/** Keeps every batch that writes attributes in the midst of its transaction, until what it returns is called. */
export async function holdUpWrites(schema: string): Promise<() => Promise<void>> {
  const client = new Client(databaseUrl);
  await client.connect();
  await client.query(`BEGIN; LOCK TABLE ${schema}.attributes IN EXCLUSIVE MODE`);
  return () => client.end();
}
