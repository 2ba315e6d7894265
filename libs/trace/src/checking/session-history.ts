/**
 * What the traces tell of one session: operations for the search, and what was done under which token as
 * evidence beside it.
 */
import type { RecordOf, TraceHead, TraceRecord } from '../records.js';
import type { Operation } from './operation.js';

export type Token = readonly [number, number];

/** A process had the session's lock for itself: a scope that ended well ran under it. */
export interface Use {
  readonly name: string;
  readonly process: string;
  readonly machine: string;
  readonly token: Token;
  readonly from: number;
  readonly to: number;
}

/** A holder was granted the lock. */
export interface Granted {
  readonly process: string;
  readonly token: Token;
  readonly at: number;
}

/** The repository has taken this record of the session. */
export interface Written {
  readonly process: string;
  readonly partition: number;
  readonly epoch: number;
  readonly batch: number;
  readonly at: number;
  readonly write: RecordOf<'write'>;
}

/** Something was waited for. */
export interface Wait {
  readonly what: 'scope' | 'grant' | 'release';
  readonly process: string;
  readonly session: string;
  readonly at: number;
  readonly ms: number;
  /** Whether it came. */
  readonly served: boolean;
}

export interface SessionHistory {
  readonly session: string;
  readonly operations: Operation[];
  readonly uses: Use[];
  readonly grants: Granted[];
  readonly writes: Written[];
}

/** Where the parts of a history are gathered. */
export interface Gathering {
  of(session: string): SessionHistory;
  readonly waits: Wait[];
}

/** A trace with its times on the common scale. */
export interface Timed {
  readonly head: TraceHead;
  readonly records: readonly TraceRecord[];
  /** Milliseconds since 1970. */
  time(at: number): number;
}
