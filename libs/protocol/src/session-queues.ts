/**
 * The queues of their own in which acquires wait in the layout `per-session` (rule 21), as the owner of a partition knows them: which it consumes, why, and what it has taken out
 * of them. The line itself stands in the broker; here is nothing that grows with it.
 */
import type { Knock } from './messages.js';
import type { Now } from './order.js';
import type { PendingOutputs } from './store-outputs.js';

/** A queue that is consumed, or was until it went. */
interface OpenQueue {
  /** The knock that stays unacknowledged, so that a next owner is told of the queue, too: always the last one, since the broker allows none to wait for half an hour. */
  parked: { readonly delivery: number; readonly queue: string; readonly request: number };
  /** Since when it is consumed; undefined when it has gone. */
  openedAt: number | undefined;
  /** What was put into it until then is gone with it, by the monotonic clock. */
  lostAt: number;
  usedAt: number;
  /** The last request of each holder that was taken out of the queue, or that was cancelled before. */
  readonly taken: Map<string, number>;
}

/** A queue is consumed for this long after it was last of use, in milliseconds. */
const lingerMs = 5_000;
/** An acquire that was put into a queue so long ago has come, or will never, in milliseconds. */
const unheardMs = 250;
/** Most holders of which is remembered what was taken out of one queue, the latest kept: beyond it a grant may be made twice, and is given back (rule 12). */
const mostTaken = 1_000;

export class SessionQueues {
  private readonly open = new Map<string, OpenQueue>();
  private sweptAt = -Infinity;

  constructor(private readonly outputs: PendingOutputs) {}

  get size(): number {
    return this.open.size;
  }

  has(session: string): boolean {
    return this.open.has(session);
  }

  /** Somebody waits in the session's queue: it is consumed from now on, and the delivery of the knock is kept. */
  knocked({ session, request }: Knock, delivery: number, queue: string, now: Now): void {
    const known = this.open.get(session);
    const parked = { delivery, queue, request };
    this.outputs.hold(delivery);
    if (known) {
      this.outputs.settle(known.parked.delivery);
      known.parked = parked;
      known.usedAt = now.mono;
      if (known.openedAt !== undefined) return;
      known.openedAt = now.mono;
    } else {
      const openedAt = now.mono;
      this.open.set(session, { parked, openedAt, lostAt: -Infinity, usedAt: openedAt, taken: new Map() });
    }
    this.outputs.openQueue(session);
  }

  /** Whether the acquire that a knock tells of will not come any more, though it is not in hand. `isEmpty`: nothing of the queue is. */
  misses({ session, request, ageMs }: Knock, holder: string, isEmpty: boolean, now: Now): boolean {
    const queue = this.open.get(session);
    if (!queue) return false;
    const taken = queue.taken.get(holder) ?? -1;
    if (request < taken) return false; // a late duplicate: its holder has asked anew since
    const isTaken = request === taken;
    if (isTaken) queue.taken.delete(holder); // it may come once more
    const putAt = now.mono - ageMs;
    const hadTime = ageMs >= unheardMs && now.mono - (queue.openedAt ?? now.mono) >= unheardMs;
    return isTaken || putAt <= queue.lostAt || (isEmpty && hadTime);
  }

  /** An acquire has come out of its queue. False when it is not to be looked at: it came before, or was cancelled. */
  take(session: string, holder: string, request: number, now: Now): boolean {
    const queue = this.open.get(session);
    if (!queue) return true;
    queue.usedAt = now.mono;
    if (request <= (queue.taken.get(holder) ?? -1)) return false;
    this.note(queue, holder, request);
    return true;
  }

  /** A request is not wanted any more that may still stand in its queue. */
  cancelled(session: string, holder: string, request: number): void {
    const queue = this.open.get(session);
    if (queue && request > (queue.taken.get(holder) ?? -1)) this.note(queue, holder, request);
  }

  /** There is no such queue: what was in it is gone. Whoever knocked last, and can be told so. */
  gone(session: string, now: Now): { readonly queue: string; readonly request: number } | undefined {
    const queue = this.open.get(session);
    if (!queue) return undefined;
    queue.openedAt = undefined;
    queue.lostAt = now.mono;
    return queue.parked;
  }

  /** Closes what nobody `uses` and nobody knocked for. To be called at `nextDeadline` or later. */
  sweep(uses: (session: string) => boolean, now: Now): void {
    this.sweptAt = now.mono;
    for (const [session, queue] of this.open) {
      if (uses(session)) queue.usedAt = now.mono;
      if (now.mono - queue.usedAt < lingerMs) continue;
      this.open.delete(session);
      if (queue.openedAt !== undefined) this.outputs.closeQueue(session);
      this.outputs.settle(queue.parked.delivery);
    }
  }

  get nextDeadline(): number {
    return this.open.size > 0 ? this.sweptAt + lingerMs / 2 : Infinity;
  }

  private note({ taken }: OpenQueue, holder: string, request: number): void {
    taken.delete(holder);
    taken.set(holder, request);
    if (taken.size > mostTaken) taken.delete(taken.keys().next().value!);
  }
}

/** A frame that waited in the queue of a session is nothing but one acquire of that session. */
export function isAskFor(session: string, messages: readonly { readonly kind: string }[]): boolean {
  const [acquire] = messages as readonly [{ readonly kind: string; readonly session?: string }];
  return messages.length === 1 && acquire.kind === 'acquire' && acquire.session === session;
}
