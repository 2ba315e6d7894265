/** The PostgreSQL that the suites use, and schemas in it that nobody else has. */
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';

const named = process.env.DATABASE_URL;
if (!named) throw new Error('DATABASE_URL is not set. Run the tests by `npm test`, which brings a database.');
export const databaseUrl = named;

export const aSchema = () => `test_${randomUUID().replaceAll('-', '_')}`;

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

export const dropSchema = (schema: string) => sql(`DROP SCHEMA IF EXISTS ${schema} CASCADE`);
