/**
 * The functions of the PostgreSQL repository, in the language of the server. They make all writes and the
 * frequent reads. Each call is one message of the simple protocol, which is one transaction. So a proxy may
 * give every transaction another connection to the server.
 *
 * The statistics of a planner may be from a time when the table was empty. So the functions forbid plans that
 * read a whole table.
 */

const text = (hex: string) => `convert_from(decode(${hex}, 'hex'), 'UTF8')`;

/** Any text as an expression of hexadecimal digits, which has nothing to escape. */
export const literal = (of: string): string => text(`'${Buffer.from(of).toString('hex')}'`);

/** Statements that make the functions of the current layout. There must be none of these names. */
export const functions = (schema: string): string => `
-- Returns the epochs of the partitions that were asked for, and whether they were claimed since the server last
-- crashed. Writes what is given for a partition where both are as told. Ids, names and values come in hexadecimal
-- digits, so that no text that means something to SQL is ever part of a statement.
CREATE FUNCTION ${schema}.apply(
  on_disk boolean, asked int[], epochs bigint[],
  removed_in int[], removed text[],
  head_in int[], head_of text[], heads text[], moved boolean[], marks bigint[],
  deleted_in int[], deleted_of text[], deleted text[],
  set_in int[], set_of text[], names text[], contents text[]
)
RETURNS TABLE (partition int, epoch bigint, claimed boolean)
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
      JOIN ${schema}.claims c ON c.partition = p.partition AND c.epoch = p.epoch
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
  RETURN QUERY SELECT p.partition, p.epoch, coalesce(c.epoch = p.epoch, false)
    FROM ${schema}.partitions p LEFT JOIN ${schema}.claims c ON c.partition = p.partition
    WHERE p.partition = ANY (asked);
END $function$;

-- Changes nothing, and gives no epoch, where the deployment is another one.
CREATE FUNCTION ${schema}.claim(
  my_deployment text, mine int, my_partitions int, my_hash int, lease_ms bigint, at_least bigint
)
RETURNS TABLE (epoch bigint, previous bigint, longest_lease_ms bigint, partitions int, hash int, deployment text)
LANGUAGE plpgsql AS $function$
#variable_conflict use_column
BEGIN
  IF EXISTS (SELECT FROM ${schema}.layout l WHERE l.deployment = my_deployment) THEN
    PERFORM set_config('synchronous_commit', 'on', true);
    INSERT INTO ${schema}.deployment (partitions, hash) VALUES (my_partitions, my_hash) ON CONFLICT DO NOTHING;
    INSERT INTO ${schema}.partitions AS p (partition, epoch, longest_lease_ms)
      SELECT mine, greatest(1, at_least), lease_ms
      FROM ${schema}.deployment d WHERE d.partitions = my_partitions AND d.hash = my_hash
      ON CONFLICT (partition) DO UPDATE
      SET epoch = greatest(p.epoch + 1, at_least), previous = p.epoch,
        longest_lease_ms = greatest(p.longest_lease_ms, excluded.longest_lease_ms);
    INSERT INTO ${schema}.claims (partition, epoch)
      SELECT p.partition, p.epoch FROM ${schema}.partitions p, ${schema}.deployment d
      WHERE p.partition = mine AND d.partitions = my_partitions AND d.hash = my_hash
      ON CONFLICT (partition) DO UPDATE SET epoch = excluded.epoch;
  END IF;
  RETURN QUERY
    SELECT p.epoch, p.previous, p.longest_lease_ms, d.partitions, d.hash, l.deployment
    FROM ${schema}.layout l LEFT JOIN ${schema}.deployment d ON true LEFT JOIN ${schema}.partitions p
      ON p.partition = mine AND d.partitions = my_partitions AND d.hash = my_hash
      AND l.deployment = my_deployment;
END $function$;

-- The head of each session that exists has no name. Ids come in hexadecimal digits.
CREATE FUNCTION ${schema}.load(mine int, wanted text[])
RETURNS TABLE (id text, name bytea, value bytea)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $function$
#variable_conflict use_column
DECLARE
  ids text[] := ARRAY (SELECT ${text('w.id')} FROM unnest(wanted) w (id));
BEGIN
  RETURN QUERY
    SELECT s.id, NULL::bytea, s.head FROM ${schema}.sessions s WHERE s.partition = mine AND s.id = ANY (ids)
    UNION ALL
    SELECT a.id, a.name, a.value FROM ${schema}.attributes a WHERE a.partition = mine AND a.id = ANY (ids);
END $function$;`;
