/**
 * What a trace says: one table of record kinds, by which traces are written, read and checked. A trace is a
 * file of JSON lines. Its first line is the head; each other line is a record. Sessions and values stand in
 * it as keyed hashes.
 */
import { z } from 'zod';

/** Goes up when a record changes its meaning. A reader refuses every other version. */
export const traceVersion = 1;

/** Milliseconds of the machine's monotonic clock, which all its processes share. */
const moment = z.number();
const count = z.number().int().nonnegative();
const hash = z.string().min(1).max(64);
const id = z.string().min(1).max(256);
const token = z.tuple([count, count]);
/** Attributes with the hash of their value; null where there is none. Pairs, since a name may be any text. */
const values = z.array(z.tuple([z.string(), hash.nullable()]));

const common = { at: moment };
const ofSession = { ...common, session: hash };
const ofGrant = { ...ofSession, token };
const ofPartition = { ...common, partition: count, epoch: count };

/** How a trace ended: `open` as long as its process runs, and for ever when it was killed. */
const traceStates = ['open', 'closed', 'cut'] as const;

export const headSchema = z.object({
  ...common,
  kind: z.literal('head'),
  version: z.number(),
  state: z.string().trim().pipe(z.enum(traceStates)),
  role: z.enum(['holder', 'store']),
  process: id,
  /** Processes with the same value share a monotonic clock. */
  machine: id,
  /** The wall clock at `at`, in milliseconds since 1970. */
  wall: z.number(),
  /** Tells whether two traces were written with the same key. */
  key: hash,
});

/** How a scope ended. */
export const scopeOutcomes = [
  /** Its result was given. */
  'well',
  /** Its handler threw. What it read was true, and what it committed before is durable. */
  'threw',
  /** Its lock was lost: nothing that was not acknowledged by then is applied. */
  'lost',
  /** It failed otherwise: what was not acknowledged may be applied or not. */
  'unknown',
  /** It never got its locks. */
  'not-begun',
] as const;

export const recordSchema = z.discriminatedUnion('kind', [
  // A holder's.
  /** The process needs the session's lock, and asks the store for it. */
  z.object({ ...ofSession, kind: z.literal('asked') }),
  /** The lock is here, with the whole state. */
  z.object({ ...ofGrant, kind: z.literal('granted'), state: values }),
  /** The request is over without a grant: it was refused, or nobody waits any more. */
  z.object({ ...ofSession, kind: z.literal('not-granted'), why: z.string() }),
  /** The store asks the lock back. */
  z.object({ ...ofGrant, kind: z.literal('recalled') }),
  /** A scope changes attributes. It has read `read` since it began, or since its last change. */
  z.object({
    ...ofGrant,
    kind: z.literal('changed'),
    scope: count,
    seq: count,
    began: moment,
    read: values,
    made: values,
  }),
  /** A scope has ended. It has read `read` since it began, or since its last change. */
  z.object({
    ...ofSession,
    kind: z.literal('scope'),
    scope: count,
    /** Of the grant that it ran under; [0, 0] for a session that the store does not know. */
    token,
    outcome: z.enum(scopeOutcomes),
    /** When it came to the gate, when it had its locks, and when it left them. */
    asked: moment,
    began: moment,
    left: moment,
    read: values,
    /**
     * The highest seq whose effect it saw or made; and whether that was acknowledged when its result was
     * given.
     */
    seen: count,
    durable: z.boolean(),
  }),
  /** Every change of the grant through this seq is durable. */
  z.object({ ...ofGrant, kind: z.literal('acknowledged'), seq: count }),
  z.object({ ...ofGrant, kind: z.literal('released'), seq: count }),
  z.object({ ...ofGrant, kind: z.literal('destroyed'), seq: count }),
  /** The grant is over before its time. */
  z.object({ ...ofGrant, kind: z.literal('lost'), why: z.string() }),
  /** A store has answered a renewal of the lease. */
  z.object({ ...ofPartition, kind: z.literal('renewed'), leaseMs: count }),
  /** The lock may not be used before the store has confirmed it; and it has. */
  z.object({ ...ofGrant, kind: z.literal('doubted') }),
  z.object({ ...ofGrant, kind: z.literal('trusted') }),

  // A store's.
  z.object({ ...ofPartition, kind: z.literal('claimed'), previous: count }),
  /** The partition was given up, or another store has claimed it. */
  z.object({ ...ofPartition, kind: z.literal('gave-up'), why: z.string() }),
  /** A session's record as it is given to the repository, in this batch of the partition. */
  z.object({
    ...ofPartition,
    kind: z.literal('write'),
    batch: count,
    session: hash,
    /** Null where the session is removed: it has expired, or its destruction is forgotten. */
    record: z
      .object({
        version: z.tuple([count, count, count]),
        /** Who holds the lock. */
        grant: z.object({ token, holder: id, seq: count, revoked: z.boolean() }).nullable(),
        destroyed: z.boolean(),
      })
      .nullable(),
    set: values,
  }),
  /** The batch is in the repository. Without this record its outcome is not known. */
  z.object({ ...ofPartition, kind: z.literal('written'), batch: count }),
  /** A message to a holder, other than those that follow from a record. */
  z.object({ ...ofPartition, kind: z.literal('asked-back'), session: hash, token }),
  z.object({ ...ofPartition, kind: z.literal('revoked'), session: hash, token, why: z.string() }),
  z.object({ ...ofPartition, kind: z.literal('turned-away'), session: hash, why: z.string() }),

  /** The last one of a trace that ends before its process. */
  z.object({ ...common, kind: z.literal('cut'), why: z.string() }),
]);

export type TraceHead = z.infer<typeof headSchema>;
export type TraceRecord = z.infer<typeof recordSchema>;
export type RecordOf<K extends TraceRecord['kind']> = Extract<TraceRecord, { kind: K }>;
export type ScopeOutcome = (typeof scopeOutcomes)[number];
export type HashedValues = z.infer<typeof values>;

/** A record as its writer gives it: the trace adds the time. */
export type TraceFact = TraceRecord extends infer R ? (R extends unknown ? Omit<R, 'at'> : never) : never;
