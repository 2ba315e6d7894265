/**
 * The tables and functions of the PostgreSQL repository, and how they come about. Everything that changes is done by one
 * of two functions, each called by one message of the simple protocol: so a transaction begins when the server has all of it,
 * ends without hearing from the client again, and a client that is stopped at any point leaves no lock behind.
 *
 *     layout        the version of all this, and the oldest program that knows it
 *     deployment    one row: what all stores must agree on
 *     partitions    one row each: the epoch, which writes lock for sharing and a claim for itself
 *     sessions      the head, and the mark in the expiry index
 *     attributes    the values
 *
 * Names of attributes are UTF-8 in `bytea`: they may have characters that a `text` cannot hold. To read them:
 * `convert_from(name, 'UTF8')`.
 */
import { RepositoryError } from './repository.js';

/** The version of this layout, and the oldest program that reads it: they rise together. */
export const LAYOUT = { version: 1, program: '0.1.0' };

/** What a schema may be called: so that its name is an identifier as it stands. */
export const schemaName = /^[a-z_][a-z0-9_]{0,62}$/;

/**
 * One message that brings the schema up to date, whoever else does so at the same time, and then says its layout. It changes
 * nothing, and needs no right to, where all is there already.
 */
export const migration = (schema: string): string => `
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
END $migration$;
SELECT version, program FROM ${schema}.layout`;

/** Throws where a newer program has been at work. */
export function checkLayout(place: string, { version, program }: typeof LAYOUT): void {
  if (version <= LAYOUT.version) return;
  throw new RepositoryError(
    `the repository in ${place} has layout ${version}, and this program knows layouts up to ${LAYOUT.version}: ` +
      `run locked-session ${program} or newer on it`,
  );
}

/**
 * Layout 1. Rows of sessions and attributes are changed again and again: there is room on each page for the next version.
 * What a planner knows of a table may be old, from when it was empty; so the functions forbid the plans that would
 * read a whole table.
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
) WITH (fillfactor = 70);

-- Without a new epoch where the deployment is another one.
CREATE FUNCTION ${schema}.claim(mine int, my_partitions int, my_hash int, lease_ms bigint)
RETURNS TABLE (epoch bigint, longest_lease_ms bigint, partitions int, hash int)
LANGUAGE plpgsql AS $function$
#variable_conflict use_column
BEGIN
  PERFORM set_config('synchronous_commit', 'on', true);
  INSERT INTO ${schema}.deployment (partitions, hash) VALUES (my_partitions, my_hash) ON CONFLICT DO NOTHING;
  INSERT INTO ${schema}.partitions AS p
    SELECT mine, 1, lease_ms FROM ${schema}.deployment d WHERE d.partitions = my_partitions AND d.hash = my_hash
    ON CONFLICT (partition) DO UPDATE
    SET epoch = p.epoch + 1, longest_lease_ms = greatest(p.longest_lease_ms, excluded.longest_lease_ms);
  RETURN QUERY
    SELECT p.epoch, p.longest_lease_ms, d.partitions, d.hash
    FROM ${schema}.deployment d LEFT JOIN ${schema}.partitions p
      ON p.partition = mine AND d.partitions = my_partitions AND d.hash = my_hash;
END $function$;

-- The epochs of the partitions that were asked for. What was to be written is, where the epoch is as told. Ids, names
-- and values come in hexadecimal digits, so that no text that means something to SQL is ever part of a statement.
CREATE FUNCTION ${schema}.apply(
  on_disk boolean, asked int[], epochs bigint[],
  removed_in int[], removed text[],
  head_in int[], head_of text[], heads text[], moved boolean[], marks bigint[],
  deleted_in int[], deleted_of text[], deleted text[],
  set_in int[], set_of text[], names text[], contents text[]
)
RETURNS TABLE (partition int, epoch bigint)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $function$
#variable_conflict use_column
DECLARE
  owned int[];
BEGIN
  IF cardinality(removed) + cardinality(heads) > 0 THEN
    PERFORM set_config('synchronous_commit', CASE WHEN on_disk THEN 'on' ELSE 'off' END, true);
    -- A claim waits from here to the end of this transaction. Or this waits for a claim; then what follows sees its epoch.
    PERFORM 1 FROM ${schema}.partitions p WHERE p.partition = ANY (asked) ORDER BY p.partition FOR SHARE;
    owned := ARRAY (
      SELECT p.partition FROM unnest(asked, epochs) a (partition, epoch)
      JOIN ${schema}.partitions p ON p.partition = a.partition AND p.epoch = a.epoch
    );
    IF cardinality(removed) > 0 THEN
      DELETE FROM ${schema}.attributes t USING unnest(removed_in, removed) w (partition, id)
        WHERE t.partition = w.partition AND t.id = ${text('w.id')} AND w.partition = ANY (owned);
      DELETE FROM ${schema}.sessions t USING unnest(removed_in, removed) w (partition, id)
        WHERE t.partition = w.partition AND t.id = ${text('w.id')} AND w.partition = ANY (owned);
    END IF;
    IF cardinality(deleted) > 0 THEN
      DELETE FROM ${schema}.attributes t USING unnest(deleted_in, deleted_of, deleted) w (partition, id, name)
        WHERE t.partition = w.partition AND t.id = ${text('w.id')} AND t.name = decode(w.name, 'hex')
          AND w.partition = ANY (owned);
    END IF;
    INSERT INTO ${schema}.sessions (partition, id, head, expires)
      SELECT w.partition, w.id, decode(w.head, 'hex'), CASE WHEN w.moved THEN w.mark ELSE (
        SELECT s.expires FROM ${schema}.sessions s WHERE s.partition = w.partition AND s.id = w.id
      ) END
      FROM (
        SELECT h.partition, ${text('h.id')} AS id, h.head, h.moved, h.mark
        FROM unnest(head_in, head_of, heads, moved, marks) h (partition, id, head, moved, mark)
      ) w
      WHERE w.partition = ANY (owned)
      ON CONFLICT (partition, id) DO UPDATE SET head = excluded.head, expires = excluded.expires;
    INSERT INTO ${schema}.attributes (partition, id, name, value)
      SELECT w.partition, ${text('w.id')}, decode(w.name, 'hex'), decode(w.value, 'hex')
      FROM unnest(set_in, set_of, names, contents) w (partition, id, name, value)
      WHERE w.partition = ANY (owned)
      ON CONFLICT (partition, id, name) DO UPDATE SET value = excluded.value;
  END IF;
  RETURN QUERY SELECT p.partition, p.epoch FROM ${schema}.partitions p WHERE p.partition = ANY (asked);
END $function$;`;

const text = (hex: string) => `convert_from(decode(${hex}, 'hex'), 'UTF8')`;
