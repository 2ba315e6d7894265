/**
 * The sessions' own queues at the explored broker (rule 21). An acquire waits in its session's queue until
 * the owner takes it out. What the owner has taken out and not settled comes back to its place when the owner
 * goes.
 */
import { sessionPrefetch } from '#broker';
import type { HolderPart } from '#protocol';

export interface Queued {
  /** Another one for each acquire that was ever put into a queue. */
  readonly n: number;
  readonly frame: HolderPart;
  /** When the broker drops it, by the monotonic clock. */
  readonly until: number;
}

export interface SessionQueue {
  readonly ready: readonly Queued[];
  /** Taken out, and not settled. */
  readonly taken: readonly Queued[];
  readonly isConsumed: boolean;
}

export interface BrokerQueues {
  readonly queues: ReadonlyMap<string, SessionQueue>;
  /** Queues that the store consumed or wanted to consume, and that are not there. It is still to be told. */
  readonly gone: readonly string[];
  /** How many acquires were put into queues. */
  readonly count: number;
}

export const noQueues: BrokerQueues = { queues: new Map(), gone: [], count: 0 };
const emptyQueue: SessionQueue = { ready: [], taken: [], isConsumed: false };

function withQueue(all: BrokerQueues, session: string, queue: SessionQueue | undefined): BrokerQueues {
  const queues = new Map(all.queues);
  if (queue) queues.set(session, queue);
  else queues.delete(session);
  return { ...all, queues };
}

/** A holder makes the queue if it is missing, and puts an acquire there, which the broker may lose. */
export function put(
  all: BrokerQueues,
  session: string,
  frame: HolderPart,
  until: number,
  isLost: boolean,
): BrokerQueues {
  const queue = all.queues.get(session) ?? emptyQueue;
  const item = { n: all.count + 1, frame, until };
  const ready = isLost ? queue.ready : [...queue.ready, item];
  return { ...withQueue(all, session, { ...queue, ready }), count: item.n };
}

/** What the owner may take out next. */
export function nextOf({ ready, taken, isConsumed }: SessionQueue): Queued | undefined {
  return isConsumed && taken.length < sessionPrefetch ? ready[0] : undefined;
}

export function take(all: BrokerQueues, session: string): BrokerQueues {
  const { ready, taken, isConsumed } = all.queues.get(session)!;
  return withQueue(all, session, { ready: ready.slice(1), taken: [...taken, ready[0]!], isConsumed });
}

/** Taken out and settled, or not: it does not come back. */
export function settle(all: BrokerQueues, session: string, n: number): BrokerQueues {
  const queue = all.queues.get(session);
  if (!queue) return all;
  return withQueue(all, session, { ...queue, taken: queue.taken.filter((one) => one.n !== n) });
}

export function open(all: BrokerQueues, session: string): BrokerQueues {
  const queue = all.queues.get(session);
  if (!queue) return { ...all, gone: [...all.gone, session] };
  return withQueue(all, session, { ...queue, isConsumed: true });
}

/** A queue that nobody uses is removed after a while. */
export function close(all: BrokerQueues, session: string): BrokerQueues {
  const queue = all.queues.get(session);
  if (!queue) return all;
  const isIdle = queue.ready.length + queue.taken.length === 0;
  return withQueue(all, session, isIdle ? undefined : { ...queue, isConsumed: false });
}

/** Somebody removes the queue, with the acquires in it. */
export function remove(all: BrokerQueues, session: string): BrokerQueues {
  const isTold = all.queues.get(session)!.isConsumed;
  return { ...withQueue(all, session, undefined), gone: isTold ? [...all.gone, session] : all.gone };
}

/** The owner has gone. What it had taken out is the first again. */
export function giveBack(all: BrokerQueues): BrokerQueues {
  if (all.queues.size + all.gone.length === 0) return all;
  const queues = new Map<string, SessionQueue>();
  for (const [session, { ready, taken }] of all.queues)
    queues.set(session, { ready: [...taken, ...ready], taken: [], isConsumed: false });
  return { ...all, queues, gone: [] };
}

/** The broker drops what has waited too long, at the head of a queue. */
export function expire(all: BrokerQueues, mono: number): BrokerQueues {
  let left = all;
  for (const [session, queue] of all.queues) {
    const first = queue.ready.findIndex(({ until }) => until > mono);
    const ready = first < 0 ? [] : queue.ready.slice(first);
    if (ready.length < queue.ready.length) left = withQueue(left, session, { ...queue, ready });
  }
  return left;
}
