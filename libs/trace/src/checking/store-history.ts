/**
 * What a store's trace tells. Changes are known from the holders' traces. A store alone knows when a session
 * was removed, or made anew, and in which order the repository took what.
 */
import type { RecordOf } from '../records.js';
import type { Operation } from './operation.js';
import type { Gathering, Timed } from './session-history.js';

export function storeHistory(trace: Timed, { of }: Gathering): void {
  const { process } = trace.head;
  const done = new Map<string, number>();
  for (const record of trace.records)
    if (record.kind === 'written') done.set(batchOf(record), trace.time(record.at));

  const grants = new Map<string, string>();
  for (const record of trace.records) {
    if (record.kind !== 'write') continue;
    const { session, partition, epoch, batch } = record;
    const history = of(session);
    const at = done.get(batchOf(record));
    if (at !== undefined) history.writes.push({ process, partition, epoch, batch, at, write: record });
    const grant = record.record?.grant?.token.join('.') ?? '';
    const isAnother = grants.get(session) !== grant;
    grants.set(session, grant);
    const what = emptying(record, isAnother);
    if (what !== undefined) history.operations.push(emptyingBy(trace, record, what, at));
  }
}

/** Which end or beginning of the session the write is, if it is one: no attribute stays from before. */
function emptying(write: RecordOf<'write'>, isAnotherGrant: boolean): 'removal' | 'making' | undefined {
  if (write.record === null) return 'removal';
  return isAnotherGrant && isMaking(write) ? 'making' : undefined;
}

function emptyingBy(
  { head: { process, machine }, time }: Timed,
  { epoch, at }: RecordOf<'write'>,
  what: 'removal' | 'making',
  end: number | undefined,
): Operation {
  return {
    name: `the ${what} by ${process} in epoch ${epoch}`,
    process,
    machine,
    begin: time(at),
    end: end ?? Infinity,
    optional: end === undefined,
    reads: new Map(),
    readsAll: false,
    clears: true,
    writes: new Map(),
  };
}

/**
 * The session was made with the grant that this write brings: its version is the grant's, and nothing was
 * changed yet. A session that is made with values had no life before. A later store also meets grants for the
 * first time, but those of earlier epochs.
 */
function isMaking({ record, epoch }: RecordOf<'write'>): boolean {
  if (!record?.grant) return false;
  const [version, { token }] = [record.version, record.grant];
  return token[0] === epoch && version[0] === token[0] && version[1] === token[1] && version[2] === 0;
}

const batchOf = ({ partition, epoch, batch }: { partition: number; epoch: number; batch: number }) =>
  `${partition} ${epoch} ${batch}`;
