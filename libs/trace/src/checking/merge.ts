/**
 * Merges the traces of any number of processes into the history of each session. Clocks are brought to one
 * scale by the wall clock of each machine.
 */
import type { TraceHead } from '../records.js';
import type { Trace } from '../reader.js';
import { holderHistory } from './holder-history.js';
import type { SessionHistory, Timed, Wait } from './session-history.js';
import { storeHistory } from './store-history.js';

export interface History {
  readonly sessions: ReadonlyMap<string, SessionHistory>;
  readonly waits: readonly Wait[];
  /** Why not everything is known. */
  readonly gaps: readonly string[];
  /** Until then everything is known that the given traces can tell. */
  readonly horizon: number;
  /** Whether traces are missing, so that nothing that was read can be called wrong. */
  readonly isIncomplete: boolean;
  readonly machines: number;
  /** Traces without an end: their processes were killed, or still run. */
  readonly open: number;
}

export function mergeTraces(traces: readonly Trace[], clockErrorMs: number): History {
  const sessions = new Map<string, SessionHistory>();
  const of = (session: string): SessionHistory => {
    let history = sessions.get(session);
    if (!history) {
      history = { session, operations: [], uses: [], grants: [], writes: [] };
      sessions.set(session, history);
    }
    return history;
  };
  const waits: Wait[] = [];
  const timed = onOneScale(traces);
  for (const trace of timed)
    (trace.head.role === 'holder' ? holderHistory : storeHistory)(trace, { of, waits });

  const machines = new Set(traces.map(({ head }) => head.machine)).size;
  const cuts = timed.filter(({ head }) => head.state === 'cut');
  const ends = cuts.map(({ records, head, time }) => time(records.at(-1)?.at ?? head.at));
  const missing = missingOf(traces);
  return {
    sessions,
    waits,
    gaps: [
      ...missing,
      ...cuts.map(({ head }) => `the trace of ${head.role} ${head.process} was cut: ${whyCut(head, timed)}`),
    ],
    horizon: Math.min(...ends) - (machines > 1 ? clockErrorMs : 0),
    isIncomplete: missing.length > 0,
    machines,
    open: traces.filter(({ head }) => head.state === 'open').length,
  };
}

/** Processes of one machine share a clock, so one difference to the wall clock must do for all of them. */
function onOneScale(traces: readonly Trace[]): Timed[] {
  const offsets = new Map<string, number>();
  for (const { head } of traces)
    if (!offsets.has(head.machine)) offsets.set(head.machine, head.wall - head.at);
  return traces.map(({ head, records }) => {
    const offset = offsets.get(head.machine)!;
    return { head, records, time: (at) => at + offset };
  });
}

function whyCut({ process }: TraceHead, traces: readonly Timed[]): string {
  const last = traces.find(({ head }) => head.process === process)?.records.at(-1);
  return last?.kind === 'cut' ? last.why : 'the disk took no more';
}

/** Processes that the traces name, but of which there is no trace that can be compared. */
function missingOf(traces: readonly Trace[]): string[] {
  const missing: string[] = [];
  if (new Set(traces.map(({ head }) => head.key)).size > 1)
    missing.push('the traces were written with different keys, so their values cannot be compared');
  const { traced, named } = processesIn(traces);
  for (const holder of named.holders)
    if (!traced.holders.has(holder)) missing.push(`there is no trace of holder ${holder}`);
  for (const epoch of named.epochs)
    if (!traced.epochs.has(epoch))
      missing.push(`there is no trace of the store that granted in epoch ${epoch}`);
  return missing;
}

/** A store has another epoch for each time that it claims a partition. */
interface Processes {
  readonly holders: Set<string>;
  readonly epochs: Set<number>;
}

function processesIn(traces: readonly Trace[]): { traced: Processes; named: Processes } {
  const traced: Processes = { holders: new Set(), epochs: new Set() };
  const named: Processes = { holders: new Set(), epochs: new Set() };
  for (const { head, records } of traces) {
    if (head.role === 'holder') traced.holders.add(head.process);
    for (const record of records) {
      if (record.kind === 'claimed') traced.epochs.add(record.epoch);
      if (record.kind === 'write' && record.record?.grant) named.holders.add(record.record.grant.holder);
      if (record.kind === 'granted') named.epochs.add(record.token[0]);
    }
  }
  return { traced, named };
}
