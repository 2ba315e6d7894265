/**
 * The tables of the PostgreSQL repository, and their migration. One of two functions (postgres/functions.ts)
 * makes every change, called by one message of the simple protocol. So a transaction begins when the server
 * has all of it, and ends without another message of the client. A client that is stopped at any point leaves
 * no lock behind.
 *
 *     layout        the version of all this, the oldest program that knows it, and the name of the deployment
 *     deployment    one row: what all stores must agree on
 *     partitions    one row each: the epoch and the one before. Writes lock it for sharing, claims alone
 *     claims        the epoch of each partition that was claimed since the server last crashed
 *     sessions      the head, and the mark in the expiry index
 *     attributes    the values
 *
 * A crash of the server may lose what it acknowledged last. So it must end every ownership, also of a store
 * behind a proxy, which loses no connection. Therefore `claims` is unlogged: after a crash or a failover the
 * table is empty.
 *
 * Names of attributes are UTF-8 in `bytea`, since they may have characters that a `text` cannot hold.
 * `convert_from(name, 'UTF8')` reads them.
 */
import { functions, literal } from './functions.js';
import { OtherDeploymentError, RepositoryError } from '../repository.js';

/** The version of this layout, and the oldest program that reads it. They rise together. */
const LAYOUT = { version: 3, program: '0.1.0' };

export interface Layout {
  readonly version: number;
  readonly program: string;
  readonly deployment: string;
}

/** The names that a schema may have. Each is an identifier without quotes. */
export const schemaName = /^[a-z_][a-z0-9_]{0,62}$/;

/** The deployment that opens a schema. */
export interface Tenant {
  readonly name: string;
  /** Takes over the schema of a deployment of another name. */
  readonly rename: boolean;
}

/**
 * One message that brings the schema up to date and then returns its layout. Several stores may send it at
 * the same time. The first deployment writes its name there. When the schema is up to date, the message
 * changes nothing, and needs no right to.
 */
export const migration = (schema: string, { name, rename }: Tenant): string => `
DO $migration$
DECLARE
  found int := 0;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('locked-session ${schema}', 0));
  IF to_regnamespace('${schema}') IS NULL THEN
    CREATE SCHEMA ${schema};
  END IF;
  IF to_regclass('${schema}.layout') IS NOT NULL THEN
    SELECT version INTO found FROM ${schema}.layout;
  END IF;
  IF found < 1 THEN
    ${first(schema)}
  END IF;
  IF found < 2 THEN
    ${second(schema)}
  END IF;
  IF found < 3 THEN
    ${third(schema)}
  END IF;
  IF found <= ${LAYOUT.version} THEN
    IF EXISTS (SELECT FROM ${schema}.layout WHERE deployment IS NULL OR ${rename} AND deployment <> ${literal(name)}) THEN
      UPDATE ${schema}.layout SET deployment = ${literal(name)};
      DELETE FROM ${schema}.claims; -- a store of the old name that still runs owns nothing any more
    END IF;
  END IF;
END $migration$;
SELECT version, program, deployment FROM ${schema}.layout`;

/** Throws when a newer program has changed the schema, or another deployment has it. */
export function checkLayout(place: string, mine: string, { version, program, deployment }: Layout): void {
  if (version > LAYOUT.version)
    throw new RepositoryError(
      `the repository in ${place} has layout ${version}, and this program knows layouts up to ` +
        `${LAYOUT.version}: ` +
        `run locked-session ${program} or newer on it`,
    );
  if (deployment !== mine) throw new OtherDeploymentError(place, deployment, mine);
}

/**
 * Layout 1. Rows of sessions and attributes change again and again, so each page has room for the next
 * version.
 */
const first = (schema: string) => `
CREATE TABLE ${schema}.layout (version int NOT NULL, program text NOT NULL);
INSERT INTO ${schema}.layout VALUES (1, '0.1.0');
CREATE TABLE ${schema}.deployment (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  partitions int NOT NULL,
  hash int NOT NULL
);
CREATE TABLE ${schema}.partitions (
  partition int PRIMARY KEY,
  epoch bigint NOT NULL,
  longest_lease_ms bigint NOT NULL
) WITH (fillfactor = 10);
CREATE TABLE ${schema}.sessions (
  partition int NOT NULL,
  id text COLLATE "C" NOT NULL,
  head bytea NOT NULL,
  expires bigint,
  PRIMARY KEY (partition, id)
) WITH (fillfactor = 70);
CREATE INDEX sessions_due ON ${schema}.sessions (partition, expires) WHERE expires IS NOT NULL;
CREATE TABLE ${schema}.attributes (
  partition int NOT NULL,
  id text COLLATE "C" NOT NULL,
  name bytea NOT NULL,
  value bytea NOT NULL,
  PRIMARY KEY (partition, id, name)
) WITH (fillfactor = 70);`;

/** Layout 2: the epoch before the current one. */
const second = (schema: string) => `
ALTER TABLE ${schema}.partitions ADD COLUMN previous bigint NOT NULL DEFAULT 0;`;

/**
 * Layout 3: claims that a crash ends, and the deployment's name. A store of an older layout can write and
 * claim no more.
 */
const third = (schema: string) => `
UPDATE ${schema}.layout SET version = 3, program = '0.1.0';
ALTER TABLE ${schema}.layout ADD COLUMN deployment text;
CREATE UNLOGGED TABLE ${schema}.claims (partition int PRIMARY KEY, epoch bigint NOT NULL);
IF found > 0 THEN -- else they would be another program's
  DROP FUNCTION IF EXISTS ${schema}.apply;
  DROP FUNCTION IF EXISTS ${schema}.claim;
END IF;
${functions(schema)}`;
