/**
 * Traces that a test makes by hand: what a process did, in few words. Times are milliseconds; all clocks
 * agree unless one is set otherwise.
 */
import type { Trace } from '../reader.js';
import {
  traceVersion,
  type HashedValues,
  type TraceFact,
  type TraceHead,
  type TraceRecord,
} from '../records.js';

type Token = readonly [number, number];

/** Attributes by name; null for one that is not there. */
export type Values = Readonly<Record<string, string | null>>;

const wallAtZero = 1_800_000_000_000;

export interface MadeScope {
  readonly session?: string;
  readonly token: Token;
  readonly from: number;
  /** When it left its locks; its result was given at `answered`, or at once. */
  readonly to: number;
  readonly answered?: number;
  readonly reads?: Values;
  readonly makes?: Values;
  /** Of what it makes. */
  readonly seq?: number;
  readonly outcome?: 'well' | 'threw' | 'lost' | 'unknown' | 'none';
  readonly durable?: boolean;
}

const usualScope = { session: 's', reads: {}, seq: 0, outcome: 'well' } as const;

export class MadeTrace {
  readonly records: TraceRecord[] = [];
  private scopes = 0;

  constructor(
    readonly role: TraceHead['role'],
    readonly process: string,
    private readonly head: Partial<TraceHead> = {},
  ) {}

  add(at: number, fact: TraceFact): this {
    this.records.push({ ...fact, at });
    return this;
  }

  granted(asked: number, at: number, token: Token, state: Values, session = 's'): this {
    return this.add(asked, { kind: 'asked', session }).add(at, {
      kind: 'granted',
      session,
      token: [...token],
      state: pairs(state),
    });
  }

  /** A scope, its change and the answer to that; without an outcome its process was killed first. */
  scope(made: MadeScope): this {
    const { session, token, from, to, reads, makes, seq, outcome } = { ...usualScope, ...made };
    const { answered = to, durable = outcome === 'well' } = made;
    const [epoch, n] = token;
    const scope = ++this.scopes;
    const common = { session, token: [epoch, n] as [number, number], scope, began: from };
    if (makes) this.add(to, { kind: 'changed', ...common, seq, read: pairs(reads), made: pairs(makes) });
    if (outcome === 'none') return this;
    if (makes && outcome === 'well' && durable)
      this.add(answered, { kind: 'acknowledged', session, token: [epoch, n], seq });
    return this.add(answered, {
      kind: 'scope',
      ...common,
      outcome,
      asked: from,
      left: to,
      read: makes ? [] : pairs(reads),
      seen: seq,
      durable,
    });
  }

  /** A session's record, in the repository as soon as it is given to it. */
  wrote(at: number, [epoch, batch]: Token, version: [number, number, number] | null, set: Values = {}): this {
    const record = version && {
      version,
      grant: {
        token: [version[0], version[1]] as [number, number],
        holder: 'one',
        seq: version[2],
        revoked: false,
      },
      destroyed: false,
    };
    const partition = 0;
    return this.add(at, {
      kind: 'write',
      partition,
      epoch,
      batch,
      session: 's',
      record,
      set: pairs(set),
    }).add(at, {
      kind: 'written',
      partition,
      epoch,
      batch,
    });
  }

  get trace(): Trace {
    const { role, process, records } = this;
    const head: TraceHead = {
      kind: 'head',
      version: traceVersion,
      state: 'closed',
      at: 0,
      wall: wallAtZero,
      machine: 'm',
      key: 'k',
      role,
      process,
      ...this.head,
    };
    return { file: `${process}.ndjson`, head, records };
  }
}

export const madeHolder = (process: string, head?: Partial<TraceHead>) =>
  new MadeTrace('holder', process, head);

/** It has claimed the one partition in epoch 1. */
export const madeStore = (process = 'store', epoch = 1) =>
  new MadeTrace('store', process).add(0, { kind: 'claimed', partition: 0, epoch, previous: epoch - 1 });

const pairs = (values: Values): HashedValues => Object.entries(values);
