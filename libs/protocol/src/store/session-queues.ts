/**
 * The sessions' own queues, in which acquires wait in the layout `per-session` (rule 21). The owner of a
 * partition knows which of them it consumes, why, and which requests it took out. The waiting acquires stay
 * in the broker. So the memory here does not grow with them.
 */
import type { Knock } from '../wire/messages.js';
import type { Now } from '../wire/order.js';
import type { PendingOutputs } from './outputs.js';
import type { StoreRules } from './rules.js';

/** A queue that is consumed, or was consumed until it went. */
interface OpenQueue {
  /**
   * The knock that stays unacknowledged, so that a next owner learns of the queue, too. It is always the last
   * one, since the broker lets no delivery wait for half an hour.
   */
  parked: { readonly delivery: number; readonly queue: string; readonly request: number };
  /** Since when it is consumed. Undefined when it has gone. */
  openedAt: number | undefined;
  /** When the queue last went, by the monotonic clock. Acquires that were put into it before are lost. */
  lostAt: number;
  usedAt: number;
  /** The last request of each holder that was taken out of the queue, or was cancelled before. */
  readonly taken: Map<string, number>;
}

/** A queue is consumed for this long after its last use, in milliseconds. */
const lingerMs = 5_000;
/**
 * How many holders' taken requests are remembered for a queue, the latest ones. Beyond it a request may be
 * granted twice. The holder gives the second grant back (rule 12).
 */
const maxTaken = 1_000;

export class SessionQueues {
  private readonly open = new Map<string, OpenQueue>();
  private sweptAt = -Infinity;

  constructor(
    private readonly outputs: PendingOutputs,
    private readonly rules: Pick<StoreRules, 'mustPutAgain'>,
  ) {}

  get size(): number {
    return this.open.size;
  }

  has(session: string): boolean {
    return this.open.has(session);
  }

  /**
   * A holder waits in the session's queue. The store consumes it from now on, and keeps the delivery of the
   * knock.
   */
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

  /**
   * Whether the acquire of a knock will not come any more. `isEmpty` says that no acquire of the queue waits
   * here.
   */
  mustPutAgain({ session, request, ageMs }: Knock, holder: string, isEmpty: boolean, now: Now): boolean {
    const queue = this.open.get(session);
    if (!queue) return false;
    const taken = queue.taken.get(holder) ?? -1;
    const openMs = now.mono - (queue.openedAt ?? now.mono);
    const { lostAt } = queue;
    const must = this.rules.mustPutAgain({ request, ageMs }, { taken, isEmpty, lostAt, openMs }, now.mono);
    if (request === taken) queue.taken.delete(holder); // it may come once more
    return must;
  }

  /**
   * An acquire has come out of its queue. Returns false when it came before or was cancelled. It is ignored
   * then.
   */
  take(session: string, holder: string, request: number, now: Now): boolean {
    const queue = this.open.get(session);
    if (!queue) return true;
    queue.usedAt = now.mono;
    if (request <= (queue.taken.get(holder) ?? -1)) return false;
    this.note(queue, holder, request);
    return true;
  }

  /** The holder cancelled a request that may still be in its queue. */
  cancelled(session: string, holder: string, request: number): void {
    const queue = this.open.get(session);
    if (queue && request > (queue.taken.get(holder) ?? -1)) this.note(queue, holder, request);
  }

  /**
   * The queue does not exist. Its acquires are lost. Returns the last knock, so that its holder can be told.
   */
  gone(session: string, now: Now): { readonly queue: string; readonly request: number } | undefined {
    const queue = this.open.get(session);
    if (!queue) return undefined;
    queue.openedAt = undefined;
    queue.lostAt = now.mono;
    return queue.parked;
  }

  /**
   * Closes each queue without use and without recent knocks. `uses` tells of use. The caller calls it at
   * `nextDeadline` or later.
   */
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
    if (taken.size > maxTaken) taken.delete(taken.keys().next().value!);
  }
}

/** A frame in the queue of a session is exactly one acquire of that session. */
export function isAcquireOf(session: string, messages: readonly { readonly kind: string }[]): boolean {
  const [acquire] = messages as readonly [{ readonly kind: string; readonly session?: string }];
  return messages.length === 1 && acquire.kind === 'acquire' && acquire.session === session;
}
