/**
 * What is explored: how many app servers, how many scopes come to each, from which start, and which faults
 * may strike how often. All of it is data, so that a new case is a few lines.
 */
import type { HolderParameters, StoreParameters } from '#protocol';
import {
  held,
  idle,
  contended,
  firstTurn,
  inTurn,
  leased,
  nearRecallTimeout,
  dying,
  revoked,
  twoRevoked,
  askedBack,
  committed,
  lateGrant,
  lateGrantAndRecall,
  released,
} from './starts.js';

/** What may happen so many times and no more. */
export const budgets = [
  /** Time goes on by one of the configuration's steps. */
  'time',
  /** A frame is lost, in either direction. */
  'loss',
  /** An app server's connection is lost, and what was on its way to it. */
  'cut',
  /** An app server dies, and another one comes in its place. */
  'crash',
  /** Another store owns the partition. */
  'takeover',
  /** A write fails, and is not done. */
  'notWritten',
  /** A write is done, but ends with an error. */
  'unsaid',
  /** A scope that waits gives up. */
  'cancel',
  /** A lock is given back though nobody has asked for it. */
  'idle',
  /** A scope ends the session. */
  'destroy',
  /** A scope makes a change durable, and goes on. */
  'commit',
  /** A session is to get another id. */
  'regenerate',
  /** A change cannot be written into a frame. */
  'unsendable',
  /** The power fails: the newest writes are gone. */
  'power',
  /** The store starts with empty data, on a machine whose clock is behind. */
  'oldData',
  /** A frame shows an epoch that no store has claimed. */
  'lie',
  /**
   * The broker stands still, and hands over an echo before it reads what waits in the connections of app
   * servers.
   */
  'overtaking',
  /** The store reads nothing for more than half a lease, and what is sent to it meanwhile is refused. */
  'deafness',
  /** A session's own queue is removed, with the acquires in it. */
  'removal',
  /** The store stands still, another one takes over, and the first one goes on without knowing. */
  'pause',
  /** An app server's queue is gone, and nothing tells it so for a while. */
  'severance',
] as const;

export type Budget = (typeof budgets)[number];
export type Faults = Readonly<Record<Budget, number>>;

export interface Configuration {
  readonly name: string;
  readonly holders: number;
  /** Scopes that may come to each app server. */
  readonly visits: number;
  readonly waitMs: number;
  /** Sessions that are visited: `s`, unless said otherwise. */
  readonly sessions?: readonly string[];
  /** Steps by which time may go on, in milliseconds. */
  readonly steps: readonly number[];
  /**
   * Moves that lead to the state from which all others are found; `quiet`: all that is on its way arrives.
   */
  readonly start: readonly string[];
  readonly faults: Partial<Faults>;
  readonly parameters?: Partial<StoreParameters & HolderParameters>;
  /** How many locks a list names at most, instead of 4,096. */
  readonly listed?: number;
  /** What follows a grant goes to a queue of the owner's own. */
  readonly hasOwnQueues?: boolean;
  /** A store sends its echoes through the partition's queue alone. */
  readonly echoesInPartition?: boolean;
  /** Of the stores alone; and of those that take over. */
  readonly storeParameters?: Partial<StoreParameters>;
  readonly nextStoreParameters?: Partial<StoreParameters>;
  /** `a` makes each session that it visits, with its first change. */
  readonly creates?: boolean;
}

const parameters: StoreParameters & HolderParameters = {
  partitions: 1,
  leaseMs: 5_000,
  recallTimeoutMs: 10_000,
  turnMs: 0,
  unreachableHolder: 'wait-for-lease',
  ttlMs: 3_600_000,
  tombstoneMs: 2_400_000,
  destroyedNoticeMs: 60_000,
  waitersPerSession: 4,
  waitersPerPartition: 6,
  endedGrants: 3,
  repeatMs: 1_000,
  renewMs: 1_500,
  writeBackMs: 0,
  queues: 'partitioned',
};

/** What loses nothing that was sent. */
const harmless: ReadonlySet<string> = new Set<Budget>(['time', 'cancel', 'idle', 'destroy', 'commit']);

/** What takes no time, and loses no more than what is in the own queue of a store. */
const prompt: ReadonlySet<string> = new Set<Budget>(['takeover', 'idle', 'destroy', 'commit']);

/** What holds for app servers, for stores, and for stores that take over. */
export function parametersOf({
  parameters: own,
  storeParameters,
  nextStoreParameters,
  hasOwnQueues = false,
  echoesInPartition = false,
  faults,
}: Configuration) {
  const holder = { ...parameters, ...own };
  const store = { ...holder, ...storeParameters };
  const nextStore = { ...store, ...nextStoreParameters };
  const isReliable = Object.keys(faults).every((budget) => harmless.has(budget));
  const isPrompt = Object.keys(faults).every((budget) => prompt.has(budget));
  return { holder, store, nextStore, hasOwnQueues, echoesInPartition, isReliable, isPrompt };
}

const two = { holders: 2, visits: 1, waitMs: 30_000, steps: [1_000] } as const;

/** Sessions expire soon. */
const brief = {
  ...two,
  steps: [600],
  parameters: { ttlMs: 8_000, tombstoneMs: 60_000, destroyedNoticeMs: 5_000 },
} as const;

/** A lock that goes from holder to holder is given for a turn. */
const turns = { ...two, visits: 4, parameters: { turnMs: 1_000 } } as const;

/** What follows a grant goes to a queue of the owner's own. */
const owned = { ...two, visits: 2, hasOwnQueues: true } as const;
/** Acquires wait in the queues of their sessions. */
const queued = { ...two, visits: 2, waitMs: 60_000, parameters: { queues: 'per-session' } } as const;

export const configurations: readonly Configuration[] = [
  { ...two, name: 'nothing', start: [], faults: { loss: 1, time: 1 } },
  { ...two, name: 'two losses', start: [], faults: { loss: 2, time: 2 } },
  { ...two, name: 'held', start: held, faults: { loss: 1, time: 2 }, steps: [1_000, 5_000] },
  { ...two, name: 'idle', start: idle, faults: { time: 1 }, steps: [1_000, 5_000] },
  { ...two, name: 'asked back', visits: 2, start: askedBack, faults: { time: 1, cut: 1 }, steps: [600] },
  { ...two, name: 'late grant', start: lateGrant, faults: { loss: 2 } },
  {
    ...two,
    name: 'late grant and recall',
    start: lateGrantAndRecall,
    faults: { time: 1, loss: 1 },
    steps: [5_000],
  },
  {
    ...two,
    name: 'lost revocation',
    start: [...revoked, 'a frame to a is lost'],
    faults: { time: 2 },
    steps: [2_500],
  },
  {
    ...two,
    name: 'lost answer',
    start: [...committed, ...revoked.slice(nearRecallTimeout.length), '2500 ms pass', 'a looks'],
    faults: { time: 1 },
    steps: [2_500],
  },
  { ...two, name: 'power after a release', visits: 3, start: released, faults: { time: 1 } },
  {
    ...two,
    name: 'after a power failure',
    start: [...held, 'a commits to s', 'quiet', 'the power fails, and 1 writes are lost'],
    faults: { time: 1, commit: 1 },
  },
  { ...two, name: 'leased', visits: 2, start: leased, faults: { loss: 1, time: 1 } },
  { ...turns, name: 'first turn', start: firstTurn, faults: { time: 1, commit: 2 } },
  { ...turns, name: 'turns', start: inTurn, faults: { loss: 1, time: 1, commit: 1 } },
  { ...turns, name: 'before turns', start: [...idle, 'a releases s', 'quiet'], faults: { idle: 1, time: 1 } },
  {
    ...turns,
    name: 'turn and short wait',
    waitMs: 900,
    start: inTurn,
    faults: { time: 2 },
    steps: [300, 700],
  },
  { ...two, name: 'contended', start: contended, faults: { loss: 1, time: 2 }, steps: [1_000, 5_000] },
  {
    ...two,
    name: 'before recall time-out',
    start: nearRecallTimeout,
    faults: { loss: 1, time: 2 },
    steps: [600, 4_400],
  },
  {
    ...two,
    name: 'commits before recall time-out',
    start: nearRecallTimeout,
    faults: { loss: 1, time: 3, commit: 1 },
    steps: [600, 4_400],
  },
  {
    ...two,
    name: 'revoked',
    visits: 2,
    start: revoked,
    faults: { loss: 1, time: 2, commit: 1 },
    steps: [1_000, 4_400],
  },
  { ...two, name: 'takeover', visits: 2, start: contended, faults: { takeover: 1, loss: 1, time: 1 } },
  {
    ...two,
    name: 'takeover by a shorter lease',
    start: [...idle, 'another store takes over', 'b visits s', 'the store reads b', 'the store reads b'],
    faults: { time: 2 },
    steps: [600],
    nextStoreParameters: { leaseMs: 1_000 },
  },
  { ...two, name: 'failed writes', start: held, faults: { notWritten: 1, unsaid: 1, time: 1 } },
  { ...two, name: 'power', visits: 2, start: held, faults: { power: 1, commit: 2 } },
  { ...two, name: 'empty data', start: held, faults: { oldData: 1, time: 1 } },
  { ...two, name: 'lie', start: held, faults: { lie: 1 } },
  { ...two, name: 'other partitions', start: [], faults: {}, storeParameters: { partitions: 2 } },
  { ...two, name: 'cut', start: contended, faults: { cut: 1, time: 2 }, steps: [1_000, 5_000] },
  { ...two, name: 'crash', start: held, faults: { crash: 1, time: 2 }, steps: [1_000, 5_000] },
  { ...two, name: 'dead holder', start: dying, faults: { loss: 1, time: 1 }, steps: [600] },
  {
    ...two,
    name: 'short waits',
    start: [...contended, 'a dies'],
    faults: { time: 1 },
    waitMs: 2_000,
  },
  { ...two, name: 'cancel', start: held, faults: { cancel: 1, idle: 1, loss: 1, time: 1 } },
  { ...two, name: 'destroy', visits: 2, start: contended, faults: { destroy: 1, loss: 1, time: 1 } },
  {
    ...two,
    name: 'new session',
    visits: 2,
    start: [],
    creates: true,
    faults: { destroy: 1, loss: 1, time: 1, cancel: 1, takeover: 1 },
  },
  { ...two, name: 'unsendable', visits: 2, start: held, faults: { unsendable: 1, commit: 1 } },
  {
    ...two,
    name: 'slow broker',
    start: nearRecallTimeout,
    faults: { overtaking: 1, time: 2 },
    steps: [600, 300],
  },
  {
    ...two,
    name: 'deaf store',
    start: contended,
    faults: { deafness: 1, time: 3 },
    // A longer step is a standstill of its own, and the owner spares the holders only once in a while.
    steps: [2_400],
  },
  {
    ...two,
    name: 'write-back',
    start: nearRecallTimeout,
    faults: { time: 2 },
    steps: [600, 4_600],
    parameters: { writeBackMs: 1_000 },
  },
  { ...two, name: 'regenerate', start: held, faults: { regenerate: 1, crash: 1, loss: 1, time: 1 } },
  {
    ...two,
    name: 'refused regenerate',
    start: nearRecallTimeout,
    faults: { regenerate: 1, loss: 1, time: 2 },
    steps: [600, 4_600],
  },
  {
    ...brief,
    name: 'expiring',
    visits: 2,
    start: [...idle, 'calm for 8500 ms'],
    faults: { time: 1, idle: 1 },
  },
  {
    ...brief,
    name: 'expiring and free',
    start: [...idle, 'a releases s', 'quiet', 'calm for 7500 ms'],
    faults: { time: 1 },
  },
  { ...brief, name: 'expiring and in use', start: [...held, 'calm for 7500 ms'], faults: { time: 1 } },
  {
    ...brief,
    name: 'expiring and silent',
    start: [...idle, 'calm for 7500 ms but for a'],
    faults: { time: 1 },
  },
  {
    ...two,
    name: 'lost cancel',
    sessions: ['s', 't'],
    visits: 2,
    start: [...contended, 'b gives up s'],
    faults: { cancel: 1, loss: 1 },
  },
  {
    ...two,
    name: 'long list',
    sessions: ['s', 't'],
    visits: 2,
    start: twoRevoked,
    faults: { time: 1 },
    steps: [2_500],
    listed: 1,
  },
  { ...owned, name: 'own queue', start: contended, visits: 2, faults: { loss: 1, time: 1 } },
  {
    ...owned,
    name: 'own queue before recall time-out',
    start: nearRecallTimeout,
    faults: { loss: 1, time: 2 },
    steps: [600, 4_400],
  },
  { ...owned, name: 'own queue and takeover', start: contended, faults: { takeover: 1, loss: 1, time: 1 } },
  { ...owned, name: 'own queue and successor', start: leased, visits: 3, faults: { takeover: 1, commit: 1 } },
  { ...owned, name: 'own queue and cut', start: held, faults: { cut: 1, commit: 1, idle: 1 } },
  { ...owned, name: 'own queue and paused store', start: contended, faults: { pause: 1, time: 1 } },
  { ...owned, name: 'own queue and cancel', start: held, faults: { cancel: 1, idle: 1, loss: 1, time: 1 } },
  {
    ...owned,
    name: 'own queue and new session',
    start: [],
    creates: true,
    faults: { destroy: 1, loss: 1, time: 1, cancel: 1, takeover: 1 },
  },
  { ...two, name: 'paused store', visits: 2, start: contended, faults: { pause: 1, loss: 1, time: 1 } },
  { ...queued, name: 'lost acquire', start: held, faults: { loss: 1 } },
  { ...queued, name: 'removed queue', start: contended, faults: { removal: 1, loss: 1, time: 1 } },
  { ...queued, name: 'queue and takeover', start: contended, faults: { takeover: 1, time: 1, cancel: 1 } },
  { ...queued, name: 'queue and cut', start: contended, faults: { cut: 1, idle: 1, time: 1, cancel: 1 } },
  {
    ...two,
    name: 'gone at once',
    visits: 2,
    start: contended,
    parameters: { unreachableHolder: 'revoke' },
    faults: { crash: 1, cut: 1, severance: 1, time: 1 },
  },
  { ...two, name: 'three holders', holders: 3, start: contended, faults: { loss: 1, time: 1 } },
];
